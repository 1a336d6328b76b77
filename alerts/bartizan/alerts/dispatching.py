"""What a group of alerts has to tell now, to whom and why, and when it has to look again.

As in Alertmanager: a new group waits for `group_wait`, then tells of changes every
`group_interval`, and of the same again after `repeat_interval`. Unlike there, an alert that becomes
worse does not wait for the interval, the end of what was told is told even if it is silenced by
then, and a mute window delays the end instead of losing it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bartizan.alerts.group_state import GroupState, Told, rank
from bartizan.alerts.grouping import Group, Way
from bartizan.alerts.quieting import Held, Quieting, Why
from bartizan.alerts.values import Alert, State
from bartizan.plugins.notification import Reason, Severity, Status


@dataclass(frozen=True, slots=True)
class Decision:
    """Something to tell.

    Attributes:
        firing: the alerts that fire and are not quiet.
        resolved: those that are over, and that the channels believe to be firing.
        number: of the notification in its thread, from 1.
        sequence: of the notification in its group: with the group's key it names the row of the
            outbox, so that two servers which decide the same tell it once.
    """

    reason: Reason
    status: Status
    severity: Severity
    channels: tuple[str, ...]
    firing: tuple[Alert, ...]
    resolved: tuple[Alert, ...]
    number: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a group does now.

    Attributes:
        held: alerts that nobody is told of now, each with the reason.
        wake_at: when the group has to look again at the latest; None if only a change wakes it.
        state: what is to be kept, in the same transaction as the decisions.
    """

    decisions: tuple[Decision, ...]
    held: tuple[Held, ...]
    wake_at: datetime | None
    state: GroupState


def plan(
    group: Group,
    state: GroupState,
    alerts: Iterable[Alert],
    quieting: Quieting,
    now: datetime,
) -> Plan:
    """Returns what a group has to tell at a moment, and how it stands then.

    `alerts` are those of the group that are active, and those in `state.told` that are over. One
    that was told of and is missing counts as still firing: not to know ends nothing.
    """
    state = _on_this_clock(group.way, state, now)
    look = _Look(group.way, state.told, alerts, quieting, now)
    if state.next_at is None:
        if not look.active and not look.over:
            return Plan((), look.held((), state), None, state)
        state = replace(state, next_at=now + group.way.group_wait)
    state = _hurried(look, state)
    decisions: tuple[Decision, ...] = ()
    if state.next_at is not None and now >= state.next_at:
        decisions, state = _flush(look, state)
    if look.closed is None:
        if not decisions:
            decisions, state = _acknowledge(look, state)
        further, state = _escalate(look, state)
        decisions += further
    return Plan(decisions, look.held(decisions, state), _wake_at(look, state), state)


