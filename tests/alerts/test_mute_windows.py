"""Times of the week, by the clock of a place."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.alerts.mute_windows import MuteWindow, at_night
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.yaml_text import read_yaml


def window(text: str) -> MuteWindow:
    document: Any = read_yaml(text, "window")
    return parse_config(MuteWindow, {"id": "w", **document}, "window")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_office_hours() -> None:
    office = window("times: [{weekdays: mon-fri, start: 09:00, end: 17:30}]")
    assert office.holds(utc("2026-03-02T09:00"))
    assert office.holds(utc("2026-03-02T17:29"))
    assert not office.holds(utc("2026-03-02T17:30"))
    assert not office.holds(utc("2026-03-07T12:00"))


def test_a_night_belongs_to_the_day_on_which_it_starts() -> None:
    # Without quotes, YAML reads 22:00 as a number of base 60.
    night = window("times: [{weekdays: [fri], start: 22:00, end: 06:00}]")
    assert night.times[0].start == 22 * 60
    assert night.holds(utc("2026-03-06T23:00"))
    assert night.holds(utc("2026-03-07T05:59"))
    assert not night.holds(utc("2026-03-07T06:00"))
    assert not night.holds(utc("2026-03-06T05:00"))
    assert not night.holds(utc("2026-03-07T23:00"))


def test_the_end_of_the_week_is_no_end() -> None:
    weekend = window("times: [{weekdays: sat-mon}]")
    assert [weekend.holds(utc("2026-03-02T12:00") + timedelta(days=day)) for day in range(7)] == [
        True, False, False, False, False, True, True,
    ]  # fmt: skip


def test_daylight_saving_is_the_clock_on_the_wall() -> None:
    morning = window("{time_zone: Europe/Berlin, times: [{start: 08:00, end: 09:00}]}")
    assert morning.holds(utc("2026-03-28T07:30"))
    assert not morning.holds(utc("2026-03-28T06:30"))
    assert morning.holds(utc("2026-03-30T06:30"))
    assert not morning.holds(utc("2026-03-30T07:30"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{time_zone: Europe/Berln, times: [{}]}", "did you mean 'Europe/Berlin'?"),
        ("{times: [{weekdays: [mo]}]}", "there is no weekday 'mo'"),
        ("{times: [{weekdays: [mon-fry]}]}", "did you mean 'fri'?"),
        ("{times: [{weekdays: [[1]]}]}", "a weekday is one of mon"),
        ("{times: [{start: '25:00'}]}", "times[0].start"),
        ("{times: [{start: '9'}]}", "must be a time of day such as 06:30"),
        ("{times: [{start: '\u0660\u0669:\u0660\u0660'}]}", "must be a time of day"),
        ("{times: [{start: '24:00', end: '06:00'}]}", "a day starts at 00:00"),
        ("{times: []}", "times"),
    ],
)
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        window(text)
    assert said in caught.value.message


@given(st.integers(0, 1_439), st.integers(1, 1_440), st.integers(0, 7 * 1_440 - 1))
def test_a_range_and_the_rest_of_the_day_are_the_day(start: int, end: int, minute: int) -> None:
    made = {"times": [{"start": start, "end": end}]}
    now = utc("2026-03-02T00:00") + timedelta(minutes=minute)
    inside = parse_config(MuteWindow, {"id": "w", **made}, "w").holds(now)
    of_day = minute % 1_440
    expected = start <= of_day < end if start < end else of_day >= start or of_day < end
    assert inside is expected


def test_nights() -> None:
    nights = at_night("Asia/Tokyo", 22, 7)
    assert nights.holds(utc("2026-03-02T14:00"))
    assert not nights.holds(utc("2026-03-02T22:00"))


def test_the_document_is_as_people_write_it() -> None:
    made = window("times: [{weekdays: mon-tue, start: 22:00, end: 06:00}]")
    assert made.document == {
        "id": "w",
        "times": [{"weekdays": ["mon", "tue"], "start": "22:00", "end": "06:00"}],
    }
    assert parse_config(MuteWindow, made.document, "w") == made
