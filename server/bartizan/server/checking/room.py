"""How much may be checked at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from bartizan.plugins.errors import Overloaded

RETRY_DELAY_S = 1.0


class Room:
    """A bound on something that is in the house at once: bytes, streams."""

    def __init__(self, limit: int, name: str) -> None:
        """Makes it empty. `name` tells the caller which limit it met."""
        self._limit = limit
        self._name = name
        self._taken = 0

    @contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Takes so much room while entered; raises Overloaded when there is not as much.

        Something that alone is over the limit is let in when nothing else is there.
        """
        if self._taken and self._taken + size > self._limit:
            raise Overloaded(
                "TOO_MANY_CHECKS",
                "The server has as much to check as it takes at once; try again later.",
                retry_delay_s=RETRY_DELAY_S,
                metadata={"limit": self._name, "value": str(self._limit)},
            )
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size
