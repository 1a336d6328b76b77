"""From a sample to a level."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.alerting_support import rule

from bartizan.alerts.conditions import Because, Outcome, judge
from bartizan.alerts.samples import Sample
from bartizan.alerts.values import Level

OK, WARNING, CRITICAL = Level.OK, Level.WARNING, Level.CRITICAL


def cost(**keys: Any) -> Any:
    return rule(metric="cost", **{"critical": 10, **keys})


@pytest.mark.parametrize(
    ("operator", "levels"),
    [(">", [OK, OK, CRITICAL]), (">=", [OK, CRITICAL, CRITICAL]),
     ("<", [CRITICAL, OK, OK]), ("<=", [CRITICAL, CRITICAL, OK])],
)  # fmt: skip
def test_operators(operator: str, levels: list[Level]) -> None:
    made = cost(operator=operator)
    assert [judge(made, Sample(value)).level for value in (9, 10, 11)] == levels


def test_levels_and_recovery() -> None:
    made = cost(warning=5, recovery=3)
    told = [(value, current, judge(made, Sample(value), current).level) for value, current in [
        (4, OK), (6, OK), (11, OK), (11, WARNING), (6, CRITICAL), (4, CRITICAL), (4, WARNING),
        (3, WARNING), (3, CRITICAL),
    ]]  # fmt: skip
    assert [level for *_, level in told] == [
        OK, WARNING, CRITICAL, CRITICAL, WARNING, WARNING, WARNING, OK, OK,
    ]  # fmt: skip
    kept = judge(made, Sample(4), WARNING)
    assert (kept.because, kept.threshold) == (Because.NOT_RECOVERED, 5)


def test_downward_recovery() -> None:
    made = cost(operator="<", critical=10, recovery=20)
    assert judge(made, Sample(15), OK).level is OK
    assert judge(made, Sample(15), CRITICAL).level is CRITICAL
    assert judge(made, Sample(20), CRITICAL).level is OK


@pytest.mark.parametrize("sample", [
    None, Sample(None), Sample(math.nan), Sample(math.inf), Sample(0.0, samples=0),
])  # fmt: skip
def test_no_data_is_never_zero(sample: Sample | None) -> None:
    below = cost(operator="<", critical=1)
    assert judge(below, sample).outcome is Outcome.NO_DATA
    assert judge(cost(no_data="keep_last"), sample).outcome is Outcome.KEEP
    ok = judge(cost(no_data="ok"), sample)
    assert (ok.outcome, ok.level, ok.because) == (Outcome.LEVEL, OK, Because.NO_DATA)
    alert = judge(cost(no_data="alert"), sample)
    assert (alert.outcome, alert.level, alert.value) == (Outcome.LEVEL, CRITICAL, None)


def test_too_few_samples_say_nothing() -> None:
    made = rule(min_samples=20)
    few = judge(made, Sample.share(19, 19), CRITICAL)
    assert (few.outcome, few.because, few.value, few.samples) == (
        Outcome.KEEP, Because.TOO_FEW, 1.0, 19,
    )  # fmt: skip
    assert judge(made, Sample.share(20, 20)).level is CRITICAL


def test_a_gauge_needs_no_samples() -> None:
    made = rule(metric="time_since_last_span", critical=600)
    assert judge(made, Sample(700, samples=0)).level is CRITICAL


def test_chance_does_not_wake_anybody() -> None:
    plain, sure = rule(critical=0.05), rule(critical=0.05, wilson=True)
    few, many = Sample.share(1, 10), Sample.share(100, 1_000)
    assert judge(plain, few).level is CRITICAL
    assert (judge(sure, few).level, judge(sure, few).because) == (OK, Because.CHANCE)
    assert judge(sure, many).level is CRITICAL
    # What fires does not end because fewer are left to look at.
    assert judge(sure, few, CRITICAL).level is CRITICAL
    assert judge(sure, Sample.share(0, 10), CRITICAL).level is OK


def test_downward_shares_use_the_upper_bound() -> None:
    made = rule(operator="<", critical=0.5, wilson=True)
    assert judge(made, Sample.share(1, 3)).because is Because.CHANCE
    assert judge(made, Sample.share(100, 300)).level is CRITICAL


def test_sampled_items_count_for_what_they_stand_for() -> None:
    sample = Sample.weighted_share([(True, 0.01), *[(False, 1.0)] * 100])
    assert sample.value == pytest.approx(0.5)
    assert sample.samples == 101
    # One item that stands for a hundred is one item all the same.
    assert sample.counted is not None
    assert sample.counted[1] < 4
    assert judge(rule(critical=0.3, wilson=True), sample).because is Because.CHANCE
    assert Sample.weighted_mean([(10, 0.5), (40, 1)]).value == pytest.approx(20)
    assert Sample.weighted_mean([]).value is None


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.001, 1))
def test_equal_weights_change_nothing(bad: int, good: int, rate: float) -> None:
    items = [(True, rate)] * bad + [(False, rate)] * good
    plain, weighted = Sample.share(bad, bad + good), Sample.weighted_share(items)
    assert weighted.value == pytest.approx(plain.value)
    assert weighted.counted == pytest.approx(plain.counted)


def test_ratios() -> None:
    made = rule(metric="tokens", compare="ratio", divisor="request_count", critical=1_000)
    assert judge(made, Sample(30_000, divisor=10)).value == 3_000
    for divisor in (None, 0.0, math.nan):
        told = judge(made, Sample(30_000, divisor=divisor))
        assert (told.outcome, told.because) == (Outcome.KEEP, Because.NO_DIVISOR)


@pytest.mark.parametrize(
    ("now", "before", "change"),
    [(15, 10, 0.5), (5, 10, -0.5), (10, 10, 0), (0, 0, 0), (5, 0, 1e6), (-5, 0, -1e6),
     (5, -10, 1.5)],
)  # fmt: skip
def test_changes(now: float, before: float, change: float) -> None:
    made = cost(compare="last_week", critical=0.4)
    assert judge(made, Sample(now, last_week=Sample(before))).value == pytest.approx(change)


def test_without_a_week_before_nothing_is_said() -> None:
    made = cost(compare="last_week", critical=0.4, min_samples=5)
    for before in (None, Sample(None), Sample(10, samples=4)):
        told = judge(made, Sample(15, samples=9, last_week=before), CRITICAL)
        assert (told.outcome, told.because) == (Outcome.KEEP, Because.NO_LAST_WEEK)


def test_anomalies() -> None:
    made = cost(compare="anomaly", critical=0.99, direction="up")
    assert judge(made, Sample(9, score=0.995, expected=5)).level is CRITICAL
    assert judge(made, Sample(1, score=0.995, expected=5)).level is OK
    both = cost(compare="anomaly", critical=0.99)
    assert judge(both, Sample(1, score=0.995, expected=5)).level is CRITICAL
    assert judge(both, Sample(1)).because is Because.LEARNING


VALUES = st.one_of(st.none(), st.floats())


@given(VALUES, st.integers(0, 50), VALUES, VALUES, st.sampled_from(list(Level)))
def test_whatever_was_measured_has_an_outcome_that_json_can_hold(
    value: float | None, samples: int, other: float | None, score: float | None, current: Level
) -> None:
    for keys in ({}, {"compare": "last_week"}, {"compare": "ratio", "divisor": "tokens"},
                 {"compare": "anomaly", "critical": 0.9}):  # fmt: skip
        sample = Sample(value, samples, divisor=other, last_week=Sample(other, 9), score=score)
        told = judge(cost(**keys), sample, current)
        assert told.outcome is not Outcome.ERROR
        assert told.value is None or not math.isnan(told.value)
