"""The state machine of one alert: inactive, pending, firing, resolved; without data, in error.

Its clocks count the time that was looked at. What nobody saw makes no alert fire or end,
whatever the clock on the wall says: neither after a gap nor after a jump.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bartizan.alerts.conditions import Judgement, Outcome
from bartizan.alerts.snapshots import Snapshot
from bartizan.alerts.values import Level, State
from bartizan.plugins.errors import FailedPrecondition

PATIENCE = 2
"""Looks may be so many intervals apart before the time between them counts as not looked at."""
FLAP_WINDOW = timedelta(hours=1)
FLAP_FIRES = 3
"""An alert that fires so often in FLAP_WINDOW is flapping."""
FLAP_CALM = timedelta(minutes=30)
"""A flapping alert is over when it has been calm for so long: one alert instead of a dozen."""
STALE_AFTER = timedelta(days=1)
"""A group whose data stay away for so long is gone: its alert is closed, and that is said."""
STALE = "NO_DATA_FOR_TOO_LONG"
RESOLVED_KEPT = timedelta(minutes=15)
"""How long a resolved alert is shown as such."""


class Kind(StrEnum):
    """What happened to an alert."""

    PENDING = "pending"
    FIRED = "fired"
    WORSE = "worse"
    BETTER = "better"
    RESOLVED = "resolved"
    CALMED = "calmed"
    """Pending, and over before it fired."""
    NO_DATA = "no_data"
    ERROR = "error"
    RECOVERED = "recovered"
    """There are data again, or the evaluation succeeds again."""
    FLAPPING = "flapping"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an alert.

    Attributes:
        why: a reason code.
        by: who did it; empty if nobody did.
    """

    at: datetime
    kind: Kind
    state: State
    level: Level
    why: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Timing:
    """The clocks of a rule, in seconds."""

    hold_s: float = 0.0
    keep_s: float = 0.0
    interval_s: float = 60.0
    stale_s: float = math.inf


