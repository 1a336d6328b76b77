"""What a series is expected to have now, and what it usually misses that by."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise
from typing import Any

from bartizan.alerts.anomaly.anchor import Anchor, Past
from bartizan.alerts.anomaly.base import TRIALS, alarm_surprise, median, within
from bartizan.alerts.anomaly.hours import Place, place_of
from bartizan.alerts.anomaly.levels import CLIP, ERROR_GAIN, SIGMA, Levels, Pace, View, lowered
from bartizan.alerts.anomaly.profile import Profile
from bartizan.alerts.anomaly.spacing import Arrival, Spacing
from bartizan.alerts.anomaly.spread import Spread

WARM_UP = 12
"""Points before the first score."""

YOUNG_POINTS = 8.0
"""Usual errors are widened by this many points divided by those seen."""

FIRST_WEEKEND = 2.0
"""Widens the slow error on a weekend of which no former one tells anything."""

FINE_SECONDS = 1500.0
"""Series with points closer than this have a line drawn between the middles of hours."""

COARSE_SECONDS = 4 * 3600.0
"""Series with points further apart than this have no hours of the day."""

UNKNOWN_POINTS = 2000
"""A series with so many points is known, even if an hour comes for the first time."""

LARGEST = 1e150
"""Values beyond it count as it: their squares are still numbers."""

STEP_SHARE = 0.25
"""No usual error is less than this share of the usual step from a value to another one."""

FLAT_SHARE = 1e-3
"""Nor, while a series was only ever flat, less than this share of its value."""

DISTURBED_GAIN = ERROR_GAIN / 4
"""Errors grow slowly while something is wrong, lest the wrong become the measure."""

SHIFTED_GAIN = 0.05
"""The least gain after a shift: the new level is the normal one after some 50 points."""

CHOICE_SECONDS = 5 * 86_400.0
"""Profiles are compared over about so long."""

CHOICE_GAINS = (1 / 5000, 0.1)
"""Bounds of what that makes of a single point."""

STEP_GAIN = 0.02

TINY = 1e-9
SMALLEST = 1e-300
"""Floors that keep divisions possible."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A value beside one forecast of it; `deviation` is in units of the usual `size`."""

    expected: float
    error: float
    usual: float
    size: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Reading:
    """A value beside the forecast that is best now, and beside the slow one."""

    value: float
    place: Place
    arrival: Arrival
    view: View
    errors: list[float]
    quick: Compared
    slow: Compared
    floor: float
    known: bool
    alarm: float
    flat_points: int | None


@dataclass(frozen=True, slots=True)
class _Errors:
    value: float
    now: list[float]
    old: list[float]
    floor: float

    def compared(self, at: int, usual: list[float], factor: float) -> Compared:
        """Returns the deviation from what is nearer, the level or the one before an alarm."""
        size = max(usual[at], self.floor)
        nearer = min(self.now[at], self.old[at], key=abs)
        return Compared(
            expected=self.value - self.now[at],
            error=self.now[at],
            usual=size,
            size=size * factor,
            deviation=nearer / (size * factor),
        )


