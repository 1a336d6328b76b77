"""Detectors: what holds for every series."""

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bartizan.alerts.anomaly import ALARM, DETECTORS, AnomalyScore, Detector, detector

NAMES = list(DETECTORS)
START = datetime(2024, 3, 1, tzinfo=UTC)

any_float = st.floats(allow_nan=True, allow_infinity=True)
usual_float = st.floats(-1000, 1000)
any_seconds = st.integers(-7200, 86_400 * 3)


@st.composite
def series(draw: st.DrawFn) -> list[tuple[datetime, float]]:
    """Any values at any spacing: late points, gaps, repetitions, flat stretches."""
    values = draw(st.lists(st.one_of(usual_float, any_float), min_size=1, max_size=60))
    repeat = draw(st.integers(1, 4))
    step = draw(st.sampled_from([0, 1, 300, 3600, 86_400]))
    jumps = draw(st.dictionaries(st.integers(0, 240), any_seconds, max_size=5))
    rows, time = [], START
    for at, value in enumerate(one for one in values for _ in range(repeat)):
        time += timedelta(seconds=step + jumps.get(at, 0))
        rows.append((time, value))
    return rows


def scored(judge: Detector, rows: Iterable[tuple[datetime, float]]) -> list[AnomalyScore]:
    return [judge.update(time, value) for time, value in rows]


def every(seconds: int, values: Sequence[float]) -> list[tuple[datetime, float]]:
    return [(START + timedelta(seconds=seconds * at), value) for at, value in enumerate(values)]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(rows=series())
def test_any_series_has_scores_in_bounds(name: str, rows: list[tuple[datetime, float]]) -> None:
    for one in scored(detector(name), rows):
        assert 0.0 <= one.score <= 1.0
        assert math.isfinite(one.expected)
        assert one.low <= one.expected <= one.high


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(rows=series(), cut=st.integers(0, 240))
def test_a_row_depends_on_nothing_after_it(
    name: str, rows: list[tuple[datetime, float]], cut: int
) -> None:
    assert scored(detector(name), rows[:cut]) == scored(detector(name), rows)[:cut]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, deadline=None)
@given(rows=series(), cut=st.integers(0, 240))
def test_restored_state_continues_as_if_nothing_had_been(
    name: str, rows: list[tuple[datetime, float]], cut: int
) -> None:
    first, second = detector(name), detector(name)
    scored(first, rows[:cut])
    second.restore(json.loads(json.dumps(first.state(), allow_nan=False)))
    assert scored(first, rows[cut:]) == scored(second, rows[cut:])
    assert first.state() == second.state()


@pytest.mark.parametrize("name", NAMES)
def test_state_of_a_long_series_round_trips_and_is_small(name: str) -> None:
    values = [100 + 40 * math.sin(at / 46) + (at * 7919 % 13) for at in range(3000)]
    values[2000:2060] = [400.0] * 60
    rows = every(300, values)
    first, second = detector(name), detector(name)
    scored(first, rows[:2050])
    text = json.dumps(first.state(), allow_nan=False)
    second.restore(json.loads(text))
    assert scored(first, rows[2050:]) == scored(second, rows[2050:])
    assert len(json.dumps(second.state())) < 30_000


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [{"version": 0}, {"detector": "other"}, {"baseline": {}}])
def test_state_of_something_else_is_refused(name: str, damage: dict[str, object]) -> None:
    state = detector(name).state()
    with pytest.raises(ValueError, match=name):
        detector(name).restore({**state, **damage})


def test_unknown_detector_is_refused() -> None:
    with pytest.raises(KeyError):
        detector("prophet")


@pytest.mark.parametrize("name", NAMES)
def test_missing_values_change_nothing(name: str) -> None:
    values = [float(at % 7) for at in range(100)]
    rows = every(300, values)
    holes = [(time, math.nan) for time, _ in rows]
    with_holes = [row for pair in zip(rows, holes, strict=True) for row in pair]
    assert scored(detector(name), with_holes)[::2] == scored(detector(name), rows)
    assert all(one.score == 0 for one in scored(detector(name), with_holes)[1::2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0.0, 5.0, -1e300, 1e-300])
def test_constant_series_is_never_an_alarm(name: str, value: float) -> None:
    assert all(one.score < 0.5 for one in scored(detector(name), every(300, [value] * 2000)))


def test_first_change_of_a_constant_series_is_an_alarm_once_it_was_constant_long() -> None:
    young = scored(detector(), every(300, [5.0] * 30 + [9.0]))
    grown = scored(detector(), every(300, [5.0] * 1000 + [9.0]))
    assert young[-1].score < ALARM <= grown[-1].score
