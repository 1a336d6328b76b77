"""How many spans a project may send. Counted by each process for itself."""

from collections.abc import Callable

from bartizan.plugins.errors import Overloaded

BURST_S = 2.0
"""A project may spend its quota of so many seconds at once."""
MAX_DELAY_S = 30.0


class Quotas:
    """One token bucket a project, which may go into debt by one batch that then has to wait."""

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._buckets: dict[int, tuple[float, int]] = {}

    def spend(self, project_id: int, spans: int, per_second: int) -> float:
        """Takes spans from a project's quota; returns how many seconds to wait before more.

        `per_second` of 0 means no limit.
        """
        if not per_second:
            return 0.0
        now = self._clock_ns()
        left, then = self._buckets.get(project_id, (per_second * BURST_S, now))
        left = min(per_second * BURST_S, left + (now - then) * per_second / 1e9) - spans
        self._buckets[project_id] = (left, now)
        return min(MAX_DELAY_S, max(0.0, -left / per_second))

    def demand(self, project_id: int, spans: int, per_second: int) -> None:
        """Takes spans from a project's quota; raises Overloaded when it is in debt already."""
        wait = self.spend(project_id, 0, per_second)
        if wait:
            raise Overloaded(
                "QUOTA_EXCEEDED",
                f"The project's quota is {per_second} spans a second; send again later.",
                retry_delay_s=wait,
                metadata={"limit": "project.spans_per_second", "value": str(per_second)},
            )
        self.spend(project_id, spans, per_second)
