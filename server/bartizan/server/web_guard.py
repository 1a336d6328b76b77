"""What holds for every HTTP request: time limits, headers, and answers that arrive."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bartizan.plugins.errors import Aborted
from bartizan.server.rpc.methods import MAX_MESSAGE_BYTES
from bartizan.server.rpc.write_watch import WRITE_TIMEOUT_SECONDS

READ_TIMEOUT_SECONDS = 60.0
"""How long the next part of a body may take. A client that is slower holds a place for nothing."""

DRAIN_BYTES = 2 * MAX_MESSAGE_BYTES
"""How much of a body is read and thrown away after a refusal. Closing a connection with unread
bytes resets it, and the client would lose the answer that says why."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Set where the application sets none of its own."""

_log = structlog.stdlib.get_logger(__name__)


class Guard:
    """Wraps an application so that no client can hold it up and no error text leaves it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        read_timeout_s: float = READ_TIMEOUT_SECONDS,
        write_timeout_s: float = WRITE_TIMEOUT_SECONDS,
    ) -> None:
        self._app = app
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        exchange = _Exchange(receive, send, self._read_timeout_s, self._write_timeout_s)
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:
            # The application has answered by now. Its server would log the text of the error.
            _log.error("a request failed", path=scope["path"], error=type(error).__qualname__)


class _Exchange:
    """One request and its response."""

    def __init__(
        self, receive: Receive, send: Send, read_timeout_s: float, write_timeout_s: float
    ) -> None:
        self._receive = receive
        self._send = send
        self._read_timeout_s = read_timeout_s
        self._write_timeout_s = write_timeout_s
        self._body_done = False

    async def receive(self) -> Message:
        """Returns the next part of the body; raises Aborted when it takes too long."""
        if self._body_done:
            return await self._receive()
        try:
            async with asyncio.timeout(self._read_timeout_s):
                message = await self._receive()
        except TimeoutError:
            self._body_done = True
            raise Aborted(
                "BODY_TOO_SLOW", f"no part of the body came for {self._read_timeout_s:g} seconds"
            ) from None
        self._body_done = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Sends a part of the response; raises Aborted when nobody reads it."""
        if message["type"] == "http.response.start":
            await self._drain()
            _secure(message)
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await self._send(message)
        except TimeoutError:
            raise Aborted(
                "CLIENT_NOT_READING", f"nothing was read for {self._write_timeout_s:g} seconds"
            ) from None

    async def _drain(self) -> None:
        dropped = 0
        while not self._body_done and dropped < DRAIN_BYTES:
            try:
                message = await self.receive()
            except Aborted:
                return
            dropped += len(message.get("body", b""))


def _secure(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
