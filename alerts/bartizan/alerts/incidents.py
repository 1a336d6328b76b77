"""Incidents that people know of: what a rule tried on history should have caught."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from bartizan.plugins.errors import ConfigError

MAX_INCIDENTS = 10_000


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which something was wrong."""

    start: datetime
    end: datetime

    def overlaps(self, start: datetime, end: datetime | None) -> bool:
        """Tells whether it shares a moment with a span; None says that the span is not over."""
        return start <= self.end and (end is None or end >= self.start)


def parse_incidents(text: str, where: str = "incidents") -> tuple[Incident, ...]:
    """Returns the incidents of a CSV with the columns start and end, in the order of their starts.

    Times are RFC 3339; without a zone they are UTC. Raises ConfigError that names the line.
    """
    found = tuple(_read(text, where))
    if len(found) > MAX_INCIDENTS:
        raise ConfigError("TOO_MANY_INCIDENTS", f"{where}: at most {MAX_INCIDENTS} incidents")
    return tuple(sorted(found, key=lambda one: (one.start, one.end)))


def _read(text: str, where: str) -> Iterator[Incident]:
    reader = csv.reader(text.lstrip("\ufeff").splitlines(), skipinitialspace=True)
    try:
        for number, row in enumerate(reader, 1):
            cells = [cell.strip() for cell in row]
            is_header = number == 1 and [cell.lower() for cell in cells[:2]] == ["start", "end"]
            if any(cells) and not is_header:
                yield _incident(cells, f"{where}: line {number}")
    except csv.Error as error:
        raise ConfigError("INVALID_CSV", f"{where}: this is not CSV: {error}") from None


def _incident(cells: list[str], where: str) -> Incident:
    if len(cells) < 2:
        raise ConfigError("INVALID_CSV", f"{where}: needs two times: start,end")
    start, end = (_time(cell, where) for cell in cells[:2])
    if end < start:
        raise ConfigError("INVALID_CSV", f"{where}: the end is before the start")
    return Incident(start, end)


def _time(text: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "INVALID_CSV", f"{where}: a time is written as 2026-03-01T14:00:00Z"
        ) from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
