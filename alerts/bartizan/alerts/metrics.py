"""What an alert rule can measure: a closed list."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Form(StrEnum):
    """What kind of number a metric is."""

    COUNT = "count"
    SUM = "sum"
    SHARE = "share"
    """From 0 to 1: hits of a total."""
    MEAN = "mean"
    QUANTILE = "quantile"
    GAUGE = "gauge"
    """How things stand at the end of the window, whatever was counted in it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that can be measured.

    Attributes:
        unit: of the values: `ratio`, `ms`, `s`, `USD`, `tokens`; empty for a plain number.
        text: what it is, for people.
        keys: keys of the rule that only go with metrics such as this.
    """

    name: str
    form: Form
    unit: str
    text: str
    keys: frozenset[str] = frozenset()


_CATEGORY = frozenset({"category"})
_SCORE = frozenset({"score"})

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("request_count", Form.COUNT, "", "Traces, by their root spans."),
        Metric("span_count", Form.COUNT, "", "Spans."),
        Metric("error_count", Form.COUNT, "", "Spans with the status error."),
        Metric("error_rate", Form.SHARE, "ratio", "The share of spans with the status error."),
        Metric("latency_p50", Form.QUANTILE, "ms", "How long half of the spans take at most."),
        Metric("latency_p95", Form.QUANTILE, "ms", "How long 95 % of the spans take at most."),
        Metric("latency_p99", Form.QUANTILE, "ms", "How long 99 % of the spans take at most."),
        Metric("cost", Form.SUM, "USD", "What the calls of models cost."),
        Metric("tokens", Form.SUM, "tokens", "Tokens in and out."),
        Metric("tokens_per_request", Form.MEAN, "tokens", "Tokens in and out, by trace."),
        Metric("finding_count", Form.COUNT, "", "Findings of guardrails.", _CATEGORY),
        Metric("finding_rate", Form.SHARE, "ratio", "The share of spans with one.", _CATEGORY),
        Metric("score_mean", Form.MEAN, "", "The mean of a score, 0 to 100.", _SCORE),
        Metric(
            "score_share_below", Form.SHARE, "ratio", "The share of a score that is under `below`.",
            _SCORE | {"below"},
        ),
        Metric("feedback_share", Form.SHARE, "ratio", "The share of feedback that is negative."),
        Metric("sessions", Form.COUNT, "", "Sessions with a span."),
        Metric("users", Form.COUNT, "", "Users with a span."),
        Metric("ingest_lag", Form.GAUGE, "s", "How far what is stored is behind the clock."),
        Metric("time_since_last_span", Form.GAUGE, "s", "How long ago the last span ended."),
    )
}  # fmt: skip
