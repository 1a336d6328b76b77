"""Alert rules: what is taken, and the sentence for what is not."""

from datetime import timedelta
from typing import Any

import pytest
from tests.alerts.alerting_support import refusal, rule

from bartizan.alerts.loading import check_retention
from bartizan.alerts.rules import AlertRule, NoData, Operator
from bartizan.alerts.values import Level
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.notification import Severity


def test_defaults() -> None:
    made = rule()
    assert made.operator is Operator.ABOVE
    assert made.no_data is NoData.NO_DATA
    assert (made.window, made.interval) == (timedelta(minutes=5), timedelta(minutes=1))
    assert made.thresholds == ((Level.CRITICAL, 0.1),)
    assert made.document == {"id": "error-rate", "metric": "error_rate", "critical": 0.1}


def test_a_rule_of_everything_reads_what_it_writes() -> None:
    made = rule(
        group_by=["agent", "tool"], max_groups=7, window="1h30m", interval="5m", operator=">=",
        warning=0.05, recovery=0.01, keep_firing_for="10m", min_samples=20, wilson=True,
        no_data="keep_last", severity="error", labels={"team": "x"}, runbook_url="https://run/x",
        annotations={"summary": "{{ labels.agent }} {{ labels.team }}"},
        where={"environments": ["prod*"], "span_kinds": ["tool"]}, **{"for": "5m"},
    )  # fmt: skip
    assert made.document["for"] == "5m"
    assert made.document["window"] == "1h30m"
    again = parse_config(AlertRule, made.document, "again")
    assert (again, again.version) == (made, made.version)


def test_the_version_is_of_the_meaning() -> None:
    assert rule(window="5m").version == rule(window="300s").version == rule().version
    assert rule(window="6m").version != rule().version
    assert rule(**{"for": "0s"}).version == rule().version


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"metric": "eror_rate"}, "'metric': there is no metric 'eror_rate' (did you mean"),
        ({"metric": "x"}, "there is no metric 'x'"),
        ({"metric": 3}, "'metric': Input should be a valid string"),
        ({"operator": "=>"}, "in quotes (did you mean '>='?)"),
        ({"operator": "above"}, "(did you mean '>'?)"),
        ({"operator": ""}, "must be one of '>', '>=', '<' and '<=', in quotes"),
        ({"windw": "5m"}, "'windw' is not a known key (did you mean 'window'?)"),
        ({"where": {"agnets": ["x"]}}, "'where.agnets' is not a known key (did you mean 'agents'"),
        ({"where": {"span_kinds": ["tols"]}}, "there is no span kind 'tols' (did you mean 'tool'"),
        ({"group_by": ["agnet"]}, "there is no key to group by 'agnet' (did you mean 'agent'?)"),
        ({"group_by": ["agent", "agent"]}, "names 'agent' twice"),
        ({"group_by": ["category"]}, "error_rate has no categories"),
        ({"window": "5"}, "'window': must be a duration such as 30s"),
        ({"window": 300}, "'window': must be a duration such as 30s"),
        ({"window": True}, "'window': must be a duration such as 30s"),
        ({"window": "400d"}, "'window'"),
        ({"interval": "1s"}, "'interval'"),
        ({"window": "1m", "interval": "5m"}, "would miss what lies between"),
        ({"critical": None}, "needs a threshold"),
        ({"critical": 5}, "error_rate is between 0 and 1 (did you mean 0.05?)"),
        ({"critical": float("nan")}, "'critical'"),
        ({"critical": 0.1, "warning": 0.2}, "'critical' is reached before 'warning'"),
        ({"operator": "<", "critical": 0.2, "warning": 0.1}, "'critical' is reached before"),
        ({"recovery": 0.2}, "'recovery' is beyond the threshold"),
        ({"metric": "cost", "wilson": True}, "'wilson' goes with the value of a share: error_rate"),
        ({"category": "pii"}, "'category' does not go with error_rate"),
        ({"metric": "score_mean"}, "score_mean needs 'score'"),
        ({"metric": "score_share_below", "score": "x"}, "score_share_below needs 'below'"),
        ({"compare": "ratio"}, "'divisor' and compare: ratio go together"),
        ({"divisor": "tokens"}, "'divisor' and compare: ratio go together"),
        ({"compare": "ratio", "divisor": "score_mean"}, "score_mean cannot be a divisor"),
        ({"detector": "auto"}, "go with compare: anomaly"),
        ({"time_zone": "Europe/Berlin"}, "go with compare: anomaly"),
        ({"detector": "seasnal"}, "there is no detector 'seasnal' (did you mean 'seasonal'?)"),
        ({"time_zone": "Europe/Berln"}, "(did you mean 'Europe/Berlin'?)"),
        ({"compare": "anomaly", "operator": "<"}, "the operator is '>' or '>='"),
        ({"compare": "anomaly", "critical": 3}, "the score of an anomaly is between 0 and 1"),
        ({"metric": "ingest_lag", "critical": 60, "group_by": ["agent"]}, "of the whole project"),
        ({"metric": "ingest_lag", "critical": 60, "min_samples": 5}, "ingest_lag counts nothing"),
        ({"labels": {"severity": "x"}}, "the label 'severity' is set by Bartizan"),
        ({"labels": {"agent": "x"}, "group_by": ["agent"]}, "the label 'agent' is set by Bartizan"),
        ({"labels": {"a-b": "x"}}, "'labels.a-b"),
        ({"labels": {"team": "a\r\nBcc: x"}}, "holds control characters"),
        (
            {"annotations": {"summary": "{{ valeu }}"}},
            "'annotations.summary': there is no variable",
        ),
        ({"runbook_url": "javascript:alert(1)"}, "'runbook_url'"),
        ({"no_data": "zero"}, "'no_data'"),
        ({"id": "Error Rate"}, "'id'"),
    ],
)
def test_refuses(keys: dict[str, Any], said: str) -> None:
    assert said in refusal(**keys)


def test_what_ought_to_be_taken_is() -> None:
    assert rule(metric="score_share_below", score="helpful", below=60).is_share
    assert rule(compare="ratio", divisor="request_count", metric="tokens", critical=5e4).unit == ""
    assert not rule(compare="anomaly", critical=0.99).is_share
    assert rule(operator="<", metric="request_count", warning=20, critical=10, recovery=30)
    assert rule(metric="finding_rate", category="pii", group_by=["category", "agent"], wilson=True)


def test_severity_follows_the_level() -> None:
    assert rule(severity="error").severity_of(Level.CRITICAL) is Severity.ERROR
    assert rule(severity="error").severity_of(Level.WARNING) is Severity.WARNING
    assert rule(severity="info").severity_of(Level.WARNING) is Severity.INFO


def test_a_window_beyond_retention_is_refused() -> None:
    week = timedelta(days=7)
    check_retention(rule(), week)
    with pytest.raises(ConfigError) as caught:
        check_retention(rule(compare="last_week", critical=0.5), week)
    assert "needs data of 7d5m, and they are kept for 7d" in caught.value.message
    assert (caught.value.field, caught.value.reason) == ("window", "WINDOW_BEYOND_RETENTION")
