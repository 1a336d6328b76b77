"""A rule over history, through the real machine and the real dispatcher."""

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.alerts.alerting_support import START, at, rule

from bartizan.alerts.backtest import Point, Setting, backtest
from bartizan.alerts.incidents import Incident, parse_incidents
from bartizan.alerts.mute_windows import MuteWindow, TimeRange, at_night
from bartizan.alerts.routes import Route
from bartizan.alerts.samples import Sample
from bartizan.alerts.silences import Silence
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.notification import Reason

BAD, GOOD = Sample.share(20, 100), Sample.share(1, 100)


def history(text: str, group: tuple[str, ...] = ()) -> Iterator[Point]:
    """Yields a point a minute: x is bad, a dot is good, a blank is no data."""
    for minute, look in enumerate(text):
        if look != " ":
            yield Point(at(minute), group, BAD if look == "x" else GOOD)


def test_what_on_call_would_have_seen() -> None:
    report = backtest(rule(**{"for": "3m"}), history("." * 10 + "x" * 30 + "." * 20))
    [page] = report.pages
    assert (page.at, page.reason) == (at(13.5), Reason.FIRST)
    assert (page.value, page.threshold, page.started_at) == (0.2, 0.1, at(10))
    [episode] = report.episodes
    assert (episode.fired_at, episode.ended_at, episode.paged_at) == (at(13), at(40), at(13.5))
    assert report.longest == episode
    assert report.notifications == {"first notification": 1, "all alerts resolved": 1}
    assert (report.looks, report.at_night, report.flaps) == (60, 0, 0)
    assert (report.start, report.end) == (at(0), at(59))


def test_short_troubles_wake_nobody() -> None:
    report = backtest(rule(**{"for": "5m"}), history("..xxxx...." * 10))
    assert (report.pages, report.episodes) == ([], [])


def test_nights_are_those_of_the_place() -> None:
    points = list(history("x" * 10))
    assert backtest(rule(), points).at_night == 0
    tokyo = Setting(nights=at_night("Asia/Tokyo", 21, 7))
    assert backtest(rule(), points, tokyo).at_night == 1


def test_flaps_are_told_once() -> None:
    report = backtest(rule(), history("xx..." * 20 + "." * 60))
    assert report.flaps == 1
    assert len(report.episodes) == 3
    assert len(report.pages) <= 3


def test_incidents_caught_missed_and_false_alarms() -> None:
    text = "." * 60 + "x" * 30 + "." * 90 + "x" * 10 + "." * 200
    incidents = (
        Incident(at(58), at(95)),
        Incident(at(300), at(320)),
    )
    report = backtest(rule(), history(text), Setting(incidents=incidents))
    assert [one.delay for one in report.caught] == [timedelta(minutes=2.5), None]
    assert [one.fired_at for one in report.false_alarms] == [at(180)]


def test_a_page_after_the_incident_is_no_catch() -> None:
    incident = Incident(at(0), at(12))
    slow = rule(**{"for": "20m"})
    report = backtest(slow, history("x" * 60), Setting(incidents=(incident,)))
    assert report.caught[0].delay is None


def test_silences_and_windows_count() -> None:
    silence = Silence.model_validate(
        {"id": "s", "matchers": ["alertname=error-rate"], "starts_at": at(0), "ends_at": at(90),
         "comment": "x"}
    )  # fmt: skip
    report = backtest(rule(), history("x" * 60), Setting(silences=(silence,)))
    assert (report.pages, len(report.episodes)) == ([], 1)
    assert report.episodes[0].paged_at is None
    assert report.held["SILENCED"] > 0
    noon = MuteWindow(id="noon", times=(TimeRange(start=12 * 60, end=13 * 60),))
    quiet = Route(channels=(), routes=(Route(channels=("x",), mute_windows=("noon",)),))
    muted = backtest(rule(), history("x" * 120), Setting(route=quiet, mute_windows=(noon,)))
    assert [page.at for page in muted.pages] == [at(60.5)]


def test_groups_and_the_cut() -> None:
    watched = rule(group_by=["agent"], max_groups=2)
    points = [Point(at(m), (agent,), BAD) for m in range(10) for agent in "abc"]
    report = backtest(watched, points)
    assert (report.groups, report.cut, len(report.pages)) == (2, 1, 1)


def test_a_hole_in_the_history_is_no_data() -> None:
    report = backtest(rule(), history("xxx" + " " * 20 + "..."))
    assert report.looks == 26
    assert report.episodes[0].ended_at == at(23)


def test_anomalies_are_scored_on_the_way() -> None:
    watched = rule(metric="cost", compare="anomaly", critical=0.99, operator=">=")
    noise = random.Random(7)
    points = [
        Point(at(m), (), Sample(90.0 if 900 <= m < 903 else noise.gauss(3.0, 0.3)))
        for m in range(1_000)
    ]
    report = backtest(watched, points)
    assert [one.fired_at for one in report.episodes] == [at(900)]
    scored = [point._replace(sample=replace(point.sample, score=0.0)) for point in points]
    assert backtest(watched, scored).episodes == []


def test_no_history_is_no_report() -> None:
    with pytest.raises(ValueError, match="no history"):
        backtest(rule(), [])


def test_progress_is_told_every_day() -> None:
    told: list[datetime] = []
    hourly = rule(interval="1h", window="1h")
    points = [Point(START + timedelta(hours=hour), (), GOOD) for hour in range(72)]
    backtest(hourly, points, progress=told.append)
    assert told == [START + timedelta(days=day) for day in range(3)]


def test_incidents_of_a_file() -> None:
    text = "start,end\n2026-03-02T12:00:00Z, 2026-03-02T13:00:00+01:00\n\n2026-03-01,2026-03-02\n"
    second, first = parse_incidents(text)[::-1]
    assert first.start.isoformat() == "2026-03-01T00:00:00+00:00"
    assert second.end == second.start
    assert parse_incidents("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("start,end\n2026-03-02T12:00:00Z", "line 2: needs two times"),
        ("yesterday,today", "line 1: a time is written as 2026-03-01T14:00:00Z"),
        ("2026-03-02,2026-03-01", "line 1: the end is before the start"),
    ],
)
def test_refuses_incidents(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match="incidents") as caught:
        parse_incidents(text, "incidents.csv")
    assert caught.value.message.startswith(f"incidents.csv: {said}")
