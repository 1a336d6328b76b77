"""Mute windows: times of the week, by the clock of a place."""

import re
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from bartizan.alerts.documents import Document, Id, TimeZone, unknown
from bartizan.plugins.config import PluginConfig

DAY_MINUTES = 24 * 60
_TIME = re.compile(r"([0-9]{1,2}):([0-5][0-9])")


class Weekday(StrEnum):
    """A day of the week."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


_DAYS = tuple(Weekday)


def _clock(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        # YAML 1.1 reads 22:00 without quotes as a number of base 60.
        return value
    if isinstance(value, str) and (written := _TIME.fullmatch(value)):
        return int(written[1]) * 60 + int(written[2])
    raise ValueError("must be a time of day such as 06:30 or 24:00")


def _written(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _days(value: object) -> object:
    """Spells ranges out: `mon-fri`, and `sat-mon` over the end of the week."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list | tuple):
        return value
    return list(dict.fromkeys(day for part in value for day in _spelled_out(part)))


def _spelled_out(part: object) -> list[Weekday]:
    if not isinstance(part, str):
        raise ValueError("a weekday is one of mon, tue, wed, thu, fri, sat and sun")
    first, dash, last = (text.strip().lower() for text in part.partition("-"))
    for day in (first, last) if dash else (first,):
        if day not in _DAYS:
            raise ValueError(unknown("weekday", day, _DAYS))
    start = _DAYS.index(Weekday(first))
    count = (_DAYS.index(Weekday(last)) - start) % 7 + 1 if dash else 1
    return [_DAYS[(start + index) % 7] for index in range(count)]


TimeOfDay = Annotated[
    int,
    BeforeValidator(_clock),
    Field(ge=0, le=DAY_MINUTES),
    PlainSerializer(_written, return_type=str, when_used="json"),
]
"""Minutes since midnight, by the clock on the wall."""


class TimeRange(PluginConfig):
    """A part of a day. It starts on the weekdays that are listed and may end on the next day."""

    weekdays: Annotated[tuple[Weekday, ...], BeforeValidator(_days)] = Field(
        _DAYS, min_length=1, description="Days on which it starts: `[mon-fri]`. Default: all."
    )
    start: TimeOfDay = Field(0, description="From when: `22:00`.")
    end: TimeOfDay = Field(
        DAY_MINUTES, description="Until when; not after the start means the next day."
    )

    def holds(self, weekday: int, minute: int) -> bool:
        """Tells whether it holds at a minute of a day; Monday is 0."""
        if self.start < self.end:
            return _DAYS[weekday] in self.weekdays and self.start <= minute < self.end
        if minute >= self.start:
            return _DAYS[weekday] in self.weekdays
        return minute < self.end and _DAYS[weekday - 1] in self.weekdays


class MuteWindow(Document):
    """Times at which a route is quiet, or the only ones at which it is not."""

    id: Id = Field(description="Routes name it.")
    description: str = Field("", max_length=2_000, description="Why it is there.")
    time_zone: TimeZone = Field("UTC", description="By which clock: `Europe/Berlin`.")
    times: tuple[TimeRange, ...] = Field(
        min_length=1, max_length=64, description="One of them is enough."
    )

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if any(one.start == DAY_MINUTES for one in self.times):
            raise ValueError("a day starts at 00:00, and 24:00 is only its end")
        return self

    def holds(self, now: datetime) -> bool:
        """Tells whether it holds at a moment."""
        local = now.astimezone(self._zone)
        minute = local.hour * 60 + local.minute
        return any(one.holds(local.weekday(), minute) for one in self.times)

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)


def at_night(time_zone: str, start_hour: int, end_hour: int) -> MuteWindow:
    """Returns the window of the nights of a place."""
    return MuteWindow(
        id="night",
        time_zone=time_zone,
        times=(TimeRange(start=start_hour * 60, end=end_hour * 60),),
    )
