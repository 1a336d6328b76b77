"""How often a series had deviations of which size, in a few hundred bytes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SMALLEST = 0.25
"""Upper edge of the first bin, in units of the usual deviation."""

GROWTH = 1.08
"""Each bin is this much wider than the one before."""

BINS = 112
"""Up to 1,280 times the usual deviation."""

MEMORY = 8192
"""Counts are halved at this many: about four weeks of 5-minute points stay in view."""

BATCH = 32
"""Deviations that are gathered before they count."""

LARGEST = 1000.0
"""What is larger counts as this."""

EDGES: Floats = SMALLEST * np.power(GROWTH, np.arange(BINS, dtype=np.float64))
LOWER: Floats = np.concatenate(([0.0], EDGES[:-1]))
MIDDLES: Floats = (LOWER + EDGES) / 2
_LOG_GROWTH = math.log(GROWTH)


def bin_of(deviation: float) -> int:
    """Returns the bin of a deviation."""
    if deviation <= SMALLEST:
        return 0
    return min(BINS - 1, 1 + int(math.log(deviation / SMALLEST) / _LOG_GROWTH))


class Histogram:
    """Counts by size, on top of what was assumed before the first one."""

    def __init__(self, prior: Floats, points: float) -> None:
        """Starts with a distribution that is worth so many points."""
        self._prior = prior
        self._points = points
        self._counts: Floats = np.zeros(BINS)
        self._recent: list[int] = []

    @property
    def weights(self) -> Floats:
        """What is in each bin."""
        return self._counts + self._points * self._prior

    def learn(self, deviation: float) -> bool:
        """Counts a deviation; returns whether the weights have changed by now."""
        self._recent.append(bin_of(deviation))
        if len(self._recent) < BATCH:
            return False
        self._counts += np.bincount(self._recent, minlength=BINS)
        self._recent.clear()
        if self._counts.sum() >= MEMORY:
            self._counts = np.floor(self._counts / 2)
            self._points /= 2
        return True

    def state(self) -> dict[str, Any]:
        """Returns the counts, as a JSON document."""
        used = int(np.max(np.nonzero(self._counts)[0], initial=-1)) + 1
        counts = [int(one) for one in self._counts[:used]]
        return {"counts": counts, "recent": list(self._recent), "prior": self._points}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._counts = np.zeros(BINS)
        self._counts[: len(state["counts"])] = state["counts"]
        self._recent = [int(one) for one in state["recent"]]
        self._points = float(state["prior"])


def survival_of(weights: Floats) -> Floats:
    """Returns the share of deviations from the lower edge of each bin on."""
    above: Floats = np.cumsum(weights[::-1])[::-1]
    shares: Floats = above / above[0]
    return shares
