"""What keys of an alert rule have to do with each other."""

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from bartizan.alerts.metrics import METRICS, Form
from bartizan.alerts.templates import template_problem, variables_of
from bartizan.plugins.durations import format_duration

if TYPE_CHECKING:
    from bartizan.alerts.rules import AlertRule

RESERVED_LABELS = ("alertname", "project", "severity", "environment")
COMPARED_WITH_SIGNS = {
    "=>": ">=", "=<": "<=", "gt": ">", "above": ">", "greater": ">", "more": ">", "over": ">",
    "gte": ">=", "ge": ">=", "at_least": ">=", "lt": "<", "below": "<", "less": "<", "under": "<",
    "lte": "<=", "le": "<=", "at_most": "<=", ">>": ">", "<<": "<",
}  # fmt: skip
"""What people write, and what they mean."""


def problems(rule: "AlertRule") -> Iterator[str]:
    """Yields what is wrong with a rule whose keys are right one by one."""
    return chain(
        _metric(rule), _comparison(rule), _thresholds(rule), _times(rule), _labels(rule),
        _annotations(rule),
    )  # fmt: skip


def _metric(rule: "AlertRule") -> Iterator[str]:
    keys = METRICS[rule.metric].keys
    given = {"category": bool(rule.category), "score": bool(rule.score)}
    given["below"] = rule.below is not None
    for key, is_given in given.items():
        if is_given and key not in keys:
            yield f"'{key}' does not go with {rule.metric}"
    for key in ("score", "below"):
        if key in keys and not given[key]:
            yield f"{rule.metric} needs '{key}'"
    if "category" in rule.group_by and "category" not in keys:
        yield f"{rule.metric} has no categories to group by"
    narrowed = rule.group_by or rule.where.model_dump(exclude_defaults=True)
    if rule.metric == "ingest_lag" and narrowed:
        yield "ingest_lag is of the whole project: it goes without 'where' and 'group_by'"


def _comparison(rule: "AlertRule") -> Iterator[str]:
    gauge = METRICS[rule.metric].form is Form.GAUGE
    if (rule.divisor is not None) != (rule.compare == "ratio"):
        yield "'divisor' and compare: ratio go together"
    if rule.divisor is not None and METRICS[rule.divisor].keys - {"category"}:
        yield f"{rule.divisor} cannot be a divisor"
    of_anomalies = rule.detector or rule.direction != "both" or rule.time_zone != "UTC"
    if rule.compare != "anomaly" and of_anomalies:
        yield "'detector', 'direction' and 'time_zone' go with compare: anomaly"
    if rule.compare == "anomaly" and not rule.operator.upward:
        yield "an anomaly is bad when its score is high: the operator is '>' or '>='"
    if rule.wilson and not rule.is_share:
        shares = ", ".join(name for name, metric in METRICS.items() if metric.form is Form.SHARE)
        yield f"'wilson' goes with the value of a share: {shares}"
    if gauge and (rule.compare != "value" or rule.min_samples > 1):
        yield f"{rule.metric} counts nothing: it goes with compare: value and without 'min_samples'"


def _thresholds(rule: "AlertRule") -> Iterator[str]:
    if rule.warning is None and rule.critical is None:
        yield "needs a threshold: 'warning', 'critical' or both"
        return
    sign = 1 if rule.operator.upward else -1
    mild = min(sign * value for _, value in rule.thresholds)
    if rule.warning is not None and sign * rule.warning > mild:
        yield "'critical' is reached before 'warning'"
    if rule.recovery is not None and sign * rule.recovery > mild:
        yield "'recovery' is beyond the threshold: the alert would end before it began"
    if rule.is_share or rule.compare == "anomaly":
        yield from _shares(rule)


def _shares(rule: "AlertRule") -> Iterator[str]:
    what = rule.metric if rule.is_share else "the score of an anomaly"
    for key in ("warning", "critical", "recovery"):
        value = getattr(rule, key)
        if value is not None and not 0 <= value <= 1:
            hint = f" (did you mean {value / 100:g}?)" if 1 < value <= 100 else ""
            yield f"'{key}': {what} is between 0 and 1{hint}"


def _times(rule: "AlertRule") -> Iterator[str]:
    if rule.window < rule.interval:
        window, interval = format_duration(rule.window), format_duration(rule.interval)
        yield f"a window of {window} every {interval} would miss what lies between"


def _labels(rule: "AlertRule") -> Iterator[str]:
    for name in rule.labels:
        if name in RESERVED_LABELS or name in rule.group_by:
            yield f"the label '{name}' is set by Bartizan"


def _annotations(rule: "AlertRule") -> Iterator[str]:
    variables = variables_of((*rule.labels, *rule.group_by))
    for name, template in rule.annotations.items():
        if (problem := template_problem(template, variables)) is not None:
            yield f"'annotations.{name}': {problem}"
