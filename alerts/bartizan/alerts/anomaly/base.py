"""What every detector takes and returns, and what a score means."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

ALARM = 0.99
"""The score that is meant to wake someone."""

ALARM_SURPRISE = 3.8
"""Minus log10 of how rare an alarm is at 5-minute points: one in 6,300, or in three weeks."""

EASIER = 0.55
"""By so much less surprise is an alarm for each tenfold of the spacing: a day tells more than five
minutes do, and who looks at days cannot wait for 6,300 of them."""

BOUNDS = (2.7, 4.5)
"""Of what that makes of it: one point in 500, and one in 32,000."""

TRIALS = math.log10(3.0)
"""Several looks at one point find something the more often: taken off the surprise of each."""

MOST_SURPRISE = 300.0


@dataclass(frozen=True, slots=True)
class AnomalyScore:
    """How odd a value is, from 0 to 1, and the range in which it would not have been odd."""

    score: float
    expected: float
    low: float
    high: float


class Detector(Protocol):
    """Scores the points of one series in the order in which they come."""

    def update(self, time: datetime, value: float) -> AnomalyScore:
        """Returns the score of a point by what came before it, then learns from the point."""
        ...

    def state(self) -> dict[str, Any]:
        """Returns all that was learned, as a small JSON document."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues where the detector that wrote this state stood.

        Raises `ValueError` for a document that `state()` of the same detector did not write.
        """
        ...


def alarm_surprise(seconds: float) -> float:
    """Returns the surprise from which points so far apart are an alarm."""
    wanted = ALARM_SURPRISE - EASIER * math.log10(max(seconds, 1.0) / 300)
    return min(max(wanted, BOUNDS[0]), BOUNDS[1])


def score_of(surprise: float, alarm: float) -> float:
    """Returns the score of a surprise, where another one is an alarm.

    Linear up to 0.99; above, it comes ever closer to 1, so that worse stays distinguishable.
    """
    if surprise <= alarm:
        return ALARM * max(surprise, 0.0) / alarm
    return 1.0 - (1.0 - ALARM) * (alarm / surprise) ** 2


def median(values: list[float]) -> float:
    """Returns the median of a list that is not empty; much faster than numpy's for a few values."""
    ordered, middle = sorted(values), len(values) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return ordered[middle - 1] / 2 + ordered[middle] / 2


def within(value: float, bound: float) -> float:
    """Returns the value, or the nearer of `-bound` and `bound`."""
    return -bound if value < -bound else bound if value > bound else value


def surprise_of(probability: float) -> float:
    """Returns minus log10 of a probability, at most `MOST_SURPRISE`."""
    return -math.log10(probability) if probability > 1e-300 else MOST_SURPRISE