class Baseline:
    """Levels, profile and usual errors of one series, and how they learn."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._levels, self._profile, self._spacing = Levels(), Profile(), Spacing()
        self._quick_spread, self._slow_spread = Spread(), Spread()
        self._past = Past(self._levels.level)
        self._anchor: Anchor | None = None
        self._first: list[float] = []
        self._count = 0
        self._last = 0.0
        self._negative = False
        self._step: float | None = None

    @property
    def last(self) -> float:
        """The newest value, 0 before the first."""
        return self._last

    @property
    def least(self) -> float:
        """The least value there can be: 0 while none was below it."""
        return -math.inf if self._negative else 0.0

    def read(self, time: datetime, value: float) -> Reading | None:
        """Returns the reading of a value, or `None` for the first points, which only teach."""
        arrival = self._spacing.arrive(time.timestamp())
        place, value = place_of(time, self._zone), within(value, LARGEST)
        if self._count < WARM_UP:
            self._gather(place, value)
            return None
        return self._reading(value, place, arrival)

    @property
    def disturbed(self) -> bool:
        """True from an alarm until the level is the old one again, or the new one is normal."""
        return self._anchor is not None and not self._anchor.settled

    def learn(self, reading: Reading, *, alarmed: bool, shifted: bool) -> bool:
        """Learns from a reading; returns whether the series has just settled after an alarm."""
        if alarmed and not self.disturbed:
            self._anchor = Anchor(self._past.before(self._levels.level), reading.place.hour)
        if shifted and self._anchor is not None:
            self._anchor.shifted = True
        self._keep_pace(reading)
        for spread, seen in (self._quick_spread, reading.quick), (self._slow_spread, reading.slow):
            spread.learn(reading.place, seen.error / seen.usual)
        slow = reading.slow
        bounded = slow.expected + within(slow.error, CLIP * slow.size)
        self._profile.learn(reading.place, bounded)
        self._note(reading.value)
        return self._anchor is not None and self._settled(reading, self._anchor)

    def state(self) -> dict[str, Any]:
        """Returns what was learned, as a JSON document."""
        return {
            "count": self._count,
            "first": list(self._first),
            "last": self._last,
            "negative": self._negative,
            "step": self._step,
            "levels": self._levels.state(),
            "profile": self._profile.state(),
            "spacing": self._spacing.state(),
            "spread": [list(self._quick_spread.ratios), list(self._slow_spread.ratios)],
            "past": self._past.state(),
            "anchor": self._anchor.state() if self._anchor else None,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self._count, self._first = int(state["count"]), list(state["first"])
        self._last, self._step = float(state["last"]), state["step"]
        self._negative = bool(state["negative"])
        self._levels.restore(state["levels"])
        self._profile.restore(state["profile"])
        self._spacing.restore(state["spacing"])
        quick, slow = state["spread"]
        self._quick_spread.ratios, self._slow_spread.ratios = list(quick), list(slow)
        self._past.restore(state["past"])
        self._anchor = Anchor.from_state(state["anchor"]) if state["anchor"] else None

    def _gather(self, place: Place, value: float) -> None:
        self._first.append(value)
        self._profile.learn(place, value)
        self._note(value)
        if self._count == WARM_UP:
            steps = [abs(b - a) for a, b in pairwise(self._first)]
            middle = median(self._first)
            away = [abs(one - middle) for one in self._first]
            self._levels.start(middle, _usual(away), _usual(steps))
            self._first = []
            self._past = Past(self._levels.level)

    def _reading(self, value: float, place: Place, arrival: Arrival) -> Reading:
        seconds, levels = self._spacing.usual_seconds, self._levels
        day, week = self._profile.at(place, smooth=seconds < FINE_SECONDS)
        coarse = seconds > COARSE_SECONDS
        view = levels.view((None if coarse else day, week))
        errors = [value - one for one in view.forecasts(levels.level)]
        floor = self._floor(value - errors[levels.slow])
        doubt = arrival.doubt * (1 + YOUNG_POINTS / self._count)
        quick, slow = doubt * self._quick_spread.at(place), doubt * self._slow_spread.at(place)
        if levels.seasonal and place.weekend and week is None:
            slow *= FIRST_WEEKEND
        found = _Errors(value, errors, self._old_errors(value, view, errors), floor)
        return Reading(
            value=value,
            place=place,
            arrival=arrival,
            view=view,
            errors=errors,
            quick=found.compared(levels.quick, levels.error, quick),
            slow=found.compared(levels.slow, levels.error, slow),
            floor=floor,
            known=coarse or day is not None or self._count >= UNKNOWN_POINTS,
            alarm=alarm_surprise(seconds) + TRIALS,
            flat_points=self._count if self._step is None else None,
        )

    def _old_errors(self, value: float, view: View, errors: list[float]) -> list[float]:
        if self._anchor is None:
            return errors
        return [value - one for one in view.forecasts(self._anchor.levels)]

    def _floor(self, expected: float) -> float:
        """No usual error is smaller, so that flat series have one."""
        least = abs(expected) * (FLAT_SHARE if self._step is None else TINY)
        return max(STEP_SHARE * (self._step or 0.0), least, SMALLEST)

    def _keep_pace(self, reading: Reading) -> None:
        arrival, early = reading.arrival, 1 / (self._count + 1)
        choice = min(max(arrival.seconds / CHOICE_SECONDS, CHOICE_GAINS[0]), CHOICE_GAINS[1])
        disturbed = self.disturbed
        shifted = disturbed and self._anchor is not None and self._anchor.shifted
        pace = Pace(
            errors=max(DISTURBED_GAIN if disturbed else ERROR_GAIN, early),
            levels=max(early, 1 - 1 / arrival.doubt, SHIFTED_GAIN if shifted else 0.0),
            choice=max(choice, early),
            clip=arrival.doubt,
        )
        self._levels.learn(reading.view, reading.errors, reading.floor, pace)
        self._past.learn(reading.view.moves, self._levels.level)

    def _settled(self, reading: Reading, anchor: Anchor) -> bool:
        old = self._old_errors(reading.value, reading.view, reading.errors)
        quick = old[self._levels.quick] / reading.quick.size
        anchor.learn(reading.view.moves, quick, old[self._levels.slow] / reading.slow.size)
        if anchor.regained:
            self._levels.level, self._anchor = anchor.levels, None
        elif anchor.settling:
            self._settle(anchor)
        else:
            self._anchor = None if anchor.outlived else anchor
            return False
        self._past = Past(self._levels.level)
        return True

    def _settle(self, anchor: Anchor) -> None:
        """Sees what was before as it would have been at the new level."""
        step = self._levels.level[self._levels.slow] - anchor.levels[self._levels.slow]
        self._profile.raise_before(anchor.hour, step)
        self._levels.level = lowered(self._levels.level, step)
        anchor.settle(step)

    def _note(self, value: float) -> None:
        step = abs(value - self._last)
        if step > 0 and self._count:
            before = self._step
            bounded = step if before is None else min(step, 3 * before)
            self._step = step if before is None else before + STEP_GAIN * (bounded - before)
        self._negative = self._negative or value < 0
        self._last = value
        self._count += 1


def _usual(sizes: list[float]) -> float:
    """Returns the standard deviation that these absolute deviations show, outliers bounded."""
    bound = 3 * SIGMA * median(sizes) or max(sizes)
    return SIGMA * math.fsum(min(one, bound) for one in sizes) / len(sizes)
