"""Twelve simple forecasters of the next value, each with its usual error."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bartizan.alerts.anomaly.base import within
from bartizan.alerts.anomaly.profile import Pair

GAINS = (0.7, 0.25, 0.06, 0.01)
"""How far a level moves towards a new value: from nearly the last one to a mean of a hundred."""

PROFILES = 3
"""Deviations from nothing, from what is usual by day, and from what is usual by week."""

WIDTH = len(GAINS)
COUNT = PROFILES * WIDTH

CLIP = 3.0
"""Errors count up to this many times their usual size: an outlier hardly moves a level."""

PREFERENCE = (1.0, 1.02, 1.04)
"""A profile with less behind it has to be better, not as good."""

ERROR_GAIN = 1 / 150

SIGMA = 1.2616
"""Standard deviation of a normal distribution by its mean absolute deviation, clipped."""


@dataclass(frozen=True, slots=True)
class View:
    """What is usual at one moment, and what that makes of the level of each forecaster."""

    profile: tuple[float | None, ...]
    moves: list[float]

    def forecasts(self, levels: Sequence[float]) -> list[float]:
        """Returns what forecasters with these levels expect."""
        return [
            level + move + (self.profile[at // WIDTH] or 0.0)
            for at, (level, move) in enumerate(zip(levels, self.moves, strict=True))
        ]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast to learn from a value: least gains, and the gain of the choice of a profile."""

    errors: float
    levels: float
    choice: float
    clip: float


def lowered(levels: Sequence[float], step: float) -> list[float]:
    """Returns the levels with a step taken off all that are relative to a profile."""
    return [one if at < WIDTH else one - step for at, one in enumerate(levels)]


class Levels:
    """Level plus profile is a forecast; the one with the smallest usual error is believed.

    Forecasters are numbered by profile, then by gain.
    """

    def __init__(self) -> None:
        self.level = [0.0] * COUNT
        self.error = [0.0] * COUNT
        self._profile: tuple[float | None, ...] = (0.0, None, None)
        self._quality = [0.0] * PROFILES
        self._best = 0

    def start(self, level: float, error: float, step: float) -> None:
        """Sets all forecasters to a level, the quickest with the usual step as their error."""
        self.level = [level] * COUNT
        self.error = [step if gain > 0.5 else error for _ in range(PROFILES) for gain in GAINS]
        self._quality = [error] * PROFILES

    @property
    def seasonal(self) -> bool:
        """True while a profile is better than none."""
        return self._best > 0

    @property
    def slow(self) -> int:
        """The number of the slowest forecaster with the best profile."""
        return (self._best + 1) * WIDTH - 1

    @property
    def quick(self) -> int:
        """The number of the forecaster with the smallest error among those of the best profile."""
        first = self._best * WIDTH
        return min(range(first, first + WIDTH), key=self.error.__getitem__)

    def view(self, usual: Pair) -> View:
        """Returns the view where this is usual by day and by week."""
        day, week = usual
        profile = (0.0, day, day if week is None else week)
        # A profile that begins or ends changes what a level is relative to, not the forecast.
        moves = [
            (before or 0.0) - (now or 0.0) if (before is None) != (now is None) else 0.0
            for before, now in zip(self._profile, profile, strict=True)
        ]
        return View(profile, [moves[at // WIDTH] for at in range(COUNT)])

    def learn(self, view: View, errors: Sequence[float], floor: float, pace: Pace) -> None:
        """Moves levels and usual errors towards the errors of a view."""
        for at, error in enumerate(errors):
            clipped = within(error, CLIP * pace.clip * max(self.error[at], floor))
            self.level[at] += view.moves[at] + max(GAINS[at % WIDTH], pace.levels) * clipped
            self.error[at] += pace.errors * (abs(clipped) * SIGMA - self.error[at])
        self._profile = view.profile
        self._choose(errors, floor, pace.choice)

    def state(self) -> dict[str, Any]:
        """Returns levels and errors, as a JSON document."""
        return {
            "level": list(self.level),
            "error": list(self.error),
            "profile": list(self._profile),
            "quality": list(self._quality),
            "best": self._best,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.level, self.error = list(state["level"]), list(state["error"])
        self._profile = tuple(state["profile"])
        self._quality, self._best = list(state["quality"]), int(state["best"])

    def _choose(self, errors: Sequence[float], floor: float, gain: float) -> None:
        """Follows the profile whose slow forecaster errs least over some days."""
        bound = 2 * CLIP * max(min(self._quality), floor)
        for at in range(PROFILES):
            error = abs(errors[at * WIDTH + WIDTH - 1])
            self._quality[at] += gain * (min(error, bound) - self._quality[at])
        worth = [one * least for one, least in zip(self._quality, PREFERENCE, strict=True)]
        self._best = worth.index(min(worth))
