"""Detectors on series of the kinds that on-call sees; all are made from seeds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest

from bartizan.alerts.anomaly import ALARM, detector

START = datetime(2024, 1, 1, tzinfo=UTC)
Floats = npt.NDArray[np.float64]


def random() -> np.random.Generator:
    return np.random.default_rng(20240101)


def alarms(values: Floats, seconds: int = 300, name: str = "auto") -> npt.NDArray[np.int64]:
    """The numbers of the points that are alarms."""
    judge = detector(name)
    times = [START + timedelta(seconds=seconds * at) for at in range(len(values))]
    scores = [judge.update(t, float(v)).score for t, v in zip(times, values, strict=True)]
    return np.flatnonzero(np.array(scores) >= ALARM)


def by_day(count: int, a_day: int = 288) -> Floats:
    return np.asarray(100 + 40 * np.sin(2 * np.pi * np.arange(count) / a_day))


@pytest.mark.parametrize("seconds", [60, 300, 3600, 86_400])
def test_first_points_are_no_alarm(seconds: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).normal(50, 5, 60)
        assert len(alarms(values, seconds)) == 0


def noise(kind: str, source: np.random.Generator) -> Floats:
    match kind:
        case "normal":
            return source.normal(10, 1, 4032)
        case "poisson":
            return source.poisson(by_day(4032) / 10).astype(np.float64)
        case "heavy":
            return source.standard_t(3, 4032)
        case _:
            return np.convolve(source.normal(size=4051), np.ones(20), "valid")


@pytest.mark.parametrize("kind", ["normal", "poisson", "heavy", "remembering"])
def test_noise_alone_is_rarely_an_alarm(kind: str) -> None:
    assert len(alarms(noise(kind, random()))) <= 4


@pytest.mark.parametrize("size", [-12.0, 12.0])
def test_spike_is_an_alarm_at_once_and_only_it(size: float) -> None:
    values = by_day(2000) + random().normal(0, 2, 2000)
    values[1500] += 2 * size
    assert alarms(values).tolist() == [1500]
    assert alarms(values, name="seasonal").tolist() == [1500]


def test_shift_is_an_alarm_and_then_the_new_normal() -> None:
    values = 20 + random().normal(0, 2, 2500)
    values[1500:] += 8
    for name in ("auto", "drift"):
        found = alarms(values, name=name)
        assert 1500 <= found[0] <= 1512
        assert found[-1] < 1500 + 150


def test_slow_drift_is_seen_by_the_drift_detector() -> None:
    values = 20 + random().normal(0, 2, 2500)
    values[1500:] += np.minimum(np.arange(1000) / 20, 15)
    found = alarms(values, name="drift")
    assert 1500 <= found[0] <= 1700


def test_day_without_its_curve_is_an_alarm() -> None:
    values = by_day(2880) + random().normal(0, 4, 2880)
    values[2340:2412] = 100
    found = alarms(values)
    assert 2340 <= found[0] <= 2352


def test_outage_and_its_end_are_one_alarm() -> None:
    values = by_day(2500) + random().normal(0, 4, 2500)
    values[2000:2040] = 0
    found = alarms(values)
    assert found[0] == 2000
    assert 2035 <= found[-1] <= 2060
    assert np.diff(found).max() <= 3


def test_old_outliers_do_not_hide_new_ones() -> None:
    values = 50 + random().normal(0, 2, 4000)
    values[1000:2800:300] += 60
    assert set(range(1000, 2800, 300)) <= set(alarms(values).tolist())


def test_counts_near_zero() -> None:
    values = random().poisson(0.05, 4000).astype(float)
    values[3000] = 9
    found = alarms(values)
    assert 3000 in found
    assert len(found) <= 3


def test_values_after_a_gap_are_judged_by_their_hour() -> None:
    values = by_day(3000) + random().normal(0, 4, 3000)
    values[1700:2000] = np.nan
    assert len(alarms(values)) == 0


def test_late_points_are_scored_and_teach_nothing() -> None:
    judge, other = detector(), detector()
    for at, value in enumerate(50 + random().normal(0, 2, 500)):
        time = START + timedelta(minutes=5 * at)
        kept = other.update(time, value)
        assert judge.update(time, value) == kept
        if at == 400:
            late = judge.update(time - timedelta(hours=1), 500.0)
            assert late.score >= ALARM


def test_wrong_clock_does_not_silence_for_ever() -> None:
    judge = detector()
    values = 50 + random().normal(0, 2, 600)
    judge.update(START + timedelta(days=20_000), 50.0)
    for at, value in enumerate(values):
        judge.update(START + timedelta(minutes=5 * at), value)
    assert judge.update(START + timedelta(minutes=3000), 90.0).score >= ALARM


def test_hours_are_those_of_the_time_zone_when_clocks_are_moved() -> None:
    zone = ZoneInfo("Europe/Berlin")
    source = random()

    def highest(name: str) -> float:
        judge, scores = detector("auto", ZoneInfo(name)), []
        for at in range(24 * 28):
            time = datetime(2024, 3, 10, tzinfo=UTC) + timedelta(hours=at)
            busy = 8 <= time.astimezone(zone).hour < 18
            score = judge.update(time, (100.0 if busy else 10.0) + source.normal(0, 2)).score
            scores.append(score if time > datetime(2024, 3, 31, 1, tzinfo=UTC) else 0.0)
        return max(scores)

    assert highest("Europe/Berlin") < ALARM <= highest("UTC")


def test_low_and_high_are_where_a_spike_becomes_an_alarm() -> None:
    source = random()
    values = source.normal(50, 2, 1000)
    for beyond in (-0.5, 0.5):
        judge = detector("seasonal")
        for at, value in enumerate(values):
            last = judge.update(START + timedelta(minutes=5 * at), value)
        probe = detector("seasonal")
        probe.restore(judge.state())
        time = START + timedelta(minutes=5000)
        band = judge.update(time, 50.0)
        assert (probe.update(time, band.high + beyond).score >= ALARM) == (beyond > 0)
    assert last.low < 50 < last.high
