import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.alerts.notifiers.smtp_peer import (
    PASSWORD,
    RECIPIENTS,
    USER,
    MailPeer,
    mail_peer,
    scripted,
)

from bartizan.alerts.notifiers.mail import Mail, MailConfig
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.notification import (
    Cause,
    Notifier,
    NotifyError,
    Permanent,
    Reason,
    Retryable,
    Status,
)
from bartizan.plugins.notifier_testing import (
    BEGUN,
    Fault,
    NotifierConformance,
    notification,
)

NOW = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)


@pytest.fixture
async def server(server_context: ssl.SSLContext) -> AsyncIterator[MailPeer]:
    async with mail_peer(server_context) as running:
        yield running


@pytest.fixture
def ca_file(certificates: Path) -> Path:
    return certificates / "ca.pem"


def channel(port: int, password: str = PASSWORD, **document: Any) -> Mail:
    given = {
        "host": "127.0.0.1",
        "port": port,
        "username": USER,
        "password_env": "PASSWORD",
        "sender": "alerts@bartizan.example",
        "recipients": RECIPIENTS,
        "allow_private": True,
    }
    known = {key: value for key, value in {**given, **document}.items() if value is not None}
    config = parse_config(MailConfig, known, "channel")
    return Mail(config, environ={"PASSWORD": f"{password}\n"}, clock=lambda: NOW)


def plain(port: int, **document: Any) -> Mail:
    """A channel for servers that want neither TLS nor a login."""
    without = {"tls": "none", "username": None, "password_env": None}
    return channel(port, **{**without, **document})


async def failed(sender: Mail) -> NotifyError:
    with pytest.raises(NotifyError) as raised:
        await sender.notify(notification())
    assert raised.value.__context__ is None
    assert PASSWORD not in repr(raised.value)
    return raised.value


class TestMail(NotifierConformance):
    secrets = (PASSWORD, ascii(PASSWORD))
    says_when = False

    @pytest.fixture(autouse=True)
    def with_peer(self, server: MailPeer, ca_file: Path) -> None:
        self.peer, self.ca_file, self.silent = server, ca_file, 0
        self.timeout_ms = 30_000

    @pytest.fixture(autouse=True)
    async def with_silent_peers(self) -> AsyncIterator[None]:
        async with (
            scripted(b"220 hello\r\n") as (hanging, _),
            scripted(b"220 hello\r\n", None) as (closing, _),
            scripted(f"<html>{PASSWORD}\r\n".encode()) as (garbled, _),
        ):
            self.others = {
                Fault.HANGING: hanging,
                Fault.CLOSING: closing,
                Fault.GARBLED: garbled,
            }
            yield

    def make(self) -> Notifier:
        port = self.silent or self.peer.port
        return channel(port, ca_file=self.ca_file, timeout_ms=self.timeout_ms)

    def misbehave(self, fault: Fault) -> None:
        self.silent = self.others.get(fault, 0)
        self.timeout_ms = 300 if fault is Fault.HANGING else 30_000
        codes = {Fault.BUSY: 452, Fault.FAILING: 451, Fault.REFUSING: 554}
        self.peer.answers = f"{codes.get(fault, 250)} {PASSWORD!a}"

    def received(self) -> str:
        return repr(self.peer.raw)


async def test_a_mail(server: MailPeer, ca_file: Path) -> None:
    delivered = await channel(server.port, ca_file=ca_file).notify(notification())
    [(recipients, mail)] = server.mails
    assert recipients == list(RECIPIENTS)
    assert server.logins == 1
    assert server.over_tls == [True]
    assert mail["Subject"] == "[CRITICAL] Error rate of the checkout agent is high"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "Bartizan <alerts@bartizan.example>"
    assert mail["In-Reply-To"] is None
    assert delivered.thread["root"] == mail["Message-ID"]
    assert not delivered.warning
    assert mail.is_multipart()
    text, html = mail.iter_parts()
    assert "Silence          https://bartizan.example.com/silences" in text.get_content()
    assert 'href="https://bartizan.example.com/alerts/a1/why"' in html.get_content()
    assert all(len(line) <= 998 for line in server.raw[0].splitlines())


