"""Durations as people write them: 30s, 24h, 1h30m, 250ms."""

import re
from datetime import timedelta

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|[smhdw])")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> timedelta:
    """Returns the duration that a text such as "1h30m" says.

    Raises:
        ValueError: it is not of that form, or longer than Python can hold.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError("must be a duration such as 30s, 5m, 24h, 7d or 1h30m")
    try:
        return sum(
            (float(number) * _UNITS[unit] for number, unit in _PART.findall(text)), timedelta()
        )
    except OverflowError:
        raise ValueError("is too long a duration") from None


def format_duration(value: timedelta) -> str:
    """Returns a duration in the form that `parse_duration` reads, exact to the millisecond."""
    left = round(value / timedelta(milliseconds=1))
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        size = round(_UNITS[unit] / timedelta(milliseconds=1))
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
