"""Hands one mail to a server over SMTP, with TLS and a login where they are asked for."""

import asyncio
import binascii
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bartizan.alerts.notifiers.dialing import Dialer, Streams
from bartizan.alerts.notifiers.http import told
from bartizan.plugins.notification import Cause, NotifyError, Permanent, Retryable

MAX_REPLY_LINES = 100
GOOD = range(200, 300)
GO_ON = range(300, 400)
LATER = range(400, 500)
LOGIN_REFUSED = frozenset({530, 534, 535, 538})

Tls = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Login:
    """Who sends. Never printed with its password."""

    username: str
    password: str

    def __repr__(self) -> str:
        return "Login(…)"


class Server(NamedTuple):
    """Where mail is handed over."""

    host: str
    port: int
    tls: Tls


class Reply(NamedTuple):
    """What a server said. Its words are never repeated to anybody."""

    code: int
    lines: tuple[str, ...]


class SmtpClient:
    """Hands mails to one server. A connection serves one mail."""

    def __init__(self, dialer: Dialer, server: Server, timeout_s: float) -> None:
        """`timeout_s` is what one mail may take from beginning to end."""
        self._dialer = dialer
        self._server = server
        self._timeout_s = timeout_s

    async def send(
        self, sender: str, recipients: Sequence[str], mail: bytes, login: Login | None
    ) -> Mapping[str, int]:
        """Returns the recipients that were refused, with the codes; the others have the mail.

        Raises Retryable or Permanent if nobody has it for another reason.
        """
        failure: NotifyError
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._sent(sender, recipients, mail, login)
        except OSError as error:
            failure = told(error)
        except asyncio.IncompleteReadError:
            failure = told(ConnectionResetError())
        except (ValueError, asyncio.LimitOverrunError):
            failure = Retryable("an answer that is no SMTP", cause=Cause.SERVER)
        # Out here nothing of what was caught, which may quote what came back, hangs on to it.
        raise failure

    async def _sent(
        self, sender: str, recipients: Sequence[str], mail: bytes, login: Login | None
    ) -> Mapping[str, int]:
        host, port, tls = self._server
        session = _Session(await self._dialer.open(host, port, tls=tls == "tls"))
        try:
            session.expect(await session.reply(), "the greeting")
            await session.greet()
            if tls == "starttls":
                await self._to_tls(session)
            if login is not None:
                await session.log_in(login)
            return await session.hand_over(sender, recipients, mail)
        finally:
            session.abort()

    async def _to_tls(self, session: "_Session") -> None:
        if "STARTTLS" not in session.offers:
            raise Permanent("the mail server offers no STARTTLS", Cause.CLIENT)
        session.expect(await session.command("STARTTLS"), "STARTTLS")
        # A writer that nobody holds closes what lies beneath the new one.
        session.plain = session.streams
        session.streams = await self._dialer.over_tls(session.streams, self._server.host)
        await session.greet()


class _Session:
    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.plain: Streams | None = None
        self.offers: dict[str, tuple[str, ...]] = {}

    async def greet(self) -> None:
        here = ipaddress.ip_address(self.streams[1].get_extra_info("sockname")[0])
        name = f"[IPv6:{here}]" if here.version == 6 else f"[{here}]"
        reply = await self.command(f"EHLO {name}")
        self.expect(reply, "EHLO")
        words = [line.upper().split() for line in reply.lines[1:]]
        self.offers = {offer[0]: tuple(offer[1:]) for offer in words if offer}

    async def log_in(self, login: Login) -> None:
        ways = self.offers.get("AUTH", ())
        if "PLAIN" in ways:
            whole = f"\0{login.username}\0{login.password}"
            reply = await self.command(f"AUTH PLAIN {_base64(whole)}")
        elif "LOGIN" in ways:
            reply = await self.command("AUTH LOGIN")
            for part in (login.username, login.password):
                if reply.code in GO_ON:
                    reply = await self.command(_base64(part))
        else:
            raise Permanent("the mail server offers no login by PLAIN or LOGIN", Cause.AUTH)
        self.expect(reply, "the login")

    async def hand_over(
        self, sender: str, recipients: Sequence[str], mail: bytes
    ) -> Mapping[str, int]:
        self.expect(await self.command(f"MAIL FROM:<{sender}>"), "the sender")
        refused: dict[str, int] = {}
        for recipient in recipients:
            reply = await self.command(f"RCPT TO:<{recipient}>")
            if reply.code not in GOOD:
                refused[recipient] = reply.code
        if len(refused) == len(recipients):
            return refused
        self.expect(await self.command("DATA"), "DATA", GO_ON)
        self.expect(await self._data(mail), "the mail")
        # It has the mail: what comes after that no longer matters.
        self.streams[1].write(b"QUIT\r\n")
        return refused

    async def _data(self, mail: bytes) -> Reply:
        lines = mail.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        stuffed = (b"." + line if line.startswith(b".") else line for line in lines)
        self.streams[1].write(b"\r\n".join(stuffed) + b"\r\n.\r\n")
        await self.streams[1].drain()
        return await self.reply()

    async def command(self, line: str) -> Reply:
        if not (line.isascii() and line.replace("\0", "").isprintable()):
            raise Permanent("an address or a login cannot be said in SMTP", Cause.CLIENT)
        self.streams[1].write(line.encode() + b"\r\n")
        await self.streams[1].drain()
        return await self.reply()

    async def reply(self) -> Reply:
        lines: list[str] = []
        for _ in range(MAX_REPLY_LINES):
            line = (await self.streams[0].readuntil(b"\n")).decode("latin-1").rstrip("\r\n")
            code = int(line[:3]) if line[:3].isascii() and line[:3].isdigit() else 0
            if not 200 <= code < 600:
                raise ValueError
            lines.append(line[4:])
            if line[3:4] != "-":
                return Reply(code, tuple(lines))
        raise ValueError

    def expect(self, reply: Reply, what: str, wanted: range = GOOD) -> None:
        if reply.code not in wanted:
            raise refusal(what, reply.code)

    def abort(self) -> None:
        # Nobody waits for a goodbye: the other side may never say one.
        self.streams[1].transport.abort()


def refusal(what: str, code: int) -> NotifyError:
    """Returns the error for `what` a server refused with `code`."""
    said = f"the mail server refused {what} (code {code})"
    if code in LOGIN_REFUSED:
        return Permanent(said, Cause.AUTH)
    if code in LATER:
        return Retryable(said, cause=Cause.SERVER)
    return Permanent(said, Cause.CLIENT)


def _base64(text: str) -> str:
    return binascii.b2a_base64(text.encode(), newline=False).decode()
