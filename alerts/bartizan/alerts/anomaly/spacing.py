"""How far apart the points of a series are: what is late, and what is a gap."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GAIN = 0.02

GAP = 5.0
"""Times the usual spacing from which a wait is a gap."""

MOST_DOUBT = 4.0
"""By how much a long gap widens the usual errors of the first point after it."""

DOUBT_KEPT = 0.6
"""Of the widening, from one point to the next."""

LATE_IN_A_ROW = 8
"""After so many points before the newest one, it is that one which had the wrong time."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a point comes: seconds since the one before it, and how doubtful levels are by now."""

    seconds: float
    late: bool
    gap: bool
    doubt: float


class Spacing:
    """The time of the newest point and the usual spacing."""

    def __init__(self) -> None:
        self._newest: float | None = None
        self._usual = 0.0
        self._count = 0
        self._late = 0
        self._doubt = 1.0

    @property
    def usual_seconds(self) -> float:
        """The usual time from a point to the next."""
        return self._usual

    def arrive(self, epoch: float) -> Arrival:
        """Takes the time of a point, in seconds since 1970."""
        seconds = epoch - self._newest if self._newest is not None else 0.0
        if seconds < 0 and self._late < LATE_IN_A_ROW:
            self._late += 1
            return Arrival(seconds, late=True, gap=False, doubt=self._doubt)
        gap = self._count > 1 and seconds > GAP * self._usual > 0
        self._newest, self._late = epoch, 0
        self._doubt = 1 + (self._doubt - 1) * DOUBT_KEPT
        if gap:
            self._doubt = max(self._doubt, min(math.sqrt(seconds / self._usual), MOST_DOUBT))
        self._learn(max(seconds, 0.0))
        return Arrival(max(seconds, 0.0), late=False, gap=gap, doubt=self._doubt)

    def state(self) -> dict[str, Any]:
        """Returns what was learned, as a JSON document."""
        return {
            "newest": self._newest,
            "usual": self._usual,
            "count": self._count,
            "late": self._late,
            "doubt": self._doubt,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._newest, self._usual = state["newest"], float(state["usual"])
        self._count, self._late = int(state["count"]), int(state["late"])
        self._doubt = float(state["doubt"])

    def _learn(self, seconds: float) -> None:
        self._count += 1
        if self._count == 1:
            return
        bounded = min(seconds, 3 * self._usual) if self._usual > 0 else seconds
        self._usual += max(GAIN, 1 / (self._count - 1)) * (bounded - self._usual)
