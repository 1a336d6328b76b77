"""Filters of templates: how numbers are written. Each takes time by the length of its input."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bartizan.plugins.durations import format_duration

NOTHING = "no data"
MAX_DIGITS = 12
MAX_SECONDS = 10**9
_THOUSAND = 1_000


def shown(value: Any) -> Any:
    """Returns what a template writes for a value: short numbers, times in UTC."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, timedelta):
        return format_duration(value)
    return value


def _round(value: float | None, digits: int = 0) -> str:
    if value is None:
        return NOTHING
    return f"{value:.{max(0, min(MAX_DIGITS, digits))}f}"


def _percent(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else f"{_round(value * 100, digits)} %"


def _duration(value: float | timedelta | None) -> str:
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    seconds = max(-MAX_SECONDS, min(MAX_SECONDS, seconds))
    whole = timedelta(seconds=round(abs(seconds), 0 if abs(seconds) >= 1 else 3))
    return f"{'-' if seconds < 0 else ''}{format_duration(whole)}"


def _default(value: Any, other: Any) -> Any:
    return other if value is None or value == "" else value


def _truncate(value: Any, length: int = 80) -> str:
    text = str(value)
    return text if len(text) <= length else text[: max(0, length - 1)] + "…"


def _absolute(value: float | None) -> float | None:
    return None if value is None else abs(value)


def with_unit(value: float | None, unit: str) -> str:
    """Returns a value as people read it: 5.2 %, 1m30s, 250 ms, $12.50, 1,200 tokens."""
    if value is None:
        return NOTHING
    if unit == "ratio":
        return _percent(value)
    if unit == "s":
        return _duration(value)
    if unit == "ms":
        return f"{value:.0f} ms" if abs(value) < 10 * _THOUSAND else _duration(value / _THOUSAND)
    if unit == "USD":
        return f"${value:,.2f}" if abs(value) >= 0.01 or not value else f"${value:.2g}"
    number = f"{value:,.0f}" if abs(value) >= _THOUSAND else f"{value:.4g}"
    return f"{number} {unit}".rstrip()


def _upper(value: Any) -> str:
    return str(value).upper()


def _lower(value: Any) -> str:
    return str(value).lower()


FILTERS: Mapping[str, Callable[..., Any]] = {
    "round": _round,
    "percent": _percent,
    "duration": _duration,
    "default": _default,
    "truncate": _truncate,
    "abs": _absolute,
    "upper": _upper,
    "lower": _lower,
    "with_unit": with_unit,
}
