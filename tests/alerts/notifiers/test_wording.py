from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.alerts.notifiers.wording import (
    clean,
    duration,
    measured,
    message_of,
    quantity,
    safe_url,
)
from bartizan.plugins.notification import Status
from bartizan.plugins.notifier_testing import BEGUN, many, notification


@pytest.mark.parametrize(
    ("value", "unit", "told"),
    [
        (0.124, "ratio", "12.4 %"),
        (12.0, "ratio", "1,200 %"),
        (0.0, "", "0"),
        (3.10, "USD", "$3.10"),
        (850.0, "ms", "850 ms"),
        (1_234.0, "ms", "1.23 s"),
        (250_000.0, "ms", "4 min 10 s"),
        (7_384.0, "s", "2 h 3 min"),
        (1_234_567.0, "tokens", "1,234,567 tokens"),
        (float("nan"), "ratio", "no number"),
        (float("-inf"), "s", "no number"),
    ],
)
def test_quantities(value: float, unit: str, told: str) -> None:
    assert quantity(value, unit) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (59.6, "1 min"), (720, "12 min"), (90_061, "1 d 1 h"), (11_100, "3 h 5 min")],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_values_against_thresholds() -> None:
    alert = notification().alerts[0]
    assert measured(alert) == "12.4 % (threshold > 5 %)"
    assert measured(replace(alert, operator="")) == "12.4 % (threshold 5 %)"
    assert measured(replace(alert, threshold=None)) == "12.4 %"
    assert measured(replace(alert, value=None)) == "no data"


def test_who_asks_at_night_gets_answers_in_order() -> None:
    message = message_of(notification(), 10)
    assert message.headline == "CRITICAL: Error rate of the checkout agent is high"
    assert message.since == BEGUN
    assert message.facts[0].name == "Value"
    assert [link.text for link in message.links] == ["Why it fired", "Silence", "Open"]
    assert not message.lines


def test_what_is_over_says_how_long_it_took_and_needs_no_silence() -> None:
    ended = replace(notification().alerts[0], ends_at=BEGUN + timedelta(hours=2))
    message = message_of(notification(status=Status.RESOLVED, alerts=(ended,)), 10)
    assert message.word == "RESOLVED"
    assert message.lasted == "2 h"
    assert "Silence" not in [link.text for link in message.links]


def test_several_alerts_are_told_apart() -> None:
    message = message_of(many(12), 10)
    assert len(message.lines) == 10
    assert message.more == 42
    assert message.lines[3].text.startswith("agent=agent 3 ")
    assert message.facts[0].value == "6 firing, 6 resolved, and 40 more"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.com",
        "https://",
        "https://[::1",
        "https://example.com/a b",
        "https://example.com/\r\n",
        "https://ex\u00e4mple.com",
        f"https://example.com/{'x' * 2_000}",
    ],
)
def test_addresses_nobody_should_click_on(url: str) -> None:
    assert safe_url(url) == ""


def test_addresses_fit_every_channel() -> None:
    assert safe_url("https://a.example/b?c=<d>|'\"&e=1") == (
        "https://a.example/b?c=%3Cd%3E%7C%27%22&e=1"
    )


@given(st.text(st.characters(), max_size=300), st.integers(1, 100))
def test_clean_text_is_one_line_that_can_be_sent(text: str, most: int) -> None:
    told = clean(text, most)
    assert len(told) <= most
    assert len(told.splitlines()) <= 1
    told.encode()
