import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.notifiers.conformance import PeerConformance
from tests.alerts.notifiers.golden import pretty, resolved, same_as, several
from tests.alerts.notifiers.http_peer import Peer, Request, answer, answering, http_peer
from tests.alerts.notifiers.schemas import SLACK, complaint

from bartizan.alerts.notifiers.slack import Slack, SlackConfig
from bartizan.alerts.notifiers.slack_blocks import body_of, escaped, reply_of
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.notification import (
    Cause,
    Notifier,
    NotifyError,
    Permanent,
    Reason,
    Retryable,
    Severity,
    Status,
)
from bartizan.plugins.notifier_testing import (
    MANY_ALERTS,
    ODD_TEXTS,
    many,
    notification,
    odd,
)

TOKEN = "xoxb-planted-6d1e"
HOOK = "/services/T0/B0/planted-77ab"
CHANNEL = "C0123456789"
TS = "1763608320.000100"


@pytest.fixture
async def slack() -> AsyncIterator[Peer]:
    """A peer that checks what it gets as Slack documents it."""
    async with http_peer(answering(500)) as running:

        async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
            wrong = complaint(request.document, SLACK)
            by_hook = request.path == HOOK
            if wrong:
                running.complaints.append(wrong)
            if by_hook:
                await answer(writer, 400 if wrong else 200, b"invalid_payload" if wrong else b"ok")
            elif request.headers.get("authorization") != f"Bearer {TOKEN}":
                await answer(writer, 200, b'{"ok": false, "error": "invalid_auth"}')
            else:
                said = {"ok": not wrong, "error": "invalid_blocks", "channel": CHANNEL, "ts": TS}
                await answer(writer, 200, json.dumps(said).encode())

        running.handle = handle
        yield running
        assert not running.complaints


def bot(peer: Peer, **document: Any) -> Slack:
    given = {"token_env": "TOKEN", "channel": "#on-call", "api_url": f"{peer.url}/api"}
    config = parse_config(SlackConfig, {**given, "allow_private": True, **document}, "channel")
    return Slack(config, environ={"TOKEN": f"{TOKEN}\n"})


def hook(peer: Peer, **document: Any) -> Slack:
    given = {"webhook_url": peer.url + HOOK, "allow_private": True}
    return Slack(parse_config(SlackConfig, {**given, **document}, "channel"))


class SlackConformance(PeerConformance):
    secrets = (TOKEN, HOOK)

    @pytest.fixture(autouse=True)
    def with_peer(self, slack: Peer) -> None:
        self.peer = slack


class TestByHook(SlackConformance):
    def make(self) -> Notifier:
        return hook(self.peer, timeout_ms=self.timeout_ms)


class TestByBot(SlackConformance):
    def make(self) -> Notifier:
        return bot(self.peer, timeout_ms=self.timeout_ms)


def test_what_on_call_reads() -> None:
    same_as("slack_firing.json", pretty(body_of(notification())))
    same_as("slack_resolved.json", pretty(body_of(resolved())))
    same_as("slack_resolved_reply.json", pretty(reply_of(resolved())))
    same_as("slack_several.json", pretty(body_of(several())))
    same_as("slack_several_reply.json", pretty(reply_of(several())))


async def test_one_message_follows_the_group(slack: Peer) -> None:
    channel = bot(slack)
    first = await channel.notify(notification())
    assert first.thread == {"channel": CHANNEL, "ts": TS}
    acknowledged = notification(
        status=Status.ACKNOWLEDGED,
        reason=Reason.ACKNOWLEDGED,
        acknowledged_by="jane",
        thread=first.thread,
        number=2,
    )
    second = await channel.notify(acknowledged)
    await channel.notify(resolved(thread=second.thread))
    paths = [request.path.rpartition("/")[2] for request in slack.requests]
    update_and_reply = ["chat.update", "chat.postMessage"]
    assert paths == ["chat.postMessage", *update_and_reply, *update_and_reply]
    assert slack.requests[0].document["channel"] == "#on-call"
    for update, reply in (slack.requests[1:3], slack.requests[3:5]):
        assert update.document["ts"] == reply.document["thread_ts"] == TS
        assert update.document["channel"] == reply.document["channel"] == CHANNEL
        assert reply.document["reply_broadcast"] is False
    assert "jane" in slack.requests[2].document["text"]


async def test_what_still_fires_is_shown_in_the_channel_again(slack: Peer) -> None:
    thread = {"channel": CHANNEL, "ts": TS}
    await bot(slack).notify(notification(reason=Reason.REPEATED, thread=thread, number=2))
    assert slack.requests[1].document["reply_broadcast"] is True