class _Look:
    """The alerts of a group as they are now."""

    def __init__(
        self,
        way: Way,
        told: Mapping[str, Told],
        alerts: Iterable[Alert],
        quieting: Quieting,
        now: datetime,
    ) -> None:
        self.way, self.now = way, now
        self.alerts = tuple(alerts)
        self.active = {one.fingerprint: one for one in self.alerts if one.active}
        self.over = tuple(one for one in self.alerts if not one.active and one.fingerprint in told)
        held = {key: quieting.held(alert, now) for key, alert in self.active.items()}
        self.quiet = {key: why for key, why in held.items() if why is not None}
        self.closed = quieting.closed(way, now)

    def loud(self) -> Iterator[tuple[str, Alert]]:
        """Yields the active alerts that are not quiet."""
        return ((key, alert) for key, alert in self.active.items() if key not in self.quiet)

    def unattended(self, told: Mapping[str, Told]) -> Iterator[Told]:
        """Yields what was told of alerts that nobody has acknowledged."""
        return (
            told[key] for key, alert in self.loud() if key in told and not alert.acknowledged_by
        )

    def listed(self, told: Mapping[str, Told]) -> tuple[Alert, ...]:
        """Returns the alerts of a notification; one that became quiet after it was told stays."""
        return tuple(
            alert for key, alert in self.active.items() if key in told or key not in self.quiet
        )

    def held(self, decisions: Sequence[Decision], state: GroupState) -> tuple[Held, ...]:
        """Returns the alerts that are in none of the decisions, each with the reason."""
        told_now = {alert.fingerprint for one in decisions for alert in one.firing}
        held = [
            self._held(alert, state) for key, alert in self.active.items() if key not in told_now
        ]
        over = {alert.fingerprint for alert in self.over}
        return (*held, *(
            Held(one.fingerprint, Why.ENDED_EARLY)
            for one in self.alerts
            if one.state is State.RESOLVED and one.fingerprint not in over
        ))  # fmt: skip

    def _held(self, alert: Alert, state: GroupState) -> Held:
        key = alert.fingerprint
        if key in self.quiet:
            return self.quiet[key]
        if self.closed is not None:
            return Held(key, *self.closed)
        if key in state.told:
            return Held(key, Why.ACKNOWLEDGED if alert.acknowledged_by else Why.TOLD)
        nobody = not self.way.channels and not state.channels
        return Held(key, Why.NO_CHANNEL if nobody else Why.WAITING)


def _on_this_clock(way: Way, state: GroupState, now: datetime) -> GroupState:
    """Returns the state without what a clock that has since been put back said of the future."""
    latest = now + max(way.group_wait, way.group_interval)
    if state.next_at is not None and state.next_at > latest:
        state = replace(state, next_at=latest)
    if state.notified_at is not None and state.notified_at > now:
        state = replace(state, notified_at=now)
    if any(told.at > now for told in state.told.values()):
        told = {key: replace(one, at=min(one.at, now)) for key, one in state.told.items()}
        state = replace(state, told=told)
    return state


def _hurried(look: _Look, state: GroupState) -> GroupState:
    """Lets what became worse than was told wait no longer than a new group would."""
    soon = look.now + look.way.group_wait
    if state.next_at is not None and state.next_at > soon and _is_worse(look, state.told):
        return replace(state, next_at=soon)
    return state


def _is_worse(look: _Look, told: Mapping[str, Told]) -> bool:
    return any(
        key in told and rank(severity_of(alert)) > rank(told[key].severity)
        for key, alert in look.loud()
    )


def _flush(look: _Look, state: GroupState) -> tuple[tuple[Decision, ...], GroupState]:
    """Tells of what changed, if anything did."""
    reason = _reason(look, state) if look.closed is None else None
    channels = _recipients(look.way, state)
    decisions: tuple[Decision, ...] = ()
    if reason is not None and channels:
        decision = _decision(look, state, reason, channels)
        decisions, state = (decision,), _after(look, state, decision)
    alive = bool(look.active or state.told)
    next_at = look.now + look.way.group_interval if alive else None
    return decisions, replace(state, next_at=next_at)


def _reason(look: _Look, state: GroupState) -> Reason | None:
    told, over = state.told, {alert.fingerprint for alert in look.over}
    if any(key not in told for key, _ in look.loud()):
        return Reason.NEW_ALERTS if told else Reason.FIRST
    if _is_worse(look, told):
        return Reason.LEVEL_CHANGED
    if over == told.keys():
        return Reason.ALL_RESOLVED if over else None
    if not look.listed(told):
        return None
    if over:
        return Reason.SOME_RESOLVED
    due = state.notified_at is None or look.now - state.notified_at >= look.way.repeat_interval
    return Reason.REPEATED if due and any(look.unattended(told)) else None


def _recipients(way: Way, state: GroupState) -> tuple[str, ...]:
    """Returns who is told: who has to know, and who was told of the beginning."""
    return tuple(dict.fromkeys((*way.channels, *state.channels)))


