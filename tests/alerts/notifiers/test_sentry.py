import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.alerts.notifiers.conformance import PeerConformance
from tests.alerts.notifiers.golden import pretty, same_as
from tests.alerts.notifiers.http_peer import Peer, Request, answer, answering, http_peer
from tests.alerts.notifiers.schemas import SENTRY_EVENT, complaint

from bartizan.alerts.notifiers.sentry import Sentry, SentryConfig, dsn_of, event_of
from bartizan.plugins.config import parse_config
from bartizan.plugins.notification import Cause, Notifier, Permanent, Status
from bartizan.plugins.notifier_testing import (
    ODD_TEXTS,
    notification,
    odd,
)

NOW = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
KEY = "planted0cafe0key"


@pytest.fixture
async def sentry() -> AsyncIterator[Peer]:
    """A peer that takes envelopes apart as Sentry does."""
    async with http_peer(answering(500)) as running:

        async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
            header, item, rest = request.body.split(b"\n", 2)
            length = json.loads(item)["length"]
            event = json.loads(rest[:length])
            wrong = complaint(event, SENTRY_EVENT)
            if rest[length:] != b"\n" or json.loads(header)["event_id"] != event["event_id"]:
                wrong = "the envelope is wrong"
            if f"sentry_key={KEY}" not in request.headers["x-sentry-auth"]:
                wrong = "no key"
            if wrong:
                running.complaints.append(wrong)
            await answer(writer, 400 if wrong else 200, b"{}")

        running.handle = handle
        yield running
        assert not running.complaints


def channel(peer: Peer, **document: Any) -> Sentry:
    dsn = f"{peer.scheme}://{KEY}@127.0.0.1:{peer.port}/folder/42"
    given = {"dsn_env": "DSN", "allow_private": True}
    config = parse_config(SentryConfig, {**given, **document}, "channel")
    return Sentry(config, environ={"DSN": dsn}, clock=lambda: NOW)


class TestSentry(PeerConformance):
    secrets = (KEY,)

    @pytest.fixture(autouse=True)
    def with_peer(self, sentry: Peer) -> None:
        self.peer = sentry

    def make(self) -> Notifier:
        return channel(self.peer, timeout_ms=self.timeout_ms)


def test_the_event() -> None:
    same_as("sentry_firing.json", pretty(event_of(notification(), NOW)))


async def test_where_it_goes(sentry: Peer) -> None:
    await channel(sentry).notify(notification())
    assert sentry.requests[0].path == "/folder/api/42/envelope/"


async def test_only_what_fires_is_sent(sentry: Peer) -> None:
    for status in (Status.ACKNOWLEDGED, Status.RESOLVED):
        await channel(sentry).notify(notification(status=status))
    assert not sentry.requests


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_whatever_is_said_has_the_form(text: str) -> None:
    assert complaint(event_of(odd(text), NOW), SENTRY_EVENT) == ""


@pytest.mark.parametrize(
    "dsn",
    [
        "",
        "https://example.com/42",
        f"https://{KEY}@example.com/",
        f"https://{KEY}@example.com:x/42",
        f"ftp://{KEY}@example.com/42",
        f"https://{KEY}\r\nX: y@example.com/42",
        f"http://{KEY}@example.com/42",
        f"https://[{KEY}@example.com/42",
    ],
)
def test_what_is_no_dsn(dsn: str) -> None:
    with pytest.raises(Permanent) as raised:
        dsn_of(dsn, allow_plain=False)
    assert raised.value.cause is Cause.AUTH
    assert KEY not in repr(raised.value)
    assert raised.value.__context__ is None


def test_a_dsn_with_an_old_secret() -> None:
    dsn = dsn_of(f"https://{KEY}:more@example.com/42", allow_plain=False)
    assert (dsn.key, dsn.target.path) == (KEY, "/api/42/envelope/")
    assert KEY not in repr(dsn)
