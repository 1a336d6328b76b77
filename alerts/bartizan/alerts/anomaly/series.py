"""Reads a series from CSV."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("timestamp", "value")

EPOCH_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Numbers from so large on are nanoseconds, microseconds, milliseconds; below, seconds."""

MISSING = ("", "null", "none", "na")


class BadRow(ValueError):
    """A line that is no point; the message is a sentence with its number."""


@dataclass(frozen=True, slots=True)
class Point:
    """A line of the series: its time and number, and how both were written."""

    time: datetime
    value: float
    written: tuple[str, str]


def points(lines: Iterable[str], zone: tzinfo) -> Iterator[Point]:
    """Returns the points of a CSV with the columns timestamp and value; others are ignored.

    A value that is empty or nan is a missing one. Times without an offset are of the zone.
    Raises `BadRow` here for the header, and later at the first line that is neither blank nor a
    point.
    """
    reader = csv.reader(lines)
    return _points(reader, _columns(next(reader, [])), zone)


def _points(reader: "Reader", columns: tuple[int, int], zone: tzinfo) -> Iterator[Point]:
    newest: datetime | None = None
    for row in _rows(reader):
        if row:
            point = _point(row, columns, zone, newest, reader.line_num)
            newest = point.time if newest is None else max(newest, point.time)
            yield point


def _rows(reader: "Reader") -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error:
        raise BadRow(f"line {reader.line_num + 1}: this is no CSV") from None


def _columns(header: list[str]) -> tuple[int, int]:
    names = [name.strip().lstrip("\ufeff").lower() for name in header]
    if missing := [name for name in COLUMNS if name not in names]:
        raise BadRow(f"line 1: the header has no column {missing[0]}; it has to be timestamp,value")
    return names.index(COLUMNS[0]), names.index(COLUMNS[1])


def _point(
    row: list[str], columns: tuple[int, int], zone: tzinfo, newest: datetime | None, line: int
) -> Point:
    if len(row) <= max(columns):
        raise BadRow(
            f"line {line}: a row needs a timestamp and a value, here are {len(row)} fields"
        )
    when, value = row[columns[0]].strip(), row[columns[1]].strip()
    try:
        time = _time(when, zone, newest)
    except (ValueError, OverflowError, OSError):
        raise BadRow(f"line {line}: {when[:40]!r} is no time (ISO 8601 or epoch)") from None
    try:
        return Point(time, float("nan" if value.lower() in MISSING else value), (when, value))
    except ValueError:
        raise BadRow(f"line {line}: {value[:40]!r} is no number") from None


def _time(text: str, zone: tzinfo, newest: datetime | None) -> datetime:
    try:
        number = float(text)
    except ValueError:
        return _from_iso(text, zone, newest)
    unit = next((unit for least, unit in EPOCH_UNITS if abs(number) >= least), 1.0)
    return datetime.fromtimestamp(number / unit, UTC)


def _from_iso(text: str, zone: tzinfo, newest: datetime | None) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone)
        # In the hour that is on the clock twice a year, the second one comes after the first.
        second = time.replace(fold=1)
        if newest is not None and time.astimezone(UTC) < newest <= second.astimezone(UTC):
            time = second
    return time.astimezone(UTC)
