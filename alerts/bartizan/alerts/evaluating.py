"""One evaluation of a rule: every group is judged and moved on, and the record says why."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from bartizan.alerts.conditions import FAILED, Judgement, judge
from bartizan.alerts.machine import FLAP_WINDOW, STALE_AFTER, Event, Timing, step
from bartizan.alerts.rules import AlertRule, NoData
from bartizan.alerts.samples import Sample
from bartizan.alerts.snapshots import Snapshot
from bartizan.alerts.values import State

GroupKey = tuple[str, ...]
"""The values of the rule's `group_by`, in its order; empty for a rule without."""

NEW = Snapshot()


class Evaluation(NamedTuple):
    """What one look at one group came to.

    Attributes:
        at: the end of the window.
        watermark: up to when the data were complete.
    """

    rule: str
    version: str
    group: GroupKey
    at: datetime
    window: timedelta
    watermark: datetime | None
    sample: Sample | None
    judgement: Judgement
    before: Snapshot
    after: Snapshot
    events: Sequence[Event]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What one look at a rule came to.

    Attributes:
        cut: how many groups were left out, as the rule looks at `max_groups` at most.
        forgotten: groups that are gone, and of which nothing need be kept.
    """

    evaluations: Sequence[Evaluation]
    cut: int
    forgotten: Sequence[GroupKey]


def timing_of(rule: AlertRule) -> Timing:
    """Returns the clocks of a rule."""
    return Timing(
        rule.for_.total_seconds(),
        rule.keep_firing_for.total_seconds(),
        rule.interval.total_seconds(),
        STALE_AFTER.total_seconds() if rule.group_by else math.inf,
    )


def evaluate(
    rule: AlertRule,
    samples: Mapping[GroupKey, Sample],
    snapshots: Mapping[GroupKey, Snapshot],
    now: datetime,
    watermark: datetime | None = None,
) -> Evaluated:
    """Returns what a window that ends at `now` comes to, for each group.

    `samples` holds the groups that have data, `snapshots` those that are known. A group without
    data is looked at as long as it is known, a rule without groups always.
    """
    groups, cut = capped(rule, samples, snapshots, now)
    timing, made = timing_of(rule), []
    for group in groups:
        sample, before = samples.get(group), snapshots.get(group, NEW)
        judgement = judge(rule, sample, before.level)
        made.append(_moved(rule, timing, group, sample, judgement, before, now, watermark))
    return Evaluated(made, cut, tuple(snapshots.keys() - set(groups)))


def failed(
    rule: AlertRule, snapshots: Mapping[GroupKey, Snapshot], now: datetime
) -> Sequence[Evaluation]:
    """Returns what an evaluation that failed comes to: nothing fires or ends because of it."""
    known = snapshots or ({} if rule.group_by else {(): NEW})
    timing = timing_of(rule)
    return [
        _moved(rule, timing, group, None, FAILED, before, now, None)
        for group, before in known.items()
    ]


def capped(
    rule: AlertRule,
    samples: Mapping[GroupKey, Sample],
    known: Mapping[GroupKey, Snapshot],
    now: datetime,
) -> tuple[Sequence[GroupKey], int]:
    """Returns the groups that are looked at, and how many are left out.

    Those with something going on stay, so that no alert is lost to a newcomer; then come those that
    are known, then those with the most samples.
    """
    if not rule.group_by:
        return [()], 0
    if samples.keys() == known.keys() and len(known) <= rule.max_groups:
        return list(known), 0
    busy, idle = [], []
    for group, snapshot in known.items():
        if _is_busy(rule, snapshot, now) and not (_is_gone(snapshot) and group not in samples):
            busy.append(group)
        elif group in samples or (not _is_gone(snapshot) and rule.no_data is not NoData.OK):
            idle.append(group)
    idle.sort(key=lambda group: group not in samples)
    new = [group for group in samples if group not in known]
    room = max(0, rule.max_groups - len(busy))
    if len(idle) + len(new) > room:
        new.sort(key=lambda group: (-samples[group].samples, group))
        idle = [group for group in idle if group in samples]
    chosen = [*idle, *new][:room]
    return [*busy, *chosen], len(idle) + len(new) - len(chosen)


def _is_gone(snapshot: Snapshot) -> bool:
    return not snapshot.is_open and snapshot.blind_s >= STALE_AFTER.total_seconds()


def _is_busy(rule: AlertRule, snapshot: Snapshot, now: datetime) -> bool:
    """Tells whether something would be lost if the alert were forgotten."""
    if snapshot.is_open or rule.no_data is NoData.ALERT:
        return True
    if snapshot.state in (State.PENDING, State.RESOLVED):
        return True
    return bool(snapshot.fires) and now - snapshot.fires[-1] < FLAP_WINDOW


def _moved(
    rule: AlertRule,
    timing: Timing,
    group: GroupKey,
    sample: Sample | None,
    judgement: Judgement,
    before: Snapshot,
    now: datetime,
    watermark: datetime | None,
) -> Evaluation:
    after, events = step(timing, before, judgement, now)
    return Evaluation(
        rule.id, rule.version, group, now, rule.window, watermark, sample, judgement, before,
        after, events,
    )  # fmt: skip