def _decision(
    look: _Look, state: GroupState, reason: Reason, channels: tuple[str, ...]
) -> Decision:
    firing = look.listed(state.told)
    severity = max(map(severity_of, firing or look.over), key=rank)
    number, sequence = state.number + 1, state.sequence + 1
    status = _status(firing)
    return Decision(reason, status, severity, channels, firing, look.over, number, sequence)


def _status(firing: Sequence[Alert]) -> Status:
    if not firing:
        return Status.RESOLVED
    taken = all(alert.acknowledged_by for alert in firing)
    return Status.ACKNOWLEDGED if taken else Status.FIRING


def _after(look: _Look, state: GroupState, decision: Decision) -> GroupState:
    """Returns the state after a notification to everybody."""
    over = {alert.fingerprint for alert in look.over}
    told = {key: one for key, one in state.told.items() if key not in over}
    for alert in decision.firing:
        told[alert.fingerprint] = _told(state.told.get(alert.fingerprint), alert, look.now)
    if not told:
        # The thread has ended; what comes next is another one.
        return GroupState(sequence=decision.sequence)
    return replace(
        state,
        told=told,
        notified_at=look.now,
        channels=decision.channels,
        number=decision.number,
        sequence=decision.sequence,
    )


def _told(before: Told | None, alert: Alert, now: datetime) -> Told:
    severity, taken = severity_of(alert), bool(alert.acknowledged_by)
    if before is None:
        return Told(severity, now, taken)
    return Told(max(severity, before.severity, key=rank), before.at, taken)


def _acknowledge(look: _Look, state: GroupState) -> tuple[tuple[Decision, ...], GroupState]:
    """Tells that somebody took up all that was told, once."""
    open_ = {key: look.active.get(key) for key in state.told}
    taken = all(alert is not None and alert.acknowledged_by for alert in open_.values())
    if not open_ or not taken or all(one.acknowledged for one in state.told.values()):
        return (), state
    decision = _decision(look, state, Reason.ACKNOWLEDGED, state.channels)
    firing = tuple(alert for alert in decision.firing if alert.fingerprint in state.told)
    decision = replace(decision, status=Status.ACKNOWLEDGED, firing=firing, resolved=())
    told = {key: replace(one, acknowledged=True) for key, one in state.told.items()}
    return (decision,), _counted(replace(state, told=told), decision)


def _escalate(look: _Look, state: GroupState) -> tuple[tuple[Decision, ...], GroupState]:
    """Tells others of what nobody has acknowledged in time."""
    waited = max((look.now - told.at for told in look.unattended(state.told)), default=None)
    steps = look.way.escalation[state.escalated :]
    due = [step for step in steps if waited is not None and waited >= step.after]
    if not due:
        return (), state
    state = replace(state, escalated=state.escalated + len(due))
    named = dict.fromkeys(name for step in due for name in step.channels)
    channels = tuple(name for name in named if name not in state.channels)
    if not channels:
        return (), state
    decision = replace(
        _decision(look, state, Reason.ESCALATED, channels), resolved=(), status=Status.FIRING
    )
    firing = tuple(alert for alert in decision.firing if alert.fingerprint in state.told)
    decision = replace(decision, firing=firing)
    everybody = (*state.channels, *channels)
    return (decision,), _counted(replace(state, channels=everybody), decision)


def _counted(state: GroupState, decision: Decision) -> GroupState:
    return replace(state, number=decision.number, sequence=decision.sequence)


def _wake_at(look: _Look, state: GroupState) -> datetime | None:
    times = [state.next_at] if state.next_at is not None else []
    if look.closed is None and state.escalated < len(look.way.escalation):
        after = look.way.escalation[state.escalated].after
        times.extend(told.at + after for told in look.unattended(state.told))
    return min(times, default=None)


def severity_of(alert: Alert) -> Severity:
    """Returns how severe an alert is, by its label."""
    return Severity(alert.labels["severity"])
