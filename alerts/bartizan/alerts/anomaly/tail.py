"""How rare a deviation is in this series, learned from the deviations that it had."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bartizan.alerts.anomaly.base import MOST_SURPRISE, surprise_of
from bartizan.alerts.anomaly.histogram import (
    EDGES,
    LOWER,
    MIDDLES,
    Floats,
    Histogram,
    bin_of,
    survival_of,
)

TAIL_SHARE = 0.04
"""The share of largest deviations to which the tail is fitted."""

PRIOR_POINTS = 120.0
FREEDOM = 5.0
"""Student's t is assumed until the series has shown its own tails."""

SHAPE = 0.2
SHAPE_POINTS = 80.0
"""The shape that is assumed, and how many points in the tail that is worth."""

SHAPES = (0.04, 0.5)
"""Generalised Pareto shapes: 0 falls off exponentially, above 0.5 there is no variance."""


@dataclass(frozen=True, slots=True)
class _Fit:
    edge: float
    share: float
    shape: float
    width: float
    survival: list[float]


class Tail:
    """The distribution of deviations above zero: empirical in its body, fitted in its tail.

    A series with heavy tails so gets wider limits than a calm one, without a setting.
    """

    def __init__(self) -> None:
        self._seen = Histogram(_PRIOR, PRIOR_POINTS)
        self._fit = _fitted(self._seen.weights)

    def surprise(self, deviation: float) -> float:
        """Returns minus log10 of the share of points that deviate as much or more."""
        fit = self._fit
        if deviation <= fit.edge:
            return self._in_body(deviation)
        reach = 1.0 + fit.shape * (deviation - fit.edge) / fit.width
        return min(MOST_SURPRISE, surprise_of(fit.share) + math.log10(reach) / fit.shape)

    def limit(self, surprise: float) -> float:
        """Returns the deviation that has this surprise, one that lies in the tail."""
        fit = self._fit
        beyond = max(surprise - surprise_of(fit.share), 0.0)
        return fit.edge + fit.width * (math.pow(10.0, beyond * fit.shape) - 1.0) / fit.shape

    def learn(self, deviation: float) -> None:
        """Counts a deviation; the caller bounds those that are not to widen the tail."""
        if self._seen.learn(deviation):
            self._fit = _fitted(self._seen.weights)

    def state(self) -> dict[str, Any]:
        """Returns what was counted, as a JSON document."""
        return self._seen.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._seen.restore(state)
        self._fit = _fitted(self._seen.weights)

    def _in_body(self, deviation: float) -> float:
        at = bin_of(deviation)
        low = float(LOWER[at])
        share = min(1.0, max(0.0, (deviation - low) / (float(EDGES[at]) - low)))
        here, above = self._fit.survival[at : at + 2]
        return surprise_of(here + share * (above - here))


def _student(freedom: float) -> Floats:
    """Returns the shares of one side of Student's t; the other side counts as no deviation."""
    density = (1 + MIDDLES**2 / freedom) ** (-(freedom + 1) / 2) * (EDGES - LOWER)
    shares: Floats = density / density.sum() / 2
    shares[0] += 0.5
    return shares


_PRIOR = _student(FREEDOM)


def _fitted(weights: Floats) -> _Fit:
    survival = survival_of(weights)
    at = max(1, int(np.count_nonzero(survival >= TAIL_SHARE)) - 1)
    shape, width = _pareto(MIDDLES[at:] - LOWER[at], weights[at:])
    edges = [*survival.tolist(), 0.0]
    return _Fit(float(LOWER[at]), edges[at], shape, width, edges)


def _pareto(excess: Floats, weights: Floats) -> tuple[float, float]:
    """Returns a shape and the width with which the median is right, whatever outliers there are.

    The shape is that of probability-weighted moments (Hosking and Wallis, 1987).
    """
    total = float(weights.sum())
    mean = float(weights @ excess) / total
    below = np.cumsum(weights) - weights / 2
    outer = float((weights * excess) @ (total - below)) / total**2
    shape = 2.0 - mean / max(mean - 2.0 * outer, 1e-9 * mean)
    shape = (shape * total + SHAPE * SHAPE_POINTS) / (total + SHAPE_POINTS)
    shape = min(max(shape, SHAPES[0]), SHAPES[1])
    middle = float(np.interp(total / 2, below, excess))
    return shape, middle * shape / (2.0**shape - 1.0)