async def test_a_thread(server: MailPeer, ca_file: Path) -> None:
    sender = channel(server.port, ca_file=ca_file)
    thread = (await sender.notify(notification())).thread
    again = notification(reason=Reason.REPEATED, thread=thread, number=2, title="It got worse")
    thread = (await sender.notify(again)).thread
    ended = replace(notification().alerts[0], ends_at=BEGUN + timedelta(minutes=12))
    over = notification(status=Status.RESOLVED, alerts=(ended,), thread=thread, number=3)
    await sender.notify(over)
    first, second, third = (mail for _, mail in server.mails)
    ids = [mail["Message-ID"] for mail in (first, second, third)]
    assert len(set(ids)) == 3
    assert second["In-Reply-To"] == second["References"] == ids[0]
    assert third["In-Reply-To"] == ids[1]
    assert third["References"] == f"{ids[0]} {ids[1]}"
    assert second["Subject"] == third["Subject"] == f"Re: {first['Subject']}"
    body = third.get_body(("plain",))
    assert body is not None
    assert body.get_content().startswith("RESOLVED: ")
    assert "lasted 12 min" in body.get_content()


async def test_the_same_mail_when_it_is_sent_again(server: MailPeer, ca_file: Path) -> None:
    sender = channel(server.port, ca_file=ca_file)
    for _ in range(2):
        await sender.notify(notification())
    assert server.raw[0] == server.raw[1]
    await sender.notify(notification(key="6e" * 32))
    later = replace(notification().alerts[0], starts_at=BEGUN + timedelta(days=1))
    await sender.notify(notification(alerts=(later,)))
    assert len({mail["Message-ID"] for _, mail in server.mails}) == 3


async def test_tls_from_the_first_byte(server_context: ssl.SSLContext, ca_file: Path) -> None:
    async with mail_peer(server_context, implicit=True) as server:
        await channel(server.port, tls="tls", ca_file=ca_file).notify(notification())
        assert server.logins == len(server.mails) == 1


async def test_a_certificate_that_is_not_trusted(server: MailPeer) -> None:
    error = await failed(channel(server.port))
    assert isinstance(error, Permanent)
    assert not server.logins


async def test_login_by_login(server_context: ssl.SSLContext, ca_file: Path) -> None:
    async with mail_peer(server_context, auth_exclude_mechanism=["PLAIN"]) as server:
        await channel(server.port, ca_file=ca_file).notify(notification())
        assert server.logins == 1


async def test_a_login_that_is_refused(server: MailPeer, ca_file: Path) -> None:
    error = await failed(channel(server.port, "wrong", ca_file=ca_file))
    assert isinstance(error, Permanent)
    assert error.cause is Cause.AUTH
    without: dict[str, Any] = {"username": None, "password_env": None}
    error = await failed(channel(server.port, ca_file=ca_file, **without))
    assert error.cause is Cause.AUTH


async def test_no_login_without_tls(server_context: ssl.SSLContext, ca_file: Path) -> None:
    options: dict[str, Any] = {
        "tls_context": None,
        "require_starttls": False,
        "auth_require_tls": False,
    }
    async with mail_peer(server_context, **options) as server:
        error = await failed(channel(server.port, ca_file=ca_file))
        assert error.reason == "the mail server offers no STARTTLS"
        assert not server.logins
    with pytest.raises(ConfigError, match="needs tls"):
        channel(1, tls="none")


async def test_some_recipients_are_refused_for_good(server: MailPeer, ca_file: Path) -> None:
    server.refuses = {RECIPIENTS[1]: "550 nobody of that name"}
    delivered = await channel(server.port, ca_file=ca_file).notify(notification())
    assert delivered.warning == "1 of 3 recipients refused"
    assert delivered.thread
    assert server.mails[0][0] == [RECIPIENTS[0], RECIPIENTS[2]]


