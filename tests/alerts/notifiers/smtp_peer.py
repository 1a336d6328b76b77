"""Mail servers on this machine: a real one, and one that follows a script."""

import asyncio
import logging
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "bartizan", "planted pässword 3c9a"
RECIPIENTS = ("jane@example.com", "joe@example.com", "ann@example.com")


@dataclass
class MailPeer:
    """What a mail server got, and whom it refuses.

    Attributes:
        refuses: the reply to a recipient instead of yes.
        answers: the reply to the mail.
        logins: how often somebody logged in.
    """

    port: int = 0
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)
    answers: str = "250 taken"
    logins: int = 0
    over_tls: list[bool] = field(default_factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refuses:
            return self.refuses[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if self.answers.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails.append((list(envelope.rcpt_tos), mail))
            self.raw.append(envelope.content)
            self.over_tls.append(session.ssl is not None)
        return self.answers

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.logins += right
        return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_peer(
    context: ssl.SSLContext, *, implicit: bool = False, **options: Any
) -> AsyncIterator[MailPeer]:
    """Runs a server that wants TLS and a login, for the length of the block."""
    peer = MailPeer()
    protocols: list[SMTP] = []

    def factory() -> SMTP:
        given = {
            "authenticator": peer.authenticate,
            "auth_required": True,
            "auth_require_tls": not implicit,
            "tls_context": None if implicit else context,
            "require_starttls": not implicit,
            "hostname": "mail.test",
        }
        with warnings.catch_warnings():
            # It warns of a login without TLS, which some tests are about.
            warnings.simplefilter("ignore", UserWarning)
            protocols.append(SMTP(peer, **{**given, **options}))
        return protocols[-1]

    loop = asyncio.get_running_loop()
    # It logs every mail, and the kit looks into logs for what must not be there.
    logging.getLogger("mail.log").disabled = True
    server = await loop.create_server(factory, "127.0.0.1", 0, ssl=context if implicit else None)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        logging.getLogger("mail.log").disabled = False
        server.close()
        for protocol in protocols:
            if isinstance(protocol.transport, asyncio.Transport):
                protocol.transport.abort()
        await server.wait_closed()


@asynccontextmanager
async def scripted(*replies: bytes | None) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Runs a server that greets and answers each line with the next reply; None ends it.

    Yields its port and what it was told. After the last reply it says nothing more.
    """
    said: list[bytes] = []
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            for place, reply in enumerate(replies):
                if place:
                    said.append(await reader.readuntil(b"\n"))
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
            else:
                await asyncio.Event().wait()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], said
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
