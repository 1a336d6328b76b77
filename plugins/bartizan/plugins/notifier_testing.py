"""The conformance kit for notifiers: what every channel has to bear, for their authors.

Derive a test class from NotifierConformance, say how your notifier is made, how the other side is
made to misbehave and what it got, and run pytest:

    class TestMine(NotifierConformance):
        secrets = ("planted-token",)

        def make(self) -> Notifier:
            timeout_ms = 300 if self.peer.fault is Fault.HANGING else 30_000
            return Mine(MineConfig(self.peer.url, "planted-token", timeout_ms))

        def misbehave(self, fault: Fault) -> None:
            self.peer.fault = fault

        def received(self) -> str:
            return self.peer.everything

Some tests wait for the timeout while the other side hangs; keep it short then, and long else.
"""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest

from bartizan.plugins.notification import (
    Delivered,
    Notification,
    NotifiedAlert,
    Notifier,
    NotifyError,
    Permanent,
    Reason,
    Retryable,
    Severity,
    Status,
)

BEGUN = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
PLANTED = "planted-label-9f41c7"
"""Stands in labels, and must never show up in an error or a log."""

ODD_TEXTS = (
    "",
    "a\r\nBcc: everybody@example.com\r\n\r\nbody",
    "nul\0 and bell\x07",
    "<!channel> <script>alert(1)</script> & <b>",
    "\u202eright to left\u202c, wide \uff11\uff12, \U0001f469\u200d\U0001f4bb",
    "a lone \ud800 surrogate",
    "{{ 7 * 7 }} {% for x in y %} %s {0}",
    "*bold* _it_ `code` |pipe| https://example.com/ @here #general",
    "x" * 100_000,
)
MANY_ALERTS = 500
ASKED_WAIT_S = 7.0


class Fault(StrEnum):
    """How the other side misbehaves."""

    BUSY = "too many requests; where the protocol can say so: in seven seconds"
    FAILING = "a failure of its own"
    REFUSING = "a refusal for good"
    GARBLED = "an answer that is none"
    HANGING = "no answer at all"
    CLOSING = "the connection ends without an answer"


def notification(**changed: Any) -> Notification:
    """Returns a notification of one alert that fires, but for what is `changed`."""
    labels = {
        "alertname": "Error rate of agents",
        "severity": "critical",
        "project": "shop",
        "environment": "prod",
        "agent": PLANTED,
    }
    alert = NotifiedAlert(
        labels=labels,
        annotations={"description": "the share of failed traces"},
        starts_at=BEGUN,
        fingerprint="00c0ffee00c0ffee",
        value=0.124,
        threshold=0.05,
        unit="ratio",
        operator=">",
        url="https://bartizan.example.com/alerts/a1",
        silence_url="https://bartizan.example.com/silences/new?alert=a1",
        why_url="https://bartizan.example.com/alerts/a1/why",
    )
    plain = Notification(
        key="5d" * 32,
        status=Status.FIRING,
        severity=Severity.CRITICAL,
        reason=Reason.FIRST,
        title="Error rate of the checkout agent is high",
        summary="12.4 % of 1,310 traces failed in the last 5 minutes.",
        group_labels={"project": "shop"},
        common_labels=labels,
        alerts=(alert,),
        external_url="https://bartizan.example.com",
        receiver="on-call",
    )
    return replace(plain, **changed)


def odd(text: str) -> Notification:
    """Returns a notification that says `text` wherever it can."""
    plain = notification()
    [alert] = plain.alerts
    said = {"alertname": text, f"na{text[:50]}me": text, "agent": text}
    alerts = (replace(alert, labels=said, annotations=said, url=text, why_url=text, unit=text),)
    return replace(
        plain,
        title=text,
        summary=text[:1_024],
        common_labels=said,
        common_annotations={**said, "runbook_url": text},
        alerts=alerts,
        receiver=text,
        acknowledged_by=text,
    )


def many(count: int = MANY_ALERTS) -> Notification:
    """Returns a notification of many alerts, with long labels."""
    plain = notification()
    alerts = [
        replace(
            plain.alerts[0],
            labels={"agent": f"agent {place}", **{f"label{n}": "y" * 200 for n in range(8)}},
            ends_at=BEGUN + timedelta(minutes=9) if place % 2 else None,
        )
        for place in range(count)
    ]
    return replace(plain, alerts=tuple(alerts), truncated=40)