def step(
    timing: Timing, previous: Snapshot, judgement: Judgement, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    """Returns how an alert stands after a look at `now`, and what happened to it."""
    passed_s = _passed(timing, previous.at, now)
    match judgement.outcome:
        case Outcome.ERROR:
            return _blinded(previous, State.ERROR, Kind.ERROR, judgement, now)
        case Outcome.KEEP:
            return _kept(timing, previous, passed_s, now)
        case Outcome.NO_DATA:
            return _without_data(timing, previous, judgement, passed_s, now)
    if judgement.level is Level.OK:
        return _calm(timing, previous, judgement, passed_s, now)
    return _trouble(timing, previous, judgement, passed_s, now)


def acknowledge(previous: Snapshot, by: str, now: datetime) -> tuple[Snapshot, Sequence[Event]]:
    """Returns the alert as taken up by somebody. Raises FailedPrecondition if it is not open."""
    if not previous.is_open:
        raise FailedPrecondition("ALERT_NOT_OPEN", "The alert is not open: there is nothing to do.")
    taken = previous._replace(acknowledged_by=by, acknowledged_at=now)
    return taken, (_event(Kind.ACKNOWLEDGED, taken, now, by=by),)


def resolve(
    previous: Snapshot, by: str, now: datetime, why: str = "BY_HAND"
) -> tuple[Snapshot, Sequence[Event]]:
    """Returns the alert as closed by somebody; it fires anew if the trouble lasts as long again.

    Raises FailedPrecondition if it is not open.
    """
    if not previous.is_open:
        raise FailedPrecondition("ALERT_NOT_OPEN", "The alert is not open: there is nothing to do.")
    closed, events = _resolved(previous, now, why, by)
    # Whoever closes an alert for lack of data says that there are none to come.
    gone_s = STALE_AFTER.total_seconds() if previous.blind_s else 0.0
    return closed._replace(blind_s=gone_s), events


def _passed(timing: Timing, before: datetime | None, now: datetime) -> float:
    """Returns how much time, in seconds, two looks that follow each other have seen."""
    if before is None:
        return 0.0
    passed_s = (now - before).total_seconds()
    if passed_s <= 0:
        return 0.0
    return passed_s if passed_s <= PATIENCE * timing.interval_s else timing.interval_s


def _trouble(
    timing: Timing, previous: Snapshot, judgement: Judgement, passed_s: float, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    if judgement.value is None and _is_stale(timing, previous, passed_s):
        return _resolved(previous, now, STALE)
    lasted = _lasted(previous, judgement.level, passed_s)
    level = _reached(timing, previous, judgement.level, *lasted)
    known: dict[str, Any] = {
        "seen": judgement.level,
        "blind_s": previous.blind_s + passed_s if judgement.value is None else 0.0,
        "warning_s": lasted[0],
        "critical_s": lasted[1],
        "pending_at": previous.pending_at or now,
        **_measured(judgement, now),
    }
    if previous.is_open:
        return _burning(previous, level, known, judgement, now)
    if level is not Level.OK:
        return _fired(previous, level, known, judgement, now)
    pending = _in_state(previous._replace(**known), State.PENDING, now)
    events = list(_recovery(previous, pending, now))
    if previous.seen is Level.OK:
        events.append(_event(Kind.PENDING, pending, now, judgement.because))
    return pending, events


def _lasted(previous: Snapshot, seen: Level, passed_s: float) -> tuple[float, float]:
    """Returns for how long the trouble, and the critical part of it, has lasted."""
    warning_s = previous.warning_s + passed_s if previous.seen is not Level.OK else 0.0
    if seen is not Level.CRITICAL:
        return warning_s, 0.0
    return warning_s, previous.critical_s + passed_s if previous.seen is seen else 0.0


def _reached(
    timing: Timing, previous: Snapshot, seen: Level, warning_s: float, critical_s: float
) -> Level:
    """Returns the level that is high for long enough; that of an open alert does not have to be."""
    if seen is Level.CRITICAL and (critical_s >= timing.hold_s or previous.level is Level.CRITICAL):
        return Level.CRITICAL
    if warning_s >= timing.hold_s or previous.is_open:
        return Level.WARNING
    return Level.OK


def _burning(
    previous: Snapshot, level: Level, known: dict[str, Any], judgement: Judgement, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    """Goes on with an alert that is open."""
    current = previous._replace(**known, level=level, last_level=level, calm_s=0.0)
    current = _in_state(current, State.FIRING, now)
    events = list(_recovery(previous, current, now))
    if level is not previous.level:
        kind = Kind.WORSE if level.rank > previous.level.rank else Kind.BETTER
        events.append(_event(kind, current, now, judgement.because))
    return current, events


def _fired(
    previous: Snapshot, level: Level, known: dict[str, Any], judgement: Judgement, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    """Opens an alert."""
    fires = tuple(time for time in previous.fires if timedelta() <= now - time < FLAP_WINDOW)
    fires = (*fires, now)[-FLAP_FIRES:]
    flapping = len(fires) == FLAP_FIRES
    current = previous._replace(
        **known,
        level=level,
        last_level=level,
        calm_s=0.0,
        starts_at=known["pending_at"],
        fired_at=now,
        ends_at=None,
        acknowledged_by="",
        acknowledged_at=None,
        fires=fires,
        flapping=flapping,
    )
    current = _in_state(current, State.FIRING, now)
    events = [*_recovery(previous, current, now)]
    events.append(_event(Kind.FIRED, current, now, judgement.because))
    if flapping:
        events.append(_event(Kind.FLAPPING, current, now, "TOO_OFTEN"))
    return current, events


def _calm(
    timing: Timing, previous: Snapshot, judgement: Judgement, passed_s: float, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    if previous.state is State.INACTIVE and previous.seen is Level.OK and previous.since:
        # Nearly every look at nearly every alert.
        return previous._replace(blind_s=0.0, **_measured(judgement, now)), ()
    calm_s = previous.calm_s + passed_s if previous.seen is Level.OK else 0.0
    current = previous._replace(
        seen=Level.OK,
        pending_at=None,
        warning_s=0.0,
        critical_s=0.0,
        blind_s=0.0,
        calm_s=calm_s if previous.is_open else 0.0,
        **_measured(judgement, now),
    )
    if previous.is_open:
        keep_s = max(timing.keep_s, FLAP_CALM.total_seconds() * previous.flapping)
        if calm_s >= keep_s:
            return _resolved(current, now, judgement.because)
        current = _in_state(current, State.FIRING, now)
        return current, tuple(_recovery(previous, current, now))
    current = _in_state(current, _at_rest(previous, now), now)
    events = list(_recovery(previous, current, now))
    if previous.seen is not Level.OK:
        events.append(_event(Kind.CALMED, current, now, judgement.because))
    return current, events


def _at_rest(previous: Snapshot, now: datetime) -> State:
    """Returns the state of an alert that is not open and has no trouble."""
    ended = previous.ends_at
    if previous.state is State.RESOLVED and ended is not None and now - ended < RESOLVED_KEPT:
        return State.RESOLVED
    return State.INACTIVE


def _kept(
    timing: Timing, previous: Snapshot, passed_s: float, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    if _is_stale(timing, previous, passed_s):
        return _resolved(previous, now, STALE)
    back = previous.state
    if back in (State.NO_DATA, State.ERROR):
        back = _before_blindness(previous)
    current = previous._replace(at=now, blind_s=previous.blind_s + passed_s)
    current = _in_state(current, back, now)
    return current, tuple(_recovery(previous, current, now))


def _before_blindness(previous: Snapshot) -> State:
    if previous.is_open:
        return State.FIRING
    return State.INACTIVE if previous.seen is Level.OK else State.PENDING


def _without_data(
    timing: Timing, previous: Snapshot, judgement: Judgement, passed_s: float, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    if not previous.is_open:
        # What was seen before the data went says nothing of what would be seen now.
        previous = previous._replace(warning_s=0.0, critical_s=0.0, pending_at=None, seen=Level.OK)
    elif _is_stale(timing, previous, passed_s):
        return _resolved(previous, now, STALE)
    previous = previous._replace(blind_s=previous.blind_s + passed_s)
    return _blinded(previous, State.NO_DATA, Kind.NO_DATA, judgement, now)


def _is_stale(timing: Timing, previous: Snapshot, passed_s: float) -> bool:
    return previous.is_open and previous.blind_s + passed_s >= timing.stale_s


def _blinded(
    previous: Snapshot, state: State, kind: Kind, judgement: Judgement, now: datetime
) -> tuple[Snapshot, Sequence[Event]]:
    """Marks that nothing was seen; what is open stays open and its clocks stand still."""
    current = _in_state(previous._replace(at=now), state, now)
    changed = previous.state is not state
    return current, (_event(kind, current, now, judgement.because),) if changed else ()


def _resolved(
    previous: Snapshot, now: datetime, why: str, by: str = ""
) -> tuple[Snapshot, Sequence[Event]]:
    current = previous._replace(
        level=Level.OK,
        seen=Level.OK,
        at=now,
        pending_at=None,
        ends_at=now,
        warning_s=0.0,
        critical_s=0.0,
        calm_s=0.0,
        blind_s=STALE_AFTER.total_seconds() if why == STALE else 0.0,
        flapping=False,
    )
    current = _in_state(current, State.RESOLVED, now)
    return current, (_event(Kind.RESOLVED, current, now, why, by),)


def _recovery(previous: Snapshot, current: Snapshot, now: datetime) -> Sequence[Event]:
    blind = previous.state in (State.NO_DATA, State.ERROR)
    if not blind or current.state is previous.state:
        return ()
    return (_event(Kind.RECOVERED, current, now, previous.state.upper()),)


def _in_state(snapshot: Snapshot, state: State, now: datetime) -> Snapshot:
    if snapshot.state is state and snapshot.since is not None:
        return snapshot
    return snapshot._replace(state=state, since=now)


def _measured(judgement: Judgement, now: datetime) -> dict[str, Any]:
    return {"at": now, "value": judgement.value, "threshold": judgement.threshold}


def _event(kind: Kind, snapshot: Snapshot, now: datetime, why: str = "", by: str = "") -> Event:
    return Event(now, kind, snapshot.state, snapshot.level, str(why), by)
