"""Sentry: each group of alerts is an issue, and each notification that it fires an event."""

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import SecretStr, model_validator

from bartizan.alerts.notifiers.alert_json import timestamp
from bartizan.alerts.notifiers.http import AGENT, HttpClient, Target, target_of
from bartizan.alerts.notifiers.secret import (
    Secret,
    check_sources,
    given,
    in_file,
    in_variable,
    sources_of,
)
from bartizan.alerts.notifiers.settings import REACH_KEYS, ChannelConfig
from bartizan.alerts.notifiers.statuses import check
from bartizan.alerts.notifiers.webhook import message_id
from bartizan.alerts.notifiers.wording import clean, message_of
from bartizan.plugins.notification import (
    Cause,
    Delivered,
    Notification,
    Permanent,
    Severity,
    Status,
)

LEVELS: Mapping[Severity, str] = {
    Severity.CRITICAL: "fatal",
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "info",
}
MAX_TAG = 200
MAX_TAG_NAME = 32
MAX_LINES = 50


class SentryConfig(ChannelConfig):
    """The configuration of the notifier `sentry`."""

    operator_keys = REACH_KEYS | sources_of("dsn")
    secret_keys = frozenset({"dsn"})

    dsn: SecretStr | None = given("The DSN of a project.")
    dsn_file: Path | None = in_file("dsn")
    dsn_env: str | None = in_variable("dsn")

    @model_validator(mode="after")
    def _has_its_dsn(self) -> Self:
        check_sources(self, "dsn")
        return self


class Sentry:
    """Sends an event while a group fires.

    An event would open a resolved issue again, and none can close one: of acknowledged and
    resolved groups nothing is sent.
    """

    Config = SentryConfig

    def __init__(
        self,
        config: SentryConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sends nothing yet."""
        self._config = config
        self._dsn = Secret(config, "dsn", environ)
        self._client = HttpClient(config.dialer(), config.timeout_s, clock=clock)
        self._clock = clock

    async def notify(self, notification: Notification) -> Delivered:
        """Sends an envelope with one event. Raises Retryable or Permanent."""
        if notification.status is not Status.FIRING:
            return Delivered(dict(notification.thread))
        secret = await asyncio.to_thread(self._dsn.reveal)
        dsn = dsn_of(secret, allow_plain=self._config.allow_private)
        headers = {
            "Content-Type": "application/x-sentry-envelope",
            "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client={AGENT.lower()}/1, "
            f"sentry_key={dsn.key}",
        }
        body = envelope(event_of(notification, self._clock()), self._clock())
        check("sentry", await self._client.post(dsn.target, headers, body))
        return Delivered()

    async def aclose(self) -> None:
        """Holds nothing."""


class Dsn(NamedTuple):
    """Where envelopes go, and the public key that lets them in."""

    target: Target
    key: str

    def __repr__(self) -> str:
        return "Dsn(…)"


def dsn_of(secret: str, *, allow_plain: bool) -> Dsn:
    """Returns what a DSN says: `https://key@host/path/project`. Raises Permanent if it is none."""
    try:
        parts = urlsplit(secret)
        folder, _, project = parts.path.rpartition("/")
        host = parts.netloc.rpartition("@")[2]
        url = f"{parts.scheme}://{host}{folder}/api/{project}/envelope/"
        target = target_of(url, allow_plain=allow_plain)
        key = parts.username or ""
    except ValueError:
        key = project = ""
    # Parsing drops line ends, which then would not be seen.
    whole = secret.isascii() and secret.isprintable()
    if not (whole and key.isalnum() and project.isalnum()):
        raise Permanent("the secret 'dsn' is no DSN: https://key@host/project", Cause.AUTH)
    return Dsn(target, key)


def envelope(event: Mapping[str, Any], now: datetime) -> bytes:
    """Returns an event in its envelope: a line for it, one for the item, and the item."""
    payload = json.dumps(event).encode()
    header = {"event_id": event["event_id"], "sent_at": timestamp(now)}
    item = {"type": "event", "length": len(payload), "content_type": "application/json"}
    return b"\n".join((json.dumps(header).encode(), json.dumps(item).encode(), payload, b""))


def event_of(notification: Notification, now: datetime) -> dict[str, Any]:
    """Returns the event. Its id stays the same when it is sent again."""
    message = message_of(notification, MAX_LINES)
    labels = notification.common_labels
    event = {
        "event_id": hashlib.sha256(message_id(notification).encode()).hexdigest()[:32],
        "timestamp": timestamp(now),
        "platform": "other",
        "logger": "bartizan.alerts",
        "level": LEVELS[notification.severity],
        "message": {"formatted": message.title},
        "fingerprint": [notification.key],
        "tags": {
            clean(name, MAX_TAG_NAME): clean(text, MAX_TAG) for name, text in labels.items() if text
        },
        "extra": {
            "summary": message.summary,
            "reason": message.reason,
            **{fact.name: fact.value for fact in message.facts},
            **{link.text: link.url for link in message.links},
            "alerts": [line.text for line in message.lines],
            "not_shown": message.more,
        },
    }
    environment = clean(labels.get("environment", ""), 64)
    return {**event, "environment": environment} if environment else event
