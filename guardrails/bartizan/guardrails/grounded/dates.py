"""Dates and times in texts, as they are written in English and in data."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

_NAMES = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH = (
    r"(?P<{0}>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_DAY = r"(?P<{0}>[0-3]?\d)(?:st|[nr]d|th)?"
_YEAR = r"(?P<{0}>(?:19|20|21)\d\d)\b"

DATE = re.compile(
    rf"(?<![\w.])(?:"
    rf"{_YEAR.format('y1')}[-/.](?P<m1>[01]?\d)[-/.](?P<d1>[0-3]?\d)(?!\d)"
    rf"|(?P<a2>[0-3]?\d)[-/.](?P<b2>[0-3]?\d)[-/.]{_YEAR.format('y2')}"
    rf"|{_MONTH.format('m3')}[ \u00a0]{_DAY.format('d3')}\b(?:,?[ \u00a0]{_YEAR.format('y3')})?"
    rf"|{_DAY.format('d4')}[ \u00a0](?:of )?{_MONTH.format('m4')}"
    rf"(?:,?[ \u00a0]{_YEAR.format('y4')})?"
    rf"|{_MONTH.format('m5')},?[ \u00a0]{_YEAR.format('y5')}"
    rf")",
    re.IGNORECASE,
)
TIME = re.compile(
    r"(?<![\d:.])(?P<h>[0-2]?\d):(?P<m>[0-5]\d)(?::[0-5]\d(?:\.\d+)?)?"
    r"(?:[ \u00a0]?(?P<half>[ap])\.?m\b)?(?![\d:])",
    re.IGNORECASE,
)


class Moment(NamedTuple):
    """A date or a time of day, as far as it is told; 0 is not told, a time has no date."""

    year: int = 0
    month: int = 0
    day: int = 0
    minute: int = -1


def dates(match: re.Match[str]) -> Iterator[Moment]:
    """Yields what a match of DATE may mean: 3/4/2024 is in March or in April."""
    if match["y1"]:
        yield from _valid(match["y1"], match["m1"], match["d1"])
    elif match["y2"]:
        yield from _valid(match["y2"], match["a2"], match["b2"])
        yield from _valid(match["y2"], match["b2"], match["a2"])
    else:
        name = match["m3"] or match["m4"] or match["m5"]
        month = _NAMES.index(name[:3].lower()) + 1
        year = match["y3"] or match["y4"] or match["y5"] or 0
        yield Moment(int(year), month, int(match["d3"] or match["d4"] or 0))


def times(match: re.Match[str]) -> Iterator[Moment]:
    """Yields what a match of TIME means."""
    hour = int(match["h"])
    half = (match["half"] or "").lower()
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    yield Moment(minute=60 * hour + int(match["m"]))


def moments(text: str) -> Iterator[Moment]:
    """Yields the dates and times of a text, whole and in part: a full date has a month in it."""
    for one in chain.from_iterable(map(dates, DATE.finditer(text))):
        yield one
        yield one._replace(year=0)
        yield one._replace(day=0)
    yield from chain.from_iterable(map(times, TIME.finditer(text)))


def _valid(year: str, month: str, day: str) -> Iterator[Moment]:
    if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
        yield Moment(int(year), int(month), int(day))
