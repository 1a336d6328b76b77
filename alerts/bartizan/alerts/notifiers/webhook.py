"""Any receiver of Alertmanager's webhooks, signed as Standard Webhooks says."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, model_validator

from bartizan.alerts.notifiers.alert_json import encodable, webhook_alert
from bartizan.alerts.notifiers.http import HttpClient, reached
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
from bartizan.plugins.notification import Cause, Delivered, Notification, Permanent, Status

PREFIX = "whsec_"
KEY_BYTES = range(24, 65)
"""What Standard Webhooks asks of a key."""


class WebhookConfig(ChannelConfig):
    """The configuration of the notifier `webhook`."""

    operator_keys = REACH_KEYS | sources_of("url", "signing_key", "authorization")
    secret_keys = frozenset({"url", "signing_key", "authorization"})

    url: SecretStr | None = given("Where to post to.")
    url_file: Path | None = in_file("url")
    url_env: str | None = in_variable("url")
    signing_key: SecretStr | None = given("`whsec_` and 24 to 64 bytes in base64.")
    signing_key_file: Path | None = in_file("signing_key")
    signing_key_env: str | None = in_variable("signing_key")
    authorization: SecretStr | None = given("The header `Authorization`: `Bearer …`.")
    authorization_file: Path | None = in_file("authorization")
    authorization_env: str | None = in_variable("authorization")

    @model_validator(mode="after")
    def _has_its_secrets(self) -> Self:
        check_sources(self, "url")
        check_sources(self, "signing_key", required=False)
        check_sources(self, "authorization", required=False)
        return self


class Webhook:
    """Posts the body of Alertmanager's webhook, version 4.

    With a signing key it sends `webhook-id`, `webhook-timestamp` and `webhook-signature`. The id
    stays the same when a notification is tried again. An acknowledged group still fires.
    """

    Config = WebhookConfig

    def __init__(
        self,
        config: WebhookConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sends nothing yet."""
        self._config = config
        self._url = Secret(config, "url", environ)
        self._signing_key = Secret(config, "signing_key", environ)
        self._authorization = Secret(config, "authorization", environ)
        self._client = HttpClient(config.dialer(), config.timeout_s, clock=clock)
        self._clock = clock

    async def notify(self, notification: Notification) -> Delivered:
        """Posts the notification. Raises Retryable or Permanent."""
        body = json.dumps(body_of(notification), allow_nan=False).encode()
        url, headers = await asyncio.to_thread(self._revealed, message_id(notification), body)
        target = reached(url, "url", allow_plain=self._config.allow_private)
        check("webhook", await self._client.post(target, headers, body))
        return Delivered()

    async def aclose(self) -> None:
        """Holds nothing."""

    def _revealed(self, identity: str, body: bytes) -> tuple[str, dict[str, str]]:
        sent_at = int(self._clock().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": identity,
            "webhook-timestamp": str(sent_at),
        }
        if self._signing_key.is_set:
            key = key_of(self._signing_key.reveal())
            headers["webhook-signature"] = signature(key, identity, sent_at, body)
        if self._authorization.is_set:
            headers["Authorization"] = self._authorization.reveal()
        return self._url.reveal(), headers


def body_of(notification: Notification) -> dict[str, Any]:
    """Returns the body that Alertmanager would send."""
    resolved = notification.status is Status.RESOLVED
    return {
        "version": "4",
        "groupKey": notification.key,
        "truncatedAlerts": notification.truncated,
        "status": "resolved" if resolved else "firing",
        "receiver": encodable(notification.receiver),
        "groupLabels": _encodable(notification.group_labels),
        "commonLabels": _encodable(notification.common_labels),
        "commonAnnotations": _encodable(notification.common_annotations),
        "externalURL": notification.external_url,
        "notification_reason": notification.reason.value,
        "alerts": [webhook_alert(alert) for alert in notification.alerts],
    }


def message_id(notification: Notification) -> str:
    """Returns what names this notification, and no other, whenever it is sent."""
    begun = min((alert.starts_at for alert in notification.alerts), default=None)
    parts = (notification.key, "" if begun is None else begun.isoformat(), notification.number)
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()
    return f"msg_{digest[:32]}"


def key_of(secret: str) -> bytes:
    """Returns the bytes of a signing key. Raises Permanent if it is none."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in KEY_BYTES:
        told = "the secret 'signing_key' is not 'whsec_' and 24 to 64 bytes in base64"
        raise Permanent(told, Cause.AUTH)
    return key


def signature(key: bytes, identity: str, sent_at: int, body: bytes) -> str:
    """Returns the header `webhook-signature` of a body that is sent at `sent_at`, in seconds."""
    signed = b".".join((identity.encode(), str(sent_at).encode(), body))
    return f"v1,{base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()}"


def _encodable(labels: Mapping[str, str]) -> dict[str, str]:
    return {encodable(name): encodable(text) for name, text in labels.items()}
