"""What the tests of alerts share: rules from a few keys, moments, alerts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from bartizan.alerts.rules import AlertRule
from bartizan.alerts.values import Alert, Level, State, fingerprint
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""A Monday at noon."""
MINUTE = timedelta(minutes=1)


def at(minutes: float) -> datetime:
    """Returns a moment, in minutes after START."""
    return START + minutes * MINUTE


def rule(**keys: Any) -> AlertRule:
    """Returns a rule on the error rate that is critical over 0.1, or as the keys say."""
    document = {"id": "error-rate", "metric": "error_rate", "critical": 0.1, **keys}
    return parse_config(AlertRule, document, "rule")


def refusal(**keys: Any) -> str:
    """Returns the sentence with which a rule is refused."""
    try:
        rule(**keys)
    except ConfigError as error:
        return error.message
    raise AssertionError("the rule was taken")


def alert(name: str = "error-rate", severity: str = "critical", **keys: Any) -> Alert:
    """Returns an alert that fires since START; further keys are labels or fields."""
    fields = {key: keys.pop(key) for key in ("state", "acknowledged_by", "ends_at") if key in keys}
    identity = {"alertname": name, "project": "shop", **keys}
    state = fields.pop("state", State.FIRING)
    level = Level.CRITICAL if severity == "critical" else Level.WARNING
    return Alert(
        fingerprint=fingerprint(identity),
        rule=name,
        labels={**identity, "severity": severity},
        annotations={},
        state=state,
        level=level if state is State.FIRING else Level.OK,
        value=0.2,
        threshold=0.1,
        since=START,
        starts_at=START,
        **fields,
    )
