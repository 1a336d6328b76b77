"""The levels from before something went wrong: to come back to them is no news."""

from collections.abc import Mapping
from typing import Any, Self

from bartizan.alerts.anomaly.base import within
from bartizan.alerts.anomaly.levels import GAINS, WIDTH, lowered

POINTS = 100
"""After so many points away from it, another level is as normal as the old one."""

FORMER_POINTS = 400
"""After so many points the old level is history."""

BACK_POINTS = 6
GAIN = 0.2
NEAR = 0.7
CALM = 1.4
CLIP = 3.0
"""The old level is the level again once deviations from it are small, and small on the average."""

SLOW_GAIN = 0.2
LAG_POINTS = 12
"""An alarm is late: slow levels may have followed what it tells of for as many points or twice."""


class Past:
    """The levels of some points ago."""

    def __init__(self, levels: list[float]) -> None:
        self._older, self._newer = list(levels), list(levels)
        self._age = 0

    def learn(self, moves: list[float], levels: list[float]) -> None:
        """Takes the levels after a point."""
        if any(moves):
            self._older, self._newer = _moved(self._older, moves), _moved(self._newer, moves)
        self._age += 1
        if self._age % LAG_POINTS == 0:
            self._older, self._newer = self._newer, list(levels)

    def before(self, levels: list[float]) -> list[float]:
        """Returns what the levels were before an alarm; the quick ones as they are."""
        return [
            now if GAINS[at % WIDTH] > SLOW_GAIN else self._older[at]
            for at, now in enumerate(levels)
        ]

    def state(self) -> dict[str, Any]:
        """Returns the levels, as a JSON document."""
        return {"older": list(self._older), "newer": list(self._newer), "age": self._age}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._older, self._newer = list(state["older"]), list(state["newer"])
        self._age = int(state["age"])


class Anchor:
    """The levels as they were when an alarm began."""

    def __init__(self, levels: list[float], hour: int) -> None:
        self.levels = list(levels)
        self.hour = hour
        self.age = 0
        self.shifted = False
        self.settled = False
        self._means = [CLIP, CLIP, CLIP]

    def learn(self, moves: list[float], quick: float, slow: float) -> None:
        """Takes the deviations of a point from the old levels, in usual errors."""
        self.levels = _moved(self.levels, moves)
        self.age += 1
        for at, one in enumerate((quick, slow, abs(quick))):
            self._means[at] += GAIN * (within(one, CLIP) - self._means[at])

    @property
    def regained(self) -> bool:
        """True once the series is back at the old level."""
        quick, slow, size = self._means
        near = abs(quick) < NEAR and abs(slow) < NEAR and size < CALM
        return near and self.age >= BACK_POINTS

    @property
    def settling(self) -> bool:
        """True when the series has stayed away for so long that where it is has become normal."""
        return not self.settled and self.age >= POINTS

    @property
    def outlived(self) -> bool:
        """True once it would be news if the series came back."""
        return self.age >= FORMER_POINTS

    def settle(self, step: float) -> None:
        """Keeps the old level in mind; levels relative to a profile have been lowered by a step."""
        self.settled = True
        self.levels = lowered(self.levels, step)

    def state(self) -> dict[str, Any]:
        """Returns the levels, as a JSON document."""
        return {
            "levels": list(self.levels),
            "hour": self.hour,
            "age": self.age,
            "means": list(self._means),
            "shifted": self.shifted,
            "settled": self.settled,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Returns the anchor that `state` described."""
        anchor = cls(list(state["levels"]), int(state["hour"]))
        anchor.age, anchor._means = int(state["age"]), list(state["means"])
        anchor.shifted, anchor.settled = bool(state["shifted"]), bool(state["settled"])
        return anchor


def _moved(levels: list[float], moves: list[float]) -> list[float]:
    return [level + move for level, move in zip(levels, moves, strict=True)]
