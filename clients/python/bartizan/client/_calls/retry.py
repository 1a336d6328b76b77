"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Backoff:
    """Exponential waiting times with full jitter, so that many clients do not return at once.

    Attributes:
        first_s: the longest wait after the first failure, in seconds.
        longest_s: no wait is longer than this, in seconds.
        random: returns a number from 0 to 1; passed in by tests.
    """

    first_s: float = 0.1
    longest_s: float = 10.0
    random: Callable[[], float] = field(default=random.random, repr=False)

    def delay_s(self, failures: int, asked_s: float | None = None) -> float:
        """Returns how many seconds to wait after so many failures in a row (1 or more).

        A delay that the server asked for is kept, and jitter comes on top of it.
        """
        # Past 2**30 the cap has long been reached, and the power would overflow a float.
        ceiling = min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return (asked_s or 0.0) + ceiling * self.random()
