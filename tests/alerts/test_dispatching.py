"""Who is told of what and when: by example, and whatever happens."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.alerting_support import alert, at

from bartizan.alerts.dispatcher import dispatch
from bartizan.alerts.dispatching import Decision
from bartizan.alerts.group_state import GroupState
from bartizan.alerts.grouping import Router
from bartizan.alerts.mute_windows import MuteWindow, TimeRange
from bartizan.alerts.quieting import Held, Quieting, Why
from bartizan.alerts.routes import Route
from bartizan.alerts.silences import Silence
from bartizan.alerts.values import Alert, State
from bartizan.plugins.config import parse_config
from bartizan.plugins.notification import Reason, Severity, Status

DEFAULT = {"channels": ["chat"]}
ESCALATING = {**DEFAULT, "escalation": [{"after": "15m", "channels": ["pager", "chat"]}]}


class Project:
    """A project whose alerts are told of."""

    def __init__(self, route: dict[str, Any] | None = None, quieting: Quieting | None = None):
        self.router = Router(parse_config(Route, route or DEFAULT, "route"))
        self.quieting = quieting or Quieting()
        self.states: dict[str, GroupState] = {}
        self.wake_at: datetime | None = None
        self.held: Sequence[Held] = ()

    def tell(self, now: datetime, *alerts: Alert) -> list[Decision]:
        made = dispatch(self.router, self.states, alerts, self.quieting, now)
        self.states.update({one.group.key: one.plan.state for one in made})
        self.wake_at = min(
            (one.plan.wake_at for one in made if one.plan.wake_at is not None), default=None
        )
        self.held = [held for one in made for held in one.plan.held]
        return [decision for one in made for decision in one.plan.decisions]

    def reasons(self, now: datetime, *alerts: Alert) -> list[Reason]:
        return [decision.reason for decision in self.tell(now, *alerts)]

    def why(self) -> list[Why]:
        return [held.why for held in self.held]


A, B = alert(agent="a"), alert(agent="b")


def over(one: Alert) -> Alert:
    return replace(one, state=State.RESOLVED, ends_at=at(1))


def taken(one: Alert) -> Alert:
    return replace(one, acknowledged_by="ada")


def test_a_group_waits_for_more_and_tells_once() -> None:
    project = Project()
    assert project.tell(at(0), A) == []
    assert (project.wake_at, project.why()) == (at(0.5), [Why.WAITING])
    [decision] = project.tell(at(0.5), A, B)
    assert decision == Decision(
        Reason.FIRST, Status.FIRING, Severity.CRITICAL, ("chat",), (A, B), (), 1, 1
    )
    assert project.tell(at(0.5), A, B) == []
    assert (project.wake_at, project.why()) == (at(5.5), [Why.TOLD, Why.TOLD])
    assert project.tell(at(5.5), A, B) == []


def test_an_alert_that_ends_before_it_was_told_is_not_told() -> None:
    project = Project()
    project.tell(at(0), A)
    assert project.tell(at(0.5), over(A)) == []
    assert (project.wake_at, project.why()) == (None, [Why.ENDED_EARLY])


def test_changes_are_told_every_interval() -> None:
    project = Project()
    project.tell(at(0), A)
    assert project.reasons(at(0.5), A) == [Reason.FIRST]
    assert project.reasons(at(1), A, B) == []
    assert project.reasons(at(5.5), A, B) == [Reason.NEW_ALERTS]
    [some] = project.tell(at(10.5), over(A), B)
    assert (some.reason, some.status) == (Reason.SOME_RESOLVED, Status.FIRING)
    assert (some.firing, some.resolved, some.number) == ((B,), (over(A),), 3)
    [end] = project.tell(at(15.5), over(A), over(B))
    assert (end.reason, end.status, end.number) == (Reason.ALL_RESOLVED, Status.RESOLVED, 4)
    assert (end.firing, end.resolved) == ((), (over(B),))
    assert project.wake_at is None
    assert project.tell(at(60), over(A), over(B)) == []


def test_the_next_incident_is_another_thread() -> None:
    project = Project()
    for start in (0, 60):
        project.tell(at(start), A)
        [first] = project.tell(at(start + 1), A)
        project.tell(at(start + 6), over(A))
        assert (first.reason, first.number) == (Reason.FIRST, 1)
    assert first.sequence == 3


def test_the_same_is_told_again_after_hours() -> None:
    project = Project()
    project.tell(at(0), A)
    project.tell(at(0.5), A)
    told = [
        minute for minute in range(1, 600) if project.reasons(at(minute), A) == [Reason.REPEATED]
    ]
    assert told == [241, 481]


def test_worse_does_not_wait_for_the_interval() -> None:
    project, mild = Project(), alert(severity="warning", agent="a")
    project.tell(at(0), mild)
    project.tell(at(0.5), mild)
    assert project.tell(at(1), A) == []
    assert project.wake_at == at(1.5)
    [decision] = project.tell(at(1.5), A)
    assert (decision.reason, decision.severity) == (Reason.LEVEL_CHANGED, Severity.CRITICAL)
    # Better, and worse again: it was told that it is critical.
    assert project.tell(at(10), mild) == []
    assert project.tell(at(20), A) == []


def test_acknowledged_is_told_once_and_spares_repetition() -> None:
    project = Project(ESCALATING)
    project.tell(at(0), A)
    project.tell(at(1), A)
    [decision] = project.tell(at(2), taken(A))
    assert (decision.reason, decision.status) == (Reason.ACKNOWLEDGED, Status.ACKNOWLEDGED)
    assert project.why() == []
    later = [project.tell(at(minute), taken(A)) for minute in range(3, 1_000)]
    assert not any(later)
    assert project.why() == [Why.ACKNOWLEDGED]
    [news] = project.tell(at(1_001), taken(A), B)
    assert (news.reason, news.status) == (Reason.NEW_ALERTS, Status.FIRING)


def test_nobody_acknowledges_in_time() -> None:
    project = Project(ESCALATING)
    project.tell(at(0), A)
    project.tell(at(1), A)
    assert project.tell(at(15.9), A) == []
    assert project.wake_at == at(16)
    [decision] = project.tell(at(16), A)
    assert (decision.reason, decision.channels) == (Reason.ESCALATED, ("pager",))
    assert project.tell(at(17), A) == []
    [end] = project.tell(at(21), over(A))
    assert end.channels == ("chat", "pager")


def test_silenced_is_not_told_and_its_end_is() -> None:
    silence = Silence.model_validate(
        {"id": "s", "matchers": ["agent=a"], "starts_at": at(2), "ends_at": at(60), "comment": "x"}
    )
    project = Project(quieting=Quieting([silence]))
    project.tell(at(0), A)
    assert project.reasons(at(1), A) == [Reason.FIRST]
    assert project.reasons(at(6), A, B) == [Reason.NEW_ALERTS]
    assert project.reasons(at(11), over(A), B) == [Reason.SOME_RESOLVED]
    other = Project(quieting=Quieting([silence]))
    assert [other.tell(at(minute), A) for minute in (3, 10, 20, 59)] == [[]] * 4
    assert other.held == [Held(A.fingerprint, Why.SILENCED, "s")]
    assert other.reasons(at(64), A) == [Reason.FIRST]


def test_a_mute_window_delays() -> None:
    noon = MuteWindow(id="noon", times=(TimeRange(start=12 * 60, end=13 * 60),))
    route = {"channels": [], "routes": [{"channels": ["chat"], "mute_windows": ["noon"]}]}
    project = Project(route, Quieting(windows=[noon]))
    assert not any(project.tell(at(minute), A) for minute in range(60))
    assert project.held == [Held(A.fingerprint, Why.MUTED, "noon")]
    told = [minute for minute in range(60, 70) if project.tell(at(minute), A)]
    assert len(told) == 1
    later = Project(route, Quieting(windows=[noon]))
    later.tell(at(-20), A)
    assert later.reasons(at(-19), A) == [Reason.FIRST]
    assert not any(later.tell(at(minute), over(A)) for minute in range(0, 60, 5))
    assert later.reasons(at(65), over(A)) == [Reason.ALL_RESOLVED]


def test_a_route_without_channels_tells_nobody() -> None:
    project = Project({"channels": []})
    project.tell(at(0), A)
    assert project.tell(at(1), A) == []
    assert project.why() == [Why.NO_CHANNEL]


def test_what_is_missing_is_not_over() -> None:
    project = Project()
    project.tell(at(0), A)
    project.tell(at(1), A)
    assert [project.tell(at(minute)) for minute in (6, 11, 300)] == [[]] * 3
    assert project.reasons(at(305), over(A)) == [Reason.ALL_RESOLVED]


def test_an_alert_that_moves_ends_where_it_was() -> None:
    route = {"channels": ["chat"], "routes": [
        {"matchers": ["severity=critical"], "channels": ["pager"]}]}  # fmt: skip
    project, mild = Project(route), alert(severity="warning", agent="a")
    project.tell(at(0), mild)
    project.tell(at(1), mild)
    project.tell(at(2), A)
    told = {(one.channels, one.reason) for one in project.tell(at(6), A)}
    assert told == {(("chat",), Reason.ALL_RESOLVED), (("pager",), Reason.FIRST)}


def test_a_route_that_is_gone_tells_of_the_end() -> None:
    project = Project({"channels": [], "routes": [{"matchers": ["agent=a"], "channels": ["x"]}]})
    project.tell(at(0), A)
    project.tell(at(1), A)
    project.router = Router(parse_config(Route, DEFAULT, "route"))
    told = [(one.channels, one.reason) for minute in (6, 7) for one in project.tell(at(minute), A)]
    assert told == [(("x",), Reason.ALL_RESOLVED), (("chat",), Reason.FIRST)]


def test_a_clock_put_back_keeps_nobody_waiting() -> None:
    project = Project()
    project.tell(at(600), A)
    project.tell(at(601), A)
    assert project.tell(at(0), A, B) == []
    assert project.wake_at == at(5)
    assert project.reasons(at(5), A, B) == [Reason.NEW_ALERTS]


ALERTS = tuple(alert(agent=name, tool=tool) for name in "ab" for tool in "xy")
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 3), st.sampled_from(["fire", "end", "mild", "ack", "gone"]),
        st.one_of(st.integers(0, 700), st.integers(0, 20_000), st.integers(-4_000, 0)),
    ),
    max_size=30,
)  # fmt: skip
SILENCED = Silence.model_validate(
    {"id": "s", "matchers": ["tool=y"], "starts_at": at(20), "ends_at": at(90), "comment": "x"}
)


def _apply(alerts: dict[str, Alert], which: int, change: str) -> None:
    one = ALERTS[which]
    match change:
        case "end" if one.fingerprint in alerts:
            alerts[one.fingerprint] = over(one)
        case "ack" if alerts.get(one.fingerprint, over(one)).active:
            alerts[one.fingerprint] = taken(alerts[one.fingerprint])
        case "gone":
            alerts.pop(one.fingerprint, None)
        case "fire":
            alerts[one.fingerprint] = one
        case "mild":
            labels = {**one.labels, "severity": "warning"}
            alerts[one.fingerprint] = replace(one, labels=labels)


def _follow(
    changes: Sequence[tuple[int, str, int]], restarts: bool
) -> list[tuple[datetime, Decision]]:
    project = Project({**ESCALATING, "group_by": ["agent"]}, Quieting([SILENCED]))
    alerts: dict[str, Alert] = {}
    now, told = at(0), []
    for which, change, seconds in changes:
        now += timedelta(seconds=seconds)
        _apply(alerts, which, change)
        if restarts:
            project.states = {
                key: GroupState.from_json(json.loads(json.dumps(state.to_json())))
                for key, state in project.states.items()
            }
        told += [(now, decision) for decision in project.tell(now, *alerts.values())]
        # Whoever looks again at once has nothing more to tell.
        assert project.tell(now, *alerts.values()) == []
        assert project.wake_at is None or project.wake_at > now
    return told


@given(CHANGES)
def test_a_restart_changes_nothing(changes: list[tuple[int, str, int]]) -> None:
    assert _follow(changes, restarts=True) == _follow(changes, restarts=False)


@given(CHANGES)
def test_no_channel_is_told_the_same_twice(changes: list[tuple[int, str, int]]) -> None:
    told = _follow(changes, restarts=False)
    seen: dict[tuple[str, str], Decision] = {}
    for _, decision in told:
        agent = _agent(decision)
        assert decision.firing or decision.resolved
        for channel in decision.channels:
            before = seen.get((agent, channel))
            if before is not None and decision.reason is not Reason.REPEATED:
                assert _content(before) != _content(decision)
            if decision.status is Status.RESOLVED:
                assert before is not None
                assert before.status is not Status.RESOLVED
            seen[agent, channel] = decision


@given(CHANGES)
def test_every_notification_has_a_number_of_its_own(changes: list[tuple[int, str, int]]) -> None:
    told = _follow(changes, restarts=False)
    for agent in "ab":
        numbers = [
            one.sequence
            for _, one in told
            if (one.firing or one.resolved)[0].labels["agent"] == agent
        ]
        assert numbers == list(range(1, len(numbers) + 1))


def _agent(decision: Decision) -> str:
    return (decision.firing or decision.resolved)[0].labels["agent"]


def _content(decision: Decision) -> object:
    firing = {(one.fingerprint, one.labels["severity"]) for one in decision.firing}
    return (decision.status, frozenset(firing), {one.fingerprint for one in decision.resolved})
