"""PagerDuty, by its Events API v2."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from bartizan.alerts.notifiers.alert_json import encodable, timestamp, webhook_alert
from bartizan.alerts.notifiers.http import HttpClient, reached
from bartizan.alerts.notifiers.secret import (
    Secret,
    check_sources,
    given,
    in_file,
    in_variable,
    sources_of,
)
from bartizan.alerts.notifiers.settings import REACH_KEYS, ChannelConfig, Url
from bartizan.alerts.notifiers.statuses import check
from bartizan.alerts.notifiers.wording import (
    Message,
    alertname,
    clipped,
    labels_text,
    message_of,
    where,
)
from bartizan.plugins.notification import Cause, Delivered, Notification, Permanent, Status

ENDPOINT = "https://events.pagerduty.com/v2/enqueue"
ROUTING_KEY_CHARACTERS = 32
MAX_SUMMARY = 1_024
MAX_BODY_BYTES = 512 * 1_000
"""512 KB, read the stricter way."""

ACTIONS: Mapping[Status, str] = {
    Status.FIRING: "trigger",
    Status.ACKNOWLEDGED: "acknowledge",
    Status.RESOLVED: "resolve",
}
DROPPED = "The details were over PagerDuty's 512 KB and have been left out: see the links."


class PagerDutyConfig(ChannelConfig):
    """The configuration of the notifier `pagerduty`."""

    operator_keys = REACH_KEYS | sources_of("routing_key")
    secret_keys = frozenset({"routing_key"})

    routing_key: SecretStr | None = given("The integration key of a service, 32 characters.")
    routing_key_file: Path | None = in_file("routing_key")
    routing_key_env: str | None = in_variable("routing_key")
    url: Url = Field(
        ENDPOINT, description="Where events go. In Europe: `https://events.eu.pagerduty.com/…`."
    )

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        check_sources(self, "routing_key")
        return self


class PagerDuty:
    """Triggers, acknowledges and resolves one incident for each group of alerts."""

    Config = PagerDutyConfig

    def __init__(
        self,
        config: PagerDutyConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sends nothing yet."""
        self._config = config
        self._routing_key = Secret(config, "routing_key", environ)
        self._client = HttpClient(config.dialer(), config.timeout_s, clock=clock)

    async def notify(self, notification: Notification) -> Delivered:
        """Sends one event. Raises Retryable or Permanent."""
        key = await asyncio.to_thread(self._routing_key.reveal)
        if len(key) != ROUTING_KEY_CHARACTERS:
            raise Permanent("the secret 'routing_key' has not 32 characters", Cause.AUTH)
        target = reached(self._config.url, "url", allow_plain=self._config.allow_private)
        headers = {"Content-Type": "application/json"}
        check("pagerduty", await self._client.post(target, headers, sent(notification, key)))
        return Delivered({"dedup_key": notification.key})

    async def aclose(self) -> None:
        """Holds nothing."""


def sent(notification: Notification, routing_key: str) -> bytes:
    """Returns the event as bytes, without its details if they make it too large."""
    event = event_of(notification, routing_key)
    body = json.dumps(event).encode()
    if len(body) > MAX_BODY_BYTES:
        event["payload"]["custom_details"] = {"error": DROPPED}
        body = json.dumps(event).encode()
    return body


def event_of(notification: Notification, routing_key: str) -> dict[str, Any]:
    """Returns the event. An incident is known by the notification's key."""
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": ACTIONS[notification.status],
        "dedup_key": notification.key[:255],
    }
    if notification.status is not Status.FIRING:
        return event
    message = message_of(notification, 0)
    event["client"] = "Bartizan"
    if notification.external_url:
        event["client_url"] = notification.external_url
    event["links"] = [{"href": link.url, "text": link.text} for link in message.links]
    event["payload"] = _payload(notification, message)
    return event


def _payload(notification: Notification, message: Message) -> dict[str, Any]:
    labels = notification.common_labels
    payload = {
        "summary": _summary(notification, message),
        "source": encodable(labels.get("project", "")) or "bartizan",
        "severity": notification.severity.value,
        "timestamp": timestamp(message.since) if message.since is not None else "",
        "component": encodable(labels.get("agent", "")),
        "group": encodable(labels.get("environment", "")),
        "class": encodable(alertname(notification)),
    }
    kept: dict[str, Any] = {name: text for name, text in payload.items() if text}
    kept["custom_details"] = _details(notification, message)
    return kept


def _summary(notification: Notification, message: Message) -> str:
    said = [message.title]
    if len(notification.alerts) == 1:
        said.append(message.facts[0].value)
    if place := labels_text(where(notification.common_labels)):
        said.append(place)
    return clipped(" · ".join(said), MAX_SUMMARY)


def _details(notification: Notification, message: Message) -> dict[str, Any]:
    firing = sum(alert.is_firing for alert in notification.alerts)
    return {
        "summary": message.summary or message.title,
        "why_sent": message.reason,
        "num_firing": firing,
        "num_resolved": len(notification.alerts) - firing,
        "num_not_shown": notification.truncated,
        **{f"annotation_{encodable(name)}": encodable(text)
           for name, text in notification.common_annotations.items()},
        "alerts": [webhook_alert(alert) for alert in notification.alerts],
    }  # fmt: skip
