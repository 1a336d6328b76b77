"""Log-bucketed latencies: counts that add up across any window and group.

A duration of d nanoseconds counts in bucket ceil(log(d) / log(GAMMA)); every duration of a bucket
is within 1 % of the value that stands for it. The method is DDSketch's (Masson, Rim, Lee:
"DDSketch", VLDB 2019), with a fixed set of buckets.
"""

import math
from collections.abc import Mapping

ACCURACY = 0.01
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / math.log(GAMMA)


def bucket_of(duration_ns: int) -> int:
    """Returns the bucket of a duration in nanoseconds; 0 for one of at most a nanosecond."""
    return math.ceil(math.log(duration_ns) * _PER_LOG) if duration_ns > 1 else 0


def value_of(bucket: int) -> float:
    """Returns the nanoseconds that stand for a bucket."""
    return 2 * GAMMA**bucket / (GAMMA + 1) if bucket else 1.0


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """Returns the q-quantile in nanoseconds of counts by bucket, q in [0, 1]; None of nothing."""
    total = sum(counts.values())
    if not total:
        return None
    rank = q * (total - 1)
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen > rank:
            return value_of(bucket)
    raise AssertionError("counts do not add up")
