"""Alerts as Prometheus and Alertmanager write them."""

from datetime import UTC, datetime
from typing import Any

from bartizan.alerts.notifiers.wording import safe_url
from bartizan.plugins.notification import NotifiedAlert

NOT_ENDED = "0001-01-01T00:00:00Z"
"""How Alertmanager says that an alert has no end."""


def timestamp(time: datetime) -> str:
    """Returns a time in RFC 3339, in UTC."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encodable(text: str) -> str:
    """Returns `text` without what no UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def annotations_of(alert: NotifiedAlert) -> dict[str, str]:
    """Returns the annotations, with the value and the links that have no place of their own."""
    value, threshold = alert.value, alert.threshold
    told = {encodable(name): encodable(text) for name, text in alert.annotations.items()}
    added = {
        "value": "" if value is None else f"{value:g}",
        "threshold": "" if threshold is None else f"{threshold:g}",
        "why_url": safe_url(alert.why_url),
        "silence_url": safe_url(alert.silence_url),
    }
    return {**{name: text for name, text in added.items() if text}, **told}


def webhook_alert(alert: NotifiedAlert) -> dict[str, Any]:
    """Returns an alert of the webhook's body, version 4."""
    return {
        "status": "firing" if alert.is_firing else "resolved",
        "labels": {encodable(name): encodable(text) for name, text in alert.labels.items()},
        "annotations": annotations_of(alert),
        "startsAt": timestamp(alert.starts_at),
        "endsAt": NOT_ENDED if alert.ends_at is None else timestamp(alert.ends_at),
        "generatorURL": safe_url(alert.url),
        "fingerprint": alert.fingerprint,
    }
