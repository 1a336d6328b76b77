import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from tests.alerts.notifiers.conformance import PeerConformance
from tests.alerts.notifiers.golden import pretty, same_as
from tests.alerts.notifiers.http_peer import Peer, Request, answer, answering, http_peer
from tests.alerts.notifiers.schemas import PAGERDUTY, complaint

from bartizan.alerts.notifiers.pagerduty import (
    DROPPED,
    MAX_BODY_BYTES,
    PagerDuty,
    PagerDutyConfig,
    event_of,
    sent,
)
from bartizan.plugins.config import parse_config
from bartizan.plugins.notification import Cause, Notifier, Permanent, Retryable, Status
from bartizan.plugins.notifier_testing import (
    ODD_TEXTS,
    many,
    notification,
    odd,
)

KEY = "planted0key0of032characters0e7d1"


@pytest.fixture
async def pagerduty() -> AsyncIterator[Peer]:
    """A peer that checks what it gets as PagerDuty documents it."""
    async with http_peer(answering(500)) as running:

        async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
            wrong = complaint(request.document, PAGERDUTY)
            if len(request.body) > 524_288:
                wrong = "too large"
            if wrong:
                running.complaints.append(wrong)
            said = {"status": "success", "dedup_key": request.document.get("dedup_key")}
            await answer(writer, 400 if wrong else 202, json.dumps(said).encode())

        running.handle = handle
        yield running
        assert not running.complaints


def channel(peer: Peer, key: str = KEY, **document: Any) -> PagerDuty:
    given = {"routing_key_env": "KEY", "url": f"{peer.url}/v2/enqueue", "allow_private": True}
    config = parse_config(PagerDutyConfig, {**given, **document}, "channel")
    return PagerDuty(config, environ={"KEY": key})


class TestPagerDuty(PeerConformance):
    secrets = (KEY,)

    @pytest.fixture(autouse=True)
    def with_peer(self, pagerduty: Peer) -> None:
        self.peer = pagerduty

    def make(self) -> Notifier:
        return channel(self.peer, timeout_ms=self.timeout_ms)


def test_what_on_call_reads() -> None:
    same_as("pagerduty_firing.json", pretty(event_of(notification(), KEY)))


def test_the_three_actions_share_a_key() -> None:
    events = [event_of(notification(status=status), KEY) for status in Status]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in events} == {notification().key}
    assert {event["routing_key"] for event in events} == {KEY}
    assert not any("payload" in event for event in events[1:])


def test_too_many_details_are_left_out_and_said() -> None:
    told = many(20_000)
    body = sent(told, KEY)
    assert len(body) <= MAX_BODY_BYTES
    event = json.loads(body)
    assert event["payload"]["custom_details"] == {"error": DROPPED}
    assert complaint(event, PAGERDUTY) == ""


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_whatever_is_said_has_the_form(text: str) -> None:
    assert complaint(json.loads(sent(odd(text), KEY)), PAGERDUTY) == ""


def test_a_huge_event_without_alerts_is_still_bounded() -> None:
    labels = {f"label{n}": "x" * 10_000 for n in range(100)}
    told = replace(notification(), common_annotations=labels, common_labels=labels)
    assert len(sent(told, KEY)) <= MAX_BODY_BYTES


async def test_wrong_and_busy(pagerduty: Peer) -> None:
    pagerduty.handle = answering(400, b'{"status": "invalid event"}')
    with pytest.raises(Permanent):
        await channel(pagerduty).notify(notification())
    pagerduty.handle = answering(429, retry_after="3")
    with pytest.raises(Retryable) as raised:
        await channel(pagerduty).notify(notification())
    assert raised.value.retry_after_s == 3.0


async def test_a_key_that_is_none(pagerduty: Peer) -> None:
    for key in ("", "short", "\u00e9" * 32, f"{KEY[:16]}\n{KEY[:15]}"):
        with pytest.raises(Permanent) as raised:
            await channel(pagerduty, key).notify(notification())
        assert raised.value.cause is Cause.AUTH
    assert not pagerduty.requests