class NotifierConformance(ABC):
    """The tests. Each makes a notifier of its own.

    Attributes:
        secrets: what the notifier of `make` is configured with, and must never tell.
        says_when: whether the protocol can say when to try again.
    """

    secrets: Sequence[str] = ()
    says_when = True

    @abstractmethod
    def make(self) -> Notifier:
        """Returns a new notifier that delivers to the other side of the test."""

    @abstractmethod
    def misbehave(self, fault: Fault) -> None:
        """Makes the other side misbehave from now on."""

    @abstractmethod
    def received(self) -> str:
        """Returns everything the other side got, as text."""

    async def delivered(self, told: Notification) -> Delivered:
        """Returns what became of `told`, after checking that it can be kept."""
        notifier = self.make()
        delivered = await notifier.notify(told)
        await notifier.aclose()
        assert json.loads(json.dumps(dict(delivered.thread))) == delivered.thread
        assert all(isinstance(value, str) for value in delivered.thread.values())
        return delivered

    async def failure(self, fault: Fault) -> NotifyError:
        """Returns what is raised when the other side misbehaves."""
        self.misbehave(fault)
        notifier = self.make()
        with pytest.raises(NotifyError) as raised:
            await notifier.notify(notification())
        await notifier.aclose()
        return raised.value

    def test_keeps_the_contract(self) -> None:
        assert isinstance(self.make(), Notifier)

    async def test_it_tells(self) -> None:
        await self.delivered(notification())
        assert self.received()

    @pytest.mark.parametrize("severity", Severity)
    async def test_every_severity(self, severity: Severity) -> None:
        await self.delivered(notification(severity=severity))

    async def test_a_whole_story(self) -> None:
        told = notification()
        ended = replace(told.alerts[0], ends_at=BEGUN + timedelta(minutes=12))
        thread = (await self.delivered(told)).thread
        story: tuple[dict[str, Any], ...] = (
            {"reason": Reason.REPEATED},
            {
                "status": Status.ACKNOWLEDGED,
                "reason": Reason.ACKNOWLEDGED,
                "acknowledged_by": "jane",
            },
            {"status": Status.RESOLVED, "reason": Reason.ALL_RESOLVED, "alerts": (ended,)},
        )
        for number, changed in enumerate(story, 2):
            again = notification(**changed, thread=thread, number=number)
            thread = (await self.delivered(again)).thread

    @pytest.mark.parametrize("reason", [Reason.TEST, Reason.HEARTBEAT])
    async def test_without_an_alert(self, reason: Reason) -> None:
        await self.delivered(notification(reason=reason, alerts=(), common_labels={}))

    async def test_without_a_value_or_a_link(self) -> None:
        bare = NotifiedAlert({}, {}, BEGUN)
        await self.delivered(notification(alerts=(bare,), external_url="", summary=""))

    @pytest.mark.parametrize("value", [0.0, -1e300, 1e-9, float("nan"), float("inf")])
    async def test_every_number(self, value: float) -> None:
        alert = replace(notification().alerts[0], value=value)
        await self.delivered(notification(alerts=(alert,)))

    @pytest.mark.parametrize("place", range(len(ODD_TEXTS)))
    async def test_odd_texts(self, place: int) -> None:
        await self.delivered(odd(ODD_TEXTS[place]))

    async def test_many_alerts(self) -> None:
        await self.delivered(many())

    async def test_an_odd_thread(self) -> None:
        thread = {"ts": "a\r\nb", "root": "a\r\nBcc: x@example.com", "nothing": "\0"}
        await self.delivered(notification(thread=thread, number=2))

    @pytest.mark.parametrize("fault", [Fault.BUSY, Fault.FAILING, Fault.HANGING, Fault.CLOSING])
    async def test_what_may_work_later(self, fault: Fault) -> None:
        assert isinstance(await self.failure(fault), Retryable)

    async def test_what_stays_wrong(self) -> None:
        assert isinstance(await self.failure(Fault.REFUSING), Permanent)

    async def test_when_to_try_again(self) -> None:
        error = await self.failure(Fault.BUSY)
        assert isinstance(error, Retryable)
        assert error.retry_after_s == (ASKED_WAIT_S if self.says_when else None)

    @pytest.mark.parametrize("fault", Fault)
    async def test_errors_hold_no_secret(
        self, fault: Fault, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.misbehave(fault)
        notifier = self.make()
        caplog.set_level(logging.DEBUG)
        error: Exception | None = None
        try:
            await notifier.notify(notification())
        except NotifyError as raised:
            error = raised
        told = [*_told(error), caplog.text, repr(notifier)]
        for secret in (*self.secrets, PLANTED):
            assert not any(secret in text for text in told), "an error or a log tells a secret"
        await notifier.aclose()

    async def test_at_once(self) -> None:
        notifier = self.make()
        calls = [notifier.notify(notification(key=f"{n:064x}")) for n in range(5)]
        assert len(await asyncio.gather(*calls)) == 5
        await notifier.aclose()

    async def test_cancelled_midway_it_still_works(self) -> None:
        notifier = self.make()
        call = asyncio.ensure_future(notifier.notify(notification()))
        for _ in range(3):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await notifier.notify(notification())
        await notifier.aclose()

    async def test_closed_twice_and_unopened(self) -> None:
        notifier = self.make()
        await notifier.aclose()
        await notifier.aclose()


def _told(error: BaseException | None) -> list[str]:
    told = []
    while error is not None:
        told += [repr(error), str(error), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return told
