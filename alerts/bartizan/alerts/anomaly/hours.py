"""Where a moment stands in the week of a time zone."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

HOURS_A_DAY = 24
HOURS_A_WEEK = 168

_WEEKDAY_OF_EPOCH = 3
"""1 January 1970 was a Thursday; Monday is 0."""


def is_weekend(hour: int) -> bool:
    """Returns whether an hour since 1970 is on a Saturday or a Sunday."""
    return (hour // HOURS_A_DAY + _WEEKDAY_OF_EPOCH) % 7 >= 5


@dataclass(frozen=True, slots=True)
class Place:
    """A moment on the clock on the wall: hours since 1970, and how much of the hour is over."""

    hour: int
    part: float

    @property
    def weekend(self) -> bool:
        """True on Saturday and Sunday."""
        return is_weekend(self.hour)

    @property
    def slot(self) -> int:
        """The hour of the day, from 0, and from 24 at weekends."""
        return self.hour % HOURS_A_DAY + (HOURS_A_DAY if self.weekend else 0)


SLOTS = 2 * HOURS_A_DAY


def place_of(time: datetime, zone: tzinfo) -> Place:
    """Returns the place of an aware time: the same hour all year, also where clocks are moved."""
    local = time.astimezone(zone).replace(tzinfo=UTC).timestamp() / 3600
    hour = math.floor(local)
    return Place(hour, local - hour)
