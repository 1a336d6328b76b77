"""Durations as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25), ("30s", 30), ("1.5s", 1.5), ("5m", 300), ("24h", 86_400), ("7d", 604_800),
        ("2w", 1_209_600), ("1h30m", 5_400), ("0s", 0), ("1d1h1m1s1ms", 90_061.001),
    ],
)  # fmt: skip
def test_reads(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-5s", "5 s", "1y", "five", "1h 30m", "1..5s", "٣s", "1e3s", "5S"]
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 30s"):
        parse_duration(text)


def test_refuses_what_python_cannot_hold() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("999999999w" * 9)


@given(st.integers(0, 10**12))
def test_writes_what_it_reads(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        value = parse_duration(text)
    except ValueError:
        return
    assert value >= timedelta(0)
