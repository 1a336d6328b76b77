"""A server on this machine that speaks HTTP, and misbehaves as a test wants it to."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from bartizan.plugins.notifier_testing import Fault


@dataclass(frozen=True)
class Request:
    """What came in. The names of `headers` are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


Handler = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Peer:
    """What was asked of the server, and what it does about it.

    Attributes:
        handle: answers a request that came in whole.
        complaints: what was wrong with requests, for tests to look at.
        tasks: one for each connection.
    """

    handle: Handler
    port: int = 0
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def everything(self) -> str:
        return "\n".join(f"{request.path} {request.body!r}" for request in self.requests)


@asynccontextmanager
async def http_peer(handle: Handler, context: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Runs a server for the length of the block."""
    peer = Peer(handle, scheme="https" if context else "http")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer.tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            request = await _read(reader)
            peer.requests.append(request)
            await peer.handle(request, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task in peer.tasks:
            task.cancel()
        await asyncio.gather(*peer.tasks, return_exceptions=True)
        await server.wait_closed()


def answering(status: int, body: bytes = b"", **headers: str) -> Handler:
    """Returns what answers everything in one way. `retry_after` is `Retry-After`."""

    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await answer(writer, status, body, **headers)

    return handle


async def answer(
    writer: asyncio.StreamWriter, status: int, body: bytes = b"", **headers: str
) -> None:
    """Sends a whole answer."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join((f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *lines))
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await writer.drain()
    # Closing at once could take the answer back.
    writer.write_eof() if writer.can_write_eof() else writer.close()
    await asyncio.sleep(0)


async def raw(writer: asyncio.StreamWriter, sent: bytes) -> None:
    """Sends bytes that need not be HTTP."""
    writer.write(sent)
    await writer.drain()


async def hang(_: Request, __: asyncio.StreamWriter) -> None:
    """Says nothing, for ever."""
    await asyncio.Event().wait()


async def close(_: Request, __: asyncio.StreamWriter) -> None:
    """Ends the connection with a reset."""


def faulty(fault: Fault, planted: str) -> Handler:
    """Returns what misbehaves as `fault` says, and quotes `planted` where it can."""
    said = planted.encode()
    return {
        Fault.BUSY: answering(429, said, retry_after="7", x_said=planted),
        Fault.FAILING: answering(500, said),
        Fault.REFUSING: answering(404, said),
        Fault.GARBLED: answering(200, b"<html>" + said),
        Fault.HANGING: hang,
        Fault.CLOSING: close,
    }[fault]


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers["content-length"]))
    return Request(method, path, headers, body)
