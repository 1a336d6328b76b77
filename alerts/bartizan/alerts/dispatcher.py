"""All groups of a project at one moment: which alerts are told of where."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from bartizan.alerts.dispatching import Plan, plan
from bartizan.alerts.group_state import GroupState
from bartizan.alerts.grouping import Group, Router, Way
from bartizan.alerts.quieting import Quieting
from bartizan.alerts.values import Alert, State

NEW = GroupState()


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One group and what it does now."""

    group: Group
    plan: Plan


def dispatch(
    router: Router,
    states: Mapping[str, GroupState],
    alerts: Sequence[Alert],
    quieting: Quieting,
    now: datetime,
) -> Sequence[Dispatched]:
    """Returns what each group does now, with the state that is to be kept by its key.

    `alerts` are all of the project that are active, were told of in one of `states`, or have just
    been resolved.
    """
    members = _members(router, alerts)
    known = {alert.fingerprint: alert for alert in alerts}
    for key, state in states.items():
        if state.told or state.next_at is not None:
            members.setdefault(key, (_group_at(router, key, state), {}))
            inside = members[key][1]
            inside.update(_elsewhere(state.told.keys() - inside.keys(), known, now))
    return [
        Dispatched(group, plan(group, states.get(key, NEW), inside.values(), quieting, now))
        for key, (group, inside) in members.items()
    ]


def _members(router: Router, alerts: Iterable[Alert]) -> dict[str, tuple[Group, dict[str, Alert]]]:
    found: dict[str, tuple[Group, dict[str, Alert]]] = {}
    for alert in alerts:
        if alert.active or alert.state is State.RESOLVED:
            for group in router.groups(alert.labels):
                found.setdefault(group.key, (group, {}))[1][alert.fingerprint] = alert
    return found


def _elsewhere(
    fingerprints: Iterable[str], known: Mapping[str, Alert], now: datetime
) -> Mapping[str, Alert]:
    """Returns alerts that a group told of and that are over, or belong to another group now."""
    return {
        one: replace(known[one], state=State.RESOLVED, ends_at=known[one].ends_at or now)
        for one in fingerprints
        if one in known
    }


def _group_at(router: Router, key: str, state: GroupState) -> Group:
    """Returns the group of a key; of a route that is gone, one that can still tell of the end."""
    found = router.group_at(key)
    return found if found is not None else Group(key, Way(key, channels=state.channels), {})
