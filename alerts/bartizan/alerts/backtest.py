"""Runs a rule over stored history, through the real state machine and the real dispatcher."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from bartizan.alerts.alerting import alert_from, identity
from bartizan.alerts.anomaly import Detector
from bartizan.alerts.backtest_report import (
    Episode,
    Page,
    Report,
    caught,
    false_alarms,
)
from bartizan.alerts.dispatcher import Dispatched, dispatch
from bartizan.alerts.dispatching import Decision
from bartizan.alerts.evaluating import Evaluation, GroupKey, evaluate
from bartizan.alerts.group_state import GroupState
from bartizan.alerts.grouping import Router
from bartizan.alerts.incidents import Incident
from bartizan.alerts.machine import Kind
from bartizan.alerts.mute_windows import MuteWindow, at_night
from bartizan.alerts.quieting import Quieting
from bartizan.alerts.routes import Route
from bartizan.alerts.rules import AlertRule, Compare
from bartizan.alerts.samples import Sample
from bartizan.alerts.silences import Inhibition, Silence
from bartizan.alerts.snapshots import Snapshot
from bartizan.alerts.values import Alert, fingerprint
from bartizan.plugins.notification import Reason

PAGING = frozenset({Reason.FIRST, Reason.NEW_ALERTS, Reason.LEVEL_CHANGED, Reason.REPEATED})
"""What makes a telephone ring. That something is over does not."""
NIGHT_START, NIGHT_END = 22, 7
"""Hours in which a page wakes somebody."""


class Point(NamedTuple):
    """What was measured for one group in the window that ends at a time."""

    time: datetime
    group: GroupKey
    sample: Sample


@dataclass(frozen=True, slots=True)
class Setting:
    """What a rule is tried with. Without a route, everything is told at once to nobody special.

    Attributes:
        nights: when a page wakes somebody.
    """

    project: str = "project"
    route: Route = field(default_factory=lambda: Route(channels=("on-call",)))
    silences: Sequence[Silence] = ()
    inhibitions: Sequence[Inhibition] = ()
    mute_windows: Sequence[MuteWindow] = ()
    incidents: Sequence[Incident] = ()
    nights: MuteWindow = field(default_factory=lambda: at_night("UTC", NIGHT_START, NIGHT_END))


def backtest(
    rule: AlertRule,
    points: Iterable[Point],
    setting: Setting | None = None,
    progress: Callable[[datetime], None] | None = None,
) -> Report:
    """Returns what a rule would have done over history.

    `points` come in the order of their times, which are `rule.interval` apart; a time without a
    point of a group is one without data of it. Points of a rule on anomalies that have no scores
    get them on the way. `progress` is told the time after every day. Raises ValueError if there are
    no points.
    """
    trial = _Trial(rule, setting or Setting())
    day: datetime | None = None
    for now, samples in _looks(rule, points):
        trial.look(now, samples)
        if progress is not None and (day is None or now - day >= timedelta(days=1)):
            day = now
            progress(now)
    return trial.report()


def _looks(
    rule: AlertRule, points: Iterable[Point]
) -> Iterator[tuple[datetime, Mapping[GroupKey, Sample]]]:
    """Yields the points by their times, and the times that have none."""
    expected: datetime | None = None
    for time, together in groupby(points, key=attrgetter("time")):
        while expected is not None and expected < time:
            yield expected, {}
            expected += rule.interval
        yield time, {point.group: point.sample for point in together}
        expected = time + rule.interval


class _Trial:
    """A rule on its way through history."""

    def __init__(self, rule: AlertRule, setting: Setting) -> None:
        self._rule, self._setting = rule, setting
        self._router = Router(setting.route)
        self._snapshots: dict[GroupKey, Snapshot] = {}
        self._alerts: dict[str, Alert] = {}
        self._states: dict[str, GroupState] = {}
        self._wake_at: datetime | None = None
        self._detectors: dict[GroupKey, Detector] = {}
        self._groups: dict[str, GroupKey] = {}
        self._open: dict[GroupKey, Episode] = {}
        self._episodes: list[Episode] = []
        self._pages: list[Page] = []
        self._counts = Counter[str]()
        self._held = Counter[str]()
        self._start: datetime | None = None
        self._end: datetime | None = None
        self._looks = self._cut = 0

    def look(self, now: datetime, samples: Mapping[GroupKey, Sample]) -> None:
        """Evaluates one window, and tells of what there is to tell."""
        self._start, self._end = self._start or now, now
        self._wake(now)
        if self._rule.compare is Compare.ANOMALY:
            samples = {group: self._scored(group, now, one) for group, one in samples.items()}
        made = evaluate(self._rule, samples, self._snapshots, now)
        self._looks += len(made.evaluations)
        self._cut = max(self._cut, made.cut)
        for group in made.forgotten:
            del self._snapshots[group]
        changed = [self._moved(one) for one in made.evaluations]
        if any(changed):
            self._dispatch(now)
        else:
            self._wake(now)

    def report(self) -> Report:
        """Returns what came of it. Raises ValueError if there was no history."""
        if self._start is None or self._end is None:
            raise ValueError("there is no history to try the rule on")
        episodes = sorted((*self._episodes, *self._open.values()), key=lambda one: one.fired_at)
        incidents = self._setting.incidents
        return Report(
            start=self._start,
            end=self._end,
            looks=self._looks,
            groups=len(self._groups),
            cut=self._cut,
            pages=self._pages,
            episodes=episodes,
            notifications=dict(self._counts),
            held=dict(self._held),
            caught=caught(incidents, episodes),
            false_alarms=false_alarms(incidents, episodes) if incidents else (),
        )

    def _scored(self, group: GroupKey, now: datetime, sample: Sample) -> Sample:
        if sample.score is not None or sample.value is None:
            return sample
        if group not in self._detectors:
            self._detectors[group] = self._rule.new_detector()
        told = self._detectors[group].update(now, sample.value)
        return replace(
            sample, score=told.score, expected=told.expected, low=told.low, high=told.high
        )

    def _moved(self, evaluation: Evaluation) -> bool:
        """Keeps what an evaluation came to; returns True if somebody may have to be told."""
        group, after = evaluation.group, evaluation.after
        self._snapshots[group] = after
        if evaluation.before.at is None:
            self._groups[fingerprint(identity(self._rule, self._setting.project, group))] = group
        if not evaluation.events:
            return False
        self._follow(evaluation)
        alert = alert_from(self._rule, self._setting.project, group, after, {})
        self._alerts[alert.fingerprint] = alert
        return True

    def _follow(self, evaluation: Evaluation) -> None:
        group, after = evaluation.group, evaluation.after
        for event in evaluation.events:
            if event.kind is Kind.FIRED:
                self._open[group] = Episode(
                    group, after.level, after.starts_at or event.at, event.at, None, after.value,
                    after.threshold, None, after.flapping,
                )  # fmt: skip
            elif event.kind is Kind.WORSE:
                self._open[group] = replace(self._open[group], level=after.level)
            elif event.kind is Kind.RESOLVED:
                self._episodes.append(replace(self._open.pop(group), ended_at=event.at))

    def _dispatch(self, now: datetime) -> None:
        alerts = tuple(self._alerts.values())
        setting = self._setting
        quieting = Quieting(setting.silences, setting.inhibitions, setting.mute_windows, alerts)
        made = dispatch(self._router, self._states, alerts, quieting, now)
        for one in made:
            self._states[one.group.key] = one.plan.state
            self._note(one, now)
        wakes = [one.plan.wake_at for one in made if one.plan.wake_at is not None]
        self._wake_at = min(wakes, default=None)
        told = {key for state in self._states.values() for key in state.told}
        self._alerts = {
            key: alert for key, alert in self._alerts.items() if alert.active or key in told
        }

    def _wake(self, now: datetime) -> None:
        """Tells of what was due up to now: groups do not wait for the next look."""
        while self._wake_at is not None and self._wake_at <= now:
            self._dispatch(self._wake_at)

    def _note(self, one: Dispatched, now: datetime) -> None:
        self._held.update(str(held.why) for held in one.plan.held)
        for decision in one.plan.decisions:
            self._counts[str(decision.reason)] += 1
            self._tell(decision, now)

    def _tell(self, decision: Decision, now: datetime) -> None:
        for alert in decision.firing:
            group = self._groups[alert.fingerprint]
            if group in self._open and self._open[group].paged_at is None:
                self._open[group] = replace(self._open[group], paged_at=now)
        if decision.reason in PAGING and decision.firing:
            about = max(decision.firing, key=lambda alert: (alert.level.rank, alert.starts_at))
            self._pages.append(
                Page(
                    now, self._groups[about.fingerprint], decision.reason, decision.severity,
                    about.value, about.threshold, about.starts_at, self._setting.nights.holds(now),
                )
            )  # fmt: skip
