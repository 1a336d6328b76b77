"""A Prometheus Alertmanager: alerts are pushed to it, and it decides who is told."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from bartizan.alerts.notifiers.alert_json import annotations_of, encodable, timestamp
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
from bartizan.alerts.notifiers.wording import alertname, safe_url
from bartizan.plugins.notification import Delivered, Notification, NotifiedAlert

PATH = "/api/v2/alerts"
NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


class AlertmanagerConfig(ChannelConfig):
    """The configuration of the notifier `alertmanager`."""

    operator_keys = REACH_KEYS | sources_of("authorization")
    secret_keys = frozenset({"authorization"})

    url: Url = Field(description="Where it is: `https://alertmanager.example.com`.")
    authorization: SecretStr | None = given("The header `Authorization`: `Bearer …`.")
    authorization_file: Path | None = in_file("authorization")
    authorization_env: str | None = in_variable("authorization")
    hold_minutes: int = Field(
        490,
        ge=5,
        le=44_640,
        description="For how long an alert that fires is held to be firing without news. Give "
        "more than `repeat_interval`.",
    )

    @model_validator(mode="after")
    def _has_its_secret_once(self) -> Self:
        check_sources(self, "authorization", required=False)
        return self


class Alertmanager:
    """Pushes alerts to `/api/v2/alerts`. Acknowledging and silencing stay on this side."""

    Config = AlertmanagerConfig

    def __init__(
        self,
        config: AlertmanagerConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sends nothing yet."""
        self._config = config
        self._authorization = Secret(config, "authorization", environ)
        self._client = HttpClient(config.dialer(), config.timeout_s, clock=clock)
        self._clock = clock

    async def notify(self, notification: Notification) -> Delivered:
        """Pushes the alerts of the notification. Raises Retryable or Permanent."""
        held_until = self._clock() + timedelta(minutes=self._config.hold_minutes)
        body = json.dumps(alerts_of(notification, self._clock(), held_until)).encode()
        headers = {"Content-Type": "application/json"}
        if self._authorization.is_set:
            headers["Authorization"] = await asyncio.to_thread(self._authorization.reveal)
        url = self._config.url.rstrip("/") + PATH
        target = reached(url, "url", allow_plain=self._config.allow_private)
        check("alertmanager", await self._client.post(target, headers, body))
        return Delivered()

    async def aclose(self) -> None:
        """Holds nothing."""


def alerts_of(
    notification: Notification, now: datetime, held_until: datetime
) -> list[dict[str, Any]]:
    """Returns the body of a push. A test or a heartbeat becomes one alert."""
    alerts = notification.alerts or (
        NotifiedAlert({}, {"summary": notification.summary or notification.title}, now),
    )
    return [dict(_pushed(alert, notification, held_until)) for alert in alerts]


def _pushed(
    alert: NotifiedAlert, notification: Notification, held_until: datetime
) -> Iterator[tuple[str, Any]]:
    labels = {"alertname": alertname(notification), "severity": notification.severity.value}
    named = {**labels, **notification.common_labels, **alert.labels}
    yield "labels", {label_name(name): encodable(text) for name, text in named.items() if text}
    told = annotations_of(alert)
    yield "annotations", {label_name(name): text for name, text in told.items() if text}
    yield "startsAt", timestamp(alert.starts_at)
    # Without an end it would be taken for resolved after the other side's resolve_timeout.
    yield "endsAt", timestamp(alert.ends_at or held_until)
    if url := safe_url(alert.url):
        yield "generatorURL", url


def label_name(name: str) -> str:
    """Returns `name` as Prometheus takes it."""
    plain = NOT_IN_NAMES.sub("_", name)[:200]
    return f"_{plain}" if not plain or plain[0].isdigit() else plain
