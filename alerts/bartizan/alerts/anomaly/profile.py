"""What is usual at an hour of the day and of the week: medians over former days and weeks."""

import math
from collections.abc import Mapping
from typing import Any

from bartizan.alerts.anomaly.base import median
from bartizan.alerts.anomaly.hours import HOURS_A_DAY, HOURS_A_WEEK, Place, is_weekend

WEEKS = 6
"""How far back the median of an hour of the week looks."""

DAYS = 14
"""How far back that of an hour of the day looks, among weekdays or among days of a weekend."""

RING = WEEKS * HOURS_A_WEEK

MOST_VALUES = 64
"""Of one hour. Of faster series every second value is dropped as often as needed."""

Pair = tuple[float | None, float | None]


class Profile:
    """The median of each hour of the last six weeks, and from these what an hour usually has."""

    def __init__(self) -> None:
        self._hours: list[float | None] = [None] * RING
        self._newest: int | None = None
        self._open: int | None = None
        self._values: list[float] = []
        self._every, self._skipped = 1, 0
        self._usual: dict[int, Pair] = {}

    def at(self, place: Place, *, smooth: bool) -> Pair:
        """Returns what is usual by day and by week, `None` where no former visit is known.

        `smooth` draws a line between the middles of hours, for series with many points an hour.
        """
        here = self._usual_of(place.hour)
        if not smooth:
            return here
        off = place.part - 0.5
        there = self._usual_of(place.hour + (1 if off > 0 else -1))
        return _between(here[0], there[0], abs(off)), _between(here[1], there[1], abs(off))

    def learn(self, place: Place, value: float) -> None:
        """Takes a value into its hour, which counts once it is over."""
        if place.hour != self._open:
            self._close()
            self._open = place.hour
        self._skipped += 1
        if self._skipped >= self._every:
            self._skipped = 0
            self._values.append(value)
        if len(self._values) >= MOST_VALUES:
            self._values = self._values[::2]
            self._every *= 2

    def raise_before(self, hour: int, step: float) -> None:
        """Moves all hours before one by a step: the past as it would be at today's level."""
        if self._newest is None:
            return
        for back in range(RING):
            at = self._newest - back
            value = self._hours[at % RING]
            if at < hour and value is not None:
                self._hours[at % RING] = value + step
        self._usual.clear()

    def state(self) -> dict[str, Any]:
        """Returns the hours, as a JSON document."""
        return {
            "hours": self._hours if self._newest is not None else [],
            "newest": self._newest,
            "open": self._open,
            "values": list(self._values),
            "every": [self._every, self._skipped],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._hours = list(state["hours"]) or [None] * RING
        self._newest, self._open = state["newest"], state["open"]
        self._values = list(state["values"])
        self._every, self._skipped = state["every"]
        self._usual.clear()
        if len(self._hours) != RING:
            raise ValueError("the hours of a profile are not complete")

    def _close(self) -> None:
        if self._open is None or not self._values:
            return
        hour, newest = self._open, self._newest
        if newest is not None:
            for missed in range(max(newest + 1, hour - RING), hour):
                self._hours[missed % RING] = None
        self._hours[hour % RING] = _short(median(self._values))
        self._newest = hour if newest is None else max(hour, newest)
        self._values, self._every, self._skipped = [], 1, 0
        self._usual.clear()

    def _usual_of(self, hour: int) -> Pair:
        if hour not in self._usual:
            day = [hour - HOURS_A_DAY * back for back in range(1, DAYS + 1)]
            alike = [one for one in day if is_weekend(one) == is_weekend(hour)]
            week = [hour - HOURS_A_WEEK * back for back in range(1, WEEKS + 1)]
            first = self._median(alike)
            self._usual[hour] = (self._median(day) if first is None else first, self._median(week))
        return self._usual[hour]

    def _median(self, hours: list[int]) -> float | None:
        newest = self._newest
        if newest is None:
            return None
        known = (self._hours[at % RING] for at in hours if newest - RING < at <= newest)
        found = [value for value in known if value is not None]
        return median(found) if found else None


def _between(here: float | None, there: float | None, share: float) -> float | None:
    if here is None or there is None:
        return here
    return here * (1 - share) + there * share


def _short(value: float) -> float:
    """Returns the value to seven digits: more would only make the state longer."""
    return float(f"{value:.7g}") if math.isfinite(value) else value