async def test_some_recipients_are_refused_for_now(server: MailPeer, ca_file: Path) -> None:
    sender = channel(server.port, ca_file=ca_file)
    server.refuses = {RECIPIENTS[1]: "450 later", RECIPIENTS[2]: "550 never"}
    for _ in range(2):
        error = await failed(sender)
        assert isinstance(error, Retryable)
    assert [recipients for recipients, _ in server.mails] == [[RECIPIENTS[0]]]
    server.refuses = {RECIPIENTS[2]: "550 never"}
    delivered = await sender.notify(notification())
    assert delivered.warning == "1 of 3 recipients refused"
    assert [recipients for recipients, _ in server.mails] == [[RECIPIENTS[0]], [RECIPIENTS[1]]]


@pytest.mark.parametrize(("reply", "kind"), [("450 later", Retryable), ("550 never", Permanent)])
async def test_all_recipients_are_refused(
    server: MailPeer, ca_file: Path, reply: str, kind: type[NotifyError]
) -> None:
    server.refuses = dict.fromkeys(RECIPIENTS, reply)
    error = await failed(channel(server.port, ca_file=ca_file))
    assert isinstance(error, kind)
    assert "3 of 3 recipients" in error.reason
    assert not server.mails


@pytest.mark.parametrize(
    ("replies", "kind"),
    [
        ([b"421 busy\r\n"], Retryable),
        ([b"554 go away\r\n"], Permanent),
        ([b""], Retryable),
        ([b"22\r\n"], Retryable),
        ([b"220" + b"x" * 100_000 + b"\r\n"], Retryable),
        ([b"220-more\r\n" * 10_000], Retryable),
        ([b"220 a\r\n", b"250 a\r\n", b"451 no\r\n"], Retryable),
        ([b"220 a\r\n", b"250 a\r\n", b"553 no\r\n"], Permanent),
        ([b"220 a\r\n", b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", b"500 d\r\n"], Permanent),
        ([b"220 a\r\n", b"250 a\r\n", b"250 b\r\n", b"250 c\r\n", None], Retryable),
        ([b"220 a\r\n", b"250 a\r\n", b"\xff\xfe\r\n"], Retryable),
    ],
)
async def test_servers_that_misbehave(replies: list[bytes | None], kind: type[NotifyError]) -> None:
    async with scripted(*replies) as (port, _):
        sender = plain(port, recipients=RECIPIENTS[:1], timeout_ms=1_000)
        assert isinstance(await failed(sender), kind)


async def test_a_server_that_drips() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            writer.write(b"2")
            await asyncio.sleep(0.02)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await failed(plain(port, timeout_ms=300))).cause is Cause.DEADLINE


async def test_words_before_tls_are_not_believed(ca_file: Path) -> None:
    slipped_in = b"220 go\r\n250 AUTH PLAIN\r\n"
    replies = (b"220 a\r\n", b"250-a\r\n250 STARTTLS\r\n", slipped_in)
    async with scripted(*replies) as (port, said):
        await failed(channel(port, ca_file=ca_file, timeout_ms=500))
    assert not any(line.startswith(b"AUTH") for line in said)


async def test_inside_addresses_are_refused(server: MailPeer) -> None:
    error = await failed(channel(server.port, allow_private=False))
    assert isinstance(error, Permanent)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sender": "a@b\r\nBcc: c@d"},
        {"sender": "nobody"},
        {"recipients": []},
        {"recipients": ["a@b", "c@d>,<e@f"]},
        {"recipients": ["j\u00e4n@example.com"]},
        {"host": "mail.example.com\r\n"},
        {"host": "-"},
        {"sender_name": "a\nb"},
        {"username": "a\r\nb"},
        {"tls": "ssl"},
        {"password_env": None},
        {"port": 0},
    ],
)
def test_wrong_configurations(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        channel(**{"port": 25, **wrong})
