"""Small statistics for people who decide by them."""

import math
from typing import NamedTuple

Z_95 = 1.959963984540054
"""The standard normal quantile of 0.975."""


class Interval(NamedTuple):
    """A share, and the ends of the interval around it."""

    value: float
    lower: float
    upper: float


def wilson(hits: float, total: float, z: float = Z_95) -> Interval:
    """Returns a share with its score interval; 0 to 1 when nothing was counted.

    Counts need not be whole: weighted ones are not.
    Source: Wilson, Probable inference, the law of succession, and statistical inference (1927).
    """
    if total <= 0:
        return Interval(0.0, 0.0, 1.0)
    share = hits / total
    scale = 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(max(0.0, share * (1 - share) / total) + (z / total) ** 2 / 4)
    # At the ends it is exact, and the roots of above are not.
    lower = max(0.0, middle - half) if hits > 0 else 0.0
    upper = min(1.0, middle + half) if hits < total else 1.0
    return Interval(share, lower, upper)


def quantile(sorted_values: list[float], share: float) -> float:
    """Returns the value below which a share of the values lies; 0 of none."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]
