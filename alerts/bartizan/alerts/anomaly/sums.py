"""One cumulated sum (Page's CUSUM), and how large it usually gets."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from bartizan.alerts.anomaly.histogram import LOWER, Floats, Histogram, survival_of

PRIOR_POINTS = 300.0

OVERSHOOT = 1.166
"""A sum of normal deviations exceeds x with probability exp(-2 allowance (x + this))."""

CAUTION = 0.9
"""Takes some off that exponent: real deviations are not quite normal nor independent."""

BODY_SHARE = 0.1
"""Sums are compared with theory where so many are larger; what is rare hardly moves that."""

STRETCH = (1.0, 6.0)
"""Real sums are as large as those of theory or so many times larger."""

MOST = 1.06
"""A sum stops at so many times the limit of an alarm, and falls soon once its cause is gone."""


class CumulatedSum:
    """Grows by deviations above an allowance, to one side, and is never below zero."""

    def __init__(self, allowance: float) -> None:
        self._allowance = allowance
        self._rate = 2 * allowance * CAUTION
        self._seen = Histogram(_prior(2 * allowance), PRIOR_POINTS)
        self._stretch = 1.0
        self.value = 0.0

    def surprise(self, deviation: float) -> float:
        """Returns the surprise of the sum with one more deviation."""
        total = self._after(deviation)
        return self._rate * (total / self._stretch + OVERSHOOT) / _LN10 if total > 0 else 0.0

    def learn(self, deviation: float, alarm: float, *, teach: bool) -> None:
        """Adds a deviation; with `teach`, how large the sum is now counts as usual."""
        limit = self._stretch * (alarm * _LN10 / self._rate - OVERSHOOT)
        self.value = min(self._after(deviation), MOST * limit)
        if teach and self._seen.learn(self.value):
            self._measure()

    def state(self) -> dict[str, Any]:
        """Returns the sum and what was counted, as a JSON document."""
        return {"value": self.value, "seen": self._seen.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.value = float(state["value"])
        self._seen.restore(state["seen"])
        self._measure()

    def _after(self, deviation: float) -> float:
        return max(0.0, self.value + deviation - self._allowance)

    def _measure(self) -> None:
        survival = survival_of(self._seen.weights)
        usual = float(np.interp(-BODY_SHARE, -survival, LOWER))
        theory = -math.log(BODY_SHARE) / (2 * self._allowance) - OVERSHOOT
        self._stretch = min(max(usual / theory, STRETCH[0]), STRETCH[1])


_LN10 = math.log(10.0)


def _prior(rate: float) -> Floats:
    above = np.append(np.exp(-rate * (LOWER + OVERSHOOT)), 0.0)
    above[0] = 1.0
    return -np.diff(above)
