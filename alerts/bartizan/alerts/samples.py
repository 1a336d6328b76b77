"""What was measured in one window for one group of a rule."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Sample:
    """What one window of one group came to.

    Attributes:
        value: the metric; None if there is nothing to compute it from.
        samples: how many spans, scores or answers it was made from, unweighted.
        hits: of a share: how many were bad, weighted by what each stands for.
        total: of a share: how many there were, likewise.
        squares: of a share: the sum of the squared weights; None if each counts once.
        divisor: of a ratio: the metric to divide by.
        last_week: of a change: the same window a week ago.
        score: of an anomaly: how odd the value is, from 0 to 1.
        expected: of an anomaly: the value that would not have been odd, between `low` and `high`.
    """

    value: float | None
    samples: int = 1
    hits: float | None = None
    total: float | None = None
    squares: float | None = None
    divisor: float | None = None
    last_week: "Sample | None" = None
    score: float | None = None
    expected: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def share(cls, hits: int, total: int) -> Self:
        """Returns a share of things that count once each."""
        return cls(hits / total if total else None, total, hits, total)

    @classmethod
    def weighted_share(cls, items: Iterable[tuple[bool, float]]) -> Self:
        """Returns the share of the bad among sampled items: (bad, its sampling rate)."""
        weights = [(bad, 1 / rate) for bad, rate in items if rate > 0]
        total = math.fsum(weight for _, weight in weights)
        hits = math.fsum(weight for bad, weight in weights if bad)
        squares = math.fsum(weight * weight for _, weight in weights)
        return cls(hits / total if total else None, len(weights), hits, total, squares)

    @classmethod
    def weighted_mean(cls, items: Iterable[tuple[float, float]]) -> Self:
        """Returns the mean of sampled items: (value, its sampling rate)."""
        weights = [(value, 1 / rate) for value, rate in items if rate > 0]
        total = math.fsum(weight for _, weight in weights)
        mean = math.fsum(value * weight for value, weight in weights) / total if total else None
        return cls(mean, len(weights))

    @property
    def counted(self) -> tuple[float, float] | None:
        """Hits and total as a plain count would have to be to say as much; None of no share."""
        if self.hits is None or self.total is None:
            return None
        if not self.squares:
            return self.hits, self.total
        # Kish's effective size: few items with large weights say little.
        scale = self.total / self.squares
        return self.hits * scale, self.total * scale
