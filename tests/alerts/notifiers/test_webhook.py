import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.alerts.notifiers.conformance import PeerConformance
from tests.alerts.notifiers.golden import pretty, resolved, same_as
from tests.alerts.notifiers.http_peer import Peer, Request, answer, answering, http_peer
from tests.alerts.notifiers.schemas import WEBHOOK, complaint

from bartizan.alerts.notifiers.webhook import (
    Webhook,
    WebhookConfig,
    body_of,
    key_of,
    message_id,
    signature,
)
from bartizan.plugins.config import parse_config
from bartizan.plugins.notification import Notifier, Permanent, Status
from bartizan.plugins.notifier_testing import (
    BEGUN,
    many,
    notification,
)

NOW = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
RAW_KEY = b"planted-key-of-some-bytes"
KEY = f"whsec_{base64.b64encode(RAW_KEY).decode()}"
BEARER = "Bearer planted-4b7e"
PATH = "/hooks/planted-22c9"


@pytest.fixture
async def receiver() -> AsyncIterator[Peer]:
    """A peer that checks body and signature."""
    async with http_peer(answering(500)) as running:

        async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
            wrong = complaint(request.document, WEBHOOK) or _forged(request)
            if wrong:
                running.complaints.append(wrong)
            await answer(writer, 400 if wrong else 204)

        running.handle = handle
        yield running
        assert not running.complaints


def _forged(request: Request) -> str:
    headers = request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request.body
    digest = hmac.new(RAW_KEY, signed, hashlib.sha256).digest()
    right = f"v1,{base64.b64encode(digest).decode()}"
    return "" if headers["webhook-signature"] == right else "the signature is wrong"


def channel(peer: Peer, **document: Any) -> Webhook:
    given = {
        "url_env": "URL",
        "signing_key_env": "KEY",
        "authorization_env": "BEARER",
        "allow_private": True,
    }
    config = parse_config(WebhookConfig, {**given, **document}, "channel")
    environ = {"URL": peer.url + PATH, "KEY": KEY, "BEARER": BEARER}
    return Webhook(config, environ=environ, clock=lambda: NOW)


class TestWebhook(PeerConformance):
    secrets = (KEY, BEARER, PATH)

    @pytest.fixture(autouse=True)
    def with_peer(self, receiver: Peer) -> None:
        self.peer = receiver

    def make(self) -> Notifier:
        return channel(self.peer, timeout_ms=self.timeout_ms)


def test_the_body() -> None:
    same_as("webhook_firing.json", pretty(body_of(notification())))
    same_as("webhook_resolved.json", pretty(body_of(resolved(truncated=3))))


def test_the_signature_of_the_specification() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_what_is_sent_beside_the_body(receiver: Peer) -> None:
    await channel(receiver).notify(notification())
    [request] = receiver.requests
    assert request.path == PATH
    assert request.headers["authorization"] == BEARER
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert request.headers["webhook-id"] == message_id(notification())


def test_an_id_names_one_notification() -> None:
    later = replace(notification().alerts[0], starts_at=BEGUN + timedelta(hours=1))
    told = [
        notification(),
        notification(number=2),
        notification(key="6e" * 32),
        notification(alerts=(later,)),
        notification(alerts=()),
    ]
    assert len({message_id(one) for one in told}) == len(told)
    assert message_id(told[0]) == message_id(notification(thread={"a": "b"}))


def test_an_acknowledged_group_still_fires() -> None:
    assert body_of(notification(status=Status.ACKNOWLEDGED))["status"] == "firing"
    assert complaint(body_of(many()), WEBHOOK) == ""


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_%%%", "whsec_c2hvcnQ=", KEY[6:], "x" * 40])
def test_keys_that_are_none(secret: str) -> None:
    with pytest.raises(Permanent) as raised:
        key_of(secret)
    assert secret in {"", "whsec_"} or secret not in repr(raised.value)


@pytest.mark.parametrize("url", ["https://user:planted@example.com", "http://[", "gopher://x"])
async def test_addresses_that_are_none(receiver: Peer, url: str) -> None:
    with pytest.raises(Permanent) as raised:
        await channel(receiver, url_env=None, url=url).notify(notification())
    assert url not in str(raised.value)
    assert not receiver.requests
