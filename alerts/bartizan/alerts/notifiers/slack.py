"""Slack, by an incoming webhook or by a bot."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator

from bartizan.alerts.notifiers.http import Answer, HttpClient, reached
from bartizan.alerts.notifiers.secret import Secret, check_sources, given, in_file, in_variable
from bartizan.alerts.notifiers.secret import sources_of as sources
from bartizan.alerts.notifiers.settings import REACH_KEYS, ChannelConfig, Url
from bartizan.alerts.notifiers.slack_blocks import body_of, reply_of
from bartizan.alerts.notifiers.slack_errors import MessageGone, answered
from bartizan.alerts.notifiers.statuses import check
from bartizan.plugins.notification import (
    Delivered,
    Notification,
    Status,
)

API = "https://slack.com/api"
JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class SlackConfig(ChannelConfig):
    """The configuration of the notifier `slack`: an incoming webhook, or a bot's token."""

    operator_keys = REACH_KEYS | sources("webhook_url", "token") | {"api_url"}
    secret_keys = frozenset({"webhook_url", "token"})

    webhook_url: SecretStr | None = given("The address of an incoming webhook.")
    webhook_url_file: Path | None = in_file("webhook_url")
    webhook_url_env: str | None = in_variable("webhook_url")
    token: SecretStr | None = given("A bot's token with the scope `chat:write`.")
    token_file: Path | None = in_file("token")
    token_env: str | None = in_variable("token")
    channel: str = Field(
        "",
        max_length=100,
        pattern=r"^[#@\w.-]*$",
        description="Where the bot posts: the id of a channel, `C0123456789`. Ids outlive names.",
    )
    api_url: Url = Field(API, description="Where the API is.")

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        check_sources(self, "webhook_url", required=False)
        check_sources(self, "token", required=False)
        bot = any(value is not None for value in (self.token, self.token_file, self.token_env))
        hook = any(
            value is not None
            for value in (self.webhook_url, self.webhook_url_file, self.webhook_url_env)
        )
        if bot == hook:
            raise ValueError("give the webhook_url or the token (as _file or _env), and one only")
        if bot and not self.channel:
            raise ValueError("a bot needs a channel")
        return self


class Slack:
    """Posts to a channel. With a bot's token, one message follows the group as it changes.

    A change updates the message and is told in the thread under it; what still fires is shown in
    the channel again, since an update wakes nobody. A webhook posts each change as a message.
    """

    Config = SlackConfig

    def __init__(
        self,
        config: SlackConfig,
        *,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sends nothing yet."""
        self._config = config
        self._hook = Secret(config, "webhook_url", environ)
        self._token = Secret(config, "token", environ)
        self._client = HttpClient(config.dialer(), config.timeout_s, clock=clock)

    async def notify(self, notification: Notification) -> Delivered:
        """Posts the notification, or changes what was posted. Raises Retryable or Permanent."""
        if self._hook.is_set:
            await self._post_to_hook(notification)
            return Delivered()
        thread = notification.thread
        if thread.get("ts") and thread.get("channel"):
            return await self._changed(notification, thread["channel"], thread["ts"])
        return await self._posted(notification)

    async def aclose(self) -> None:
        """Holds nothing."""

    async def _post_to_hook(self, notification: Notification) -> None:
        url = await asyncio.to_thread(self._hook.reveal)
        check("slack", await self._send(url, "webhook_url", body_of(notification), {}))

    async def _posted(self, notification: Notification) -> Delivered:
        body = {**body_of(notification), "channel": self._config.channel}
        answer = await self._call("chat.postMessage", body)
        channel, ts = answer.get("channel"), answer.get("ts")
        if not (isinstance(channel, str) and isinstance(ts, str)):
            return Delivered(warning="slack did not say which message it is: no thread follows")
        return Delivered({"channel": channel[:100], "ts": ts[:100]})

    async def _changed(self, notification: Notification, channel: str, ts: str) -> Delivered:
        try:
            # The update first: to repeat it after a failure of the reply does no harm.
            await self._call("chat.update", {**body_of(notification), "channel": channel, "ts": ts})
        except MessageGone:
            gone = True
        else:
            gone = False
        if gone:
            return await self._posted(notification)
        reply = {
            **reply_of(notification),
            "channel": channel,
            "thread_ts": ts,
            "reply_broadcast": notification.status is Status.FIRING,
        }
        await self._call("chat.postMessage", reply)
        return Delivered({"channel": channel, "ts": ts})

    async def _call(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        token = await asyncio.to_thread(self._token.reveal)
        url = f"{self._config.api_url.rstrip('/')}/{method}"
        answer = await self._send(url, "api_url", body, {"Authorization": f"Bearer {token}"})
        check("slack", answer)
        return answered(answer)

    async def _send(
        self, url: str, key: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Answer:
        target = reached(url, key, allow_plain=self._config.allow_private)
        sent = json.dumps(body, ensure_ascii=True).encode()
        return await self._client.post(target, {**JSON_HEADERS, **headers}, sent)
