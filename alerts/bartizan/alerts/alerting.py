"""From a snapshot to an alert: its labels, its texts, its fingerprint."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bartizan.alerts.evaluating import Evaluation, GroupKey
from bartizan.alerts.rules import AlertRule
from bartizan.alerts.snapshots import Snapshot
from bartizan.alerts.templates import clean, render
from bartizan.alerts.values import Alert, Labels, Level, State, fingerprint
from bartizan.plugins.durations import format_duration

SEVERITY = "severity"


def identity(rule: AlertRule, project: str, group: GroupKey) -> Labels:
    """Returns the labels that an alert is known by, whatever its level."""
    labels = {**rule.labels, "alertname": rule.id, "project": project}
    environments = rule.where.environments
    if len(environments) == 1 and "*" not in environments[0]:
        labels["environment"] = clean(environments[0])
    for name, value in zip(rule.group_by, group, strict=True):
        labels[name] = clean(value)
    return labels


def alert_of(rule: AlertRule, project: str, evaluation: Evaluation) -> Alert:
    """Returns an alert as it stands after an evaluation, with its texts made anew."""
    after = evaluation.after
    labels = labels_of(rule, project, evaluation.group, after)
    values = _values(rule, project, labels, evaluation)
    annotations = {name: render(text, values) for name, text in rule.annotations.items()}
    if rule.runbook_url:
        annotations["runbook_url"] = rule.runbook_url
    return alert_from(rule, project, evaluation.group, after, annotations)


def alert_from(
    rule: AlertRule,
    project: str,
    group: GroupKey,
    snapshot: Snapshot,
    annotations: Mapping[str, str],
) -> Alert:
    """Returns an alert as a snapshot has it, with texts that were made before."""
    at = snapshot.since or snapshot.at
    if at is None:
        raise ValueError("the alert was never looked at")
    return Alert(
        fingerprint=fingerprint(identity(rule, project, group)),
        rule=rule.id,
        labels=labels_of(rule, project, group, snapshot),
        annotations=annotations,
        state=snapshot.state,
        level=level_of(snapshot),
        value=snapshot.value,
        threshold=snapshot.threshold,
        since=at,
        starts_at=_starts_at(snapshot) or at,
        ends_at=None if snapshot.is_open else snapshot.ends_at,
        acknowledged_by=snapshot.acknowledged_by,
        flapping=snapshot.flapping,
    )


def labels_of(rule: AlertRule, project: str, group: GroupKey, snapshot: Snapshot) -> Labels:
    """Returns the labels of an alert: its identity, and how severe it is."""
    # One that is over goes the way that it came.
    over = snapshot.state is State.RESOLVED
    severity = rule.severity_of(snapshot.last_level if over else level_of(snapshot))
    return {**identity(rule, project, group), SEVERITY: str(severity)}


def level_of(snapshot: Snapshot) -> Level:
    """Returns the level of the alert, or of the one that is coming."""
    return snapshot.seen if snapshot.state is State.PENDING else snapshot.level


def _starts_at(snapshot: Snapshot) -> datetime | None:
    if snapshot.state is State.PENDING:
        return snapshot.pending_at
    return snapshot.starts_at


def _values(
    rule: AlertRule, project: str, labels: Labels, evaluation: Evaluation
) -> Mapping[str, Any]:
    sample, judgement, after = evaluation.sample, evaluation.judgement, evaluation.after
    before = sample.last_week if sample is not None else None
    return {
        "rule": rule.id,
        "project": project,
        "metric": rule.metric,
        "unit": rule.unit,
        "window": format_duration(rule.window),
        "operator": str(rule.operator),
        "state": str(after.state),
        "level": str(level_of(after)),
        "severity": labels[SEVERITY],
        "reason": str(judgement.because),
        "value": judgement.value,
        "threshold": judgement.threshold,
        "samples": sample.samples if sample is not None else 0,
        "hits": sample.hits if sample is not None else None,
        "total": sample.total if sample is not None else None,
        "expected": sample.expected if sample is not None else None,
        "low": sample.low if sample is not None else None,
        "high": sample.high if sample is not None else None,
        "last_week": before.value if before is not None else None,
        "starts_at": _starts_at(after),
        "now": evaluation.at,
        "labels": labels,
        "runbook_url": rule.runbook_url,
    }
