"""What keeps one bad plugin from harming the rest: a circuit breaker for each rule."""

from collections.abc import Callable

FAILURES_TO_OPEN = 5
"""In a row. Fewer would let one burst of large texts switch a rule off."""

RESET_SECONDS = 30.0
"""Long enough for a plugin to recover, short enough that nobody has to step in."""


class Breaker:
    """Stops calls to something that keeps failing, and lets one through now and then to see.

    Attributes:
        failures: how many failed in a row.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        failures_to_open: int = FAILURES_TO_OPEN,
        reset_seconds: float = RESET_SECONDS,
    ) -> None:
        self.failures = 0
        self._clock = clock
        self._limit = failures_to_open
        self._reset_seconds = reset_seconds
        self._retry_at = 0.0

    @property
    def is_open(self) -> bool:
        """True while calls are stopped or only tried."""
        return self.failures >= self._limit

    def allows(self) -> bool:
        """Returns True if a call may go through.

        Of an open breaker one call per reset time may: the trial that can close it.
        """
        if not self.is_open:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._reset_seconds
        return True

    def succeeded(self) -> None:
        """Closes the breaker."""
        self.failures = 0

    def failed(self) -> None:
        """Counts a failure; enough of them in a row open the breaker."""
        self.failures += 1
        if self.is_open:
            self._retry_at = self._clock() + self._reset_seconds