async def test_a_message_that_is_gone_is_posted_anew(slack: Peer) -> None:
    takes = slack.handle

    async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path.endswith("chat.update"):
            await answer(writer, 200, b'{"ok": false, "error": "message_not_found"}')
        else:
            await takes(request, writer)

    slack.handle = handle
    old = {"channel": CHANNEL, "ts": "1700000000.000001"}
    delivered = await bot(slack).notify(notification(thread=old, number=2))
    assert delivered.thread == {"channel": CHANNEL, "ts": TS}
    assert "thread_ts" not in slack.requests[-1].document


@pytest.mark.parametrize(
    ("error", "kind", "cause"),
    [
        ("ratelimited", Retryable, Cause.RATE_LIMITED),
        ("internal_error", Retryable, Cause.SERVER),
        ("fatal_error", Retryable, Cause.SERVER),
        ("invalid_auth", Permanent, Cause.AUTH),
        ("channel_not_found", Permanent, Cause.CLIENT),
        (f"quoting {TOKEN}", Permanent, Cause.CLIENT),
        (None, Permanent, Cause.CLIENT),
        (["list"], Permanent, Cause.CLIENT),
    ],
)
async def test_errors_of_the_api(
    slack: Peer, error: object, kind: type[NotifyError], cause: Cause
) -> None:
    slack.handle = answering(200, json.dumps({"ok": False, "error": error}).encode())
    with pytest.raises(kind) as raised:
        await bot(slack).notify(notification())
    assert raised.value.cause is cause
    assert TOKEN not in raised.value.reason


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"ok": 1}', b"\xff", b"[" * 60_000])
async def test_answers_that_say_nothing(slack: Peer, body: bytes) -> None:
    slack.handle = answering(200, body)
    with pytest.raises(NotifyError):
        await bot(slack).notify(notification())


async def test_an_answer_without_a_message(slack: Peer) -> None:
    slack.handle = answering(200, b'{"ok": true}')
    delivered = await bot(slack).notify(notification())
    assert not delivered.thread
    assert delivered.warning


async def test_redirects_are_refused(slack: Peer) -> None:
    slack.handle = answering(307, Location=slack.url)
    with pytest.raises(Permanent, match="redirect"):
        await hook(slack).notify(notification())
    assert len(slack.requests) == 1


async def test_inside_addresses_are_refused(slack: Peer) -> None:
    channel = hook(slack, webhook_url=slack.url.replace("http", "https"), allow_private=False)
    with pytest.raises(Permanent):
        await channel.notify(notification())
    with pytest.raises(Permanent):
        await hook(slack, allow_private=False).notify(notification())
    assert not slack.requests


async def test_a_token_is_read_anew(slack: Peer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    channel = bot(slack, token_env=None, token_file=str(file))
    with pytest.raises(Permanent) as raised:
        await channel.notify(notification())
    assert raised.value.cause is Cause.AUTH
    file.write_text(f"{TOKEN}\n")
    assert (await channel.notify(notification())).thread


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("text", ODD_TEXTS)
def test_whatever_is_said_has_the_form(text: str, severity: Severity) -> None:
    told = replace(odd(text), severity=severity)
    for document in (body_of(told), reply_of(told)):
        assert complaint(document, SLACK) == ""
        assert "<!channel>" not in json.dumps(document)
        json.dumps(document, ensure_ascii=False).encode()


def test_many_alerts_have_the_form() -> None:
    document = body_of(many())
    assert complaint(document, SLACK) == ""
    text = document["attachments"][0]["blocks"][2]["text"]["text"]
    [more] = re.findall(r"… and (\d+) more", text)
    shown = text.count("since")
    assert shown + int(more) == MANY_ALERTS + 40


@given(st.text(max_size=200), st.integers(10, 100))
def test_escaping(text: str, most: int) -> None:
    told = escaped(text, most)
    assert len(told) <= most
    assert not set("<>") & set(told)
    rest = told
    for entity in ("&amp;", "&lt;", "&gt;"):
        rest = rest.replace(entity, "")
    assert "&" not in rest


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"webhook_url_env": "A", "token_env": "B", "channel": "C1"},
        {"token_env": "A"},
        {"webhook_url": "https://a", "webhook_url_env": "A"},
        {"token_env": "A", "channel": "<!here>"},
        {"token_env": "A", "channel": "C1", "api_url": "ftp://x"},
        {"token_env": "A B", "channel": "C1"},
    ],
)
def test_wrong_configurations(document: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        parse_config(SlackConfig, document, "channel")


def test_a_configuration_shows_no_secret() -> None:
    config = parse_config(SlackConfig, {"token": TOKEN, "channel": "C1"}, "channel")
    assert TOKEN not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()}"
    assert {"token", "webhook_url"} == SlackConfig.secret_keys
    assert {"token_file", "token_env", "allow_private"} <= SlackConfig.operator_keys
