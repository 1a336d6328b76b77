"""Slow drift and level shifts: small deviations that all go one way."""

import math
from collections.abc import Mapping
from typing import Any

from bartizan.alerts.anomaly.base import within
from bartizan.alerts.anomaly.baseline import Reading
from bartizan.alerts.anomaly.sums import CumulatedSum

ALLOWANCES = (0.5, 0.15)
"""What each point may deviate, in usual errors: for shifts, and for drift."""

CLIP = 3.0
"""A single point adds no more than this."""

BIAS_GAIN = 1 / 600
MOST_BIAS = 1.0
"""A steady trend keeps the slow forecast behind by a constant, which is not news for ever."""

MEMORY_GAIN = 1 / 300
MEMORY_PRIOR = 0.2
MEMORY_PRIOR_POINTS = 10
MEMORY_CLIP = 2.0
MOST_MEMORY = 0.98
"""Of the correlation of a deviation with the one before it."""

KEPT_AFTER_GAP = 0.5


class Shifts:
    """Judges the last points together."""

    def __init__(self) -> None:
        self._sums = [(sign, CumulatedSum(one)) for one in ALLOWANCES for sign in (1.0, -1.0)]
        self._bias = 0.0
        self._square, self._product, self._before = 1.0, MEMORY_PRIOR, 0.0
        self._points = MEMORY_PRIOR_POINTS

    def judge(self, reading: Reading) -> float:
        """Returns the surprise of the points up to this one.

        It is 0 at hours of the first day: of a curve by day and night nothing is known yet.
        """
        if not reading.known:
            return 0.0
        deviation = self._deviation(reading)
        return max(one.surprise(sign * deviation) for sign, one in self._sums)

    def learn(self, reading: Reading, *, teach: bool) -> None:
        """Adds a point to the sums; with `teach`, what they are now counts as usual."""
        deviation = self._deviation(reading) if reading.known else 0.0
        for sign, one in self._sums:
            if reading.arrival.gap:
                one.value *= KEPT_AFTER_GAP
            one.learn(sign * deviation, reading.alarm, teach=teach and reading.known)
        if teach:
            self._remember(within(reading.slow.deviation, CLIP))

    def forget(self) -> None:
        """Sets the sums to zero: what they told of is over, or is normal by now."""
        for _, one in self._sums:
            one.value = 0.0

    def state(self) -> dict[str, Any]:
        """Returns the sums and how large they use to be, as a JSON document."""
        return {
            "memory": [self._bias, self._square, self._product, self._before],
            "points": self._points,
            "sums": [one.state() for _, one in self._sums],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._bias, self._square, self._product, self._before = state["memory"]
        self._points = int(state["points"])
        for (_, one), saved in zip(self._sums, state["sums"], strict=True):
            one.restore(saved)

    def _deviation(self, reading: Reading) -> float:
        """Returns what a point adds to the sums.

        Deviations that depend on the ones before them tell less each: their sum has the variance
        of independent ones after this factor (of an autoregressive series of order 1).
        """
        memory = min(max(self._product / self._square, 0.0), MOST_MEMORY)
        own = within(reading.slow.deviation, CLIP) - self._bias
        return own * math.sqrt((1 - memory) / (1 + memory))

    def _remember(self, deviation: float) -> None:
        self._bias = within(self._bias + BIAS_GAIN * (deviation - self._bias), MOST_BIAS)
        clipped = within(deviation, MEMORY_CLIP)
        self._points += 1
        gain = max(MEMORY_GAIN, 1 / self._points)
        self._square += gain * (clipped * clipped - self._square)
        self._product += gain * (clipped * self._before - self._product)
        self._before = clipped
