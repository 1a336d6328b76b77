import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.notifiers.conformance import PeerConformance
from tests.alerts.notifiers.golden import pretty, same_as
from tests.alerts.notifiers.http_peer import Peer, Request, answer, answering, http_peer
from tests.alerts.notifiers.schemas import ALERTMANAGER, complaint

from bartizan.alerts.notifiers.alertmanager import (
    Alertmanager,
    AlertmanagerConfig,
    alerts_of,
    label_name,
)
from bartizan.plugins.config import parse_config
from bartizan.plugins.notification import Notifier, Reason
from bartizan.plugins.notifier_testing import (
    BEGUN,
    ODD_TEXTS,
    notification,
    odd,
)

NOW = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
BASIC = "Basic cGxhbnRlZA=="


@pytest.fixture
async def alertmanager() -> AsyncIterator[Peer]:
    """A peer that checks what it gets as Alertmanager documents it."""
    async with http_peer(answering(500)) as running:

        async def handle(request: Request, writer: asyncio.StreamWriter) -> None:
            wrong = complaint(request.document, ALERTMANAGER)
            if request.path != "/prefix/api/v2/alerts":
                wrong = request.path
            if wrong:
                running.complaints.append(wrong)
            await answer(writer, 400 if wrong else 200)

        running.handle = handle
        yield running
        assert not running.complaints


def channel(peer: Peer, **document: Any) -> Alertmanager:
    given = {"url": f"{peer.url}/prefix/", "authorization": BASIC, "allow_private": True}
    config = parse_config(AlertmanagerConfig, {**given, **document}, "channel")
    return Alertmanager(config, clock=lambda: NOW)


class TestAlertmanager(PeerConformance):
    secrets = (BASIC,)

    @pytest.fixture(autouse=True)
    def with_peer(self, alertmanager: Peer) -> None:
        self.peer = alertmanager

    def make(self) -> Notifier:
        return channel(self.peer, timeout_ms=self.timeout_ms)


def test_the_body() -> None:
    pushed = alerts_of(notification(), NOW, NOW + timedelta(minutes=490))
    same_as("alertmanager_firing.json", pretty(pushed))


async def test_what_fires_is_held_and_what_is_resolved_ends(alertmanager: Peer) -> None:
    firing = notification().alerts[0]
    ended = replace(firing, ends_at=BEGUN + timedelta(minutes=1))
    await channel(alertmanager, hold_minutes=60).notify(notification(alerts=(firing, ended)))
    [request] = alertmanager.requests
    ends = [alert["endsAt"] for alert in request.document]
    assert ends == ["2026-11-20T04:15:00.000Z", "2026-11-20T03:13:00.000Z"]
    assert request.headers["authorization"] == BASIC


def test_a_test_is_an_alert() -> None:
    told = notification(reason=Reason.TEST, alerts=(), common_labels={})
    [pushed] = alerts_of(told, NOW, NOW)
    assert pushed["labels"]["alertname"] == "test notification"


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_whatever_is_said_has_the_form(text: str) -> None:
    assert complaint(alerts_of(odd(text), NOW, NOW), ALERTMANAGER) == ""


@given(st.text(max_size=300))
def test_label_names(name: str) -> None:
    plain = label_name(name)
    assert plain.replace("_", "a").isalnum()
    assert plain.isascii()
    assert not plain[0].isdigit()
