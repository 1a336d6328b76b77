"""Runs the HTTP port in the loop of the server."""

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from bartizan.plugins.errors import ConfigError
from bartizan.server.rpc.tls import Tls
from bartizan.server.rpc.write_watch import WRITE_TIMEOUT_SECONDS

MAX_CONNECTIONS = 1_000
"""Open connections in one process; further ones get 503."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection may wait for its next request: longer than the 60 seconds of common load
balancers, or they would send a request into a connection that is just being closed."""

REQUEST_SECONDS = 60.0
"""How long the head of a request may take to come whole, the first one of a connection included."""


class _Protocol(H11Protocol):
    """Closes a connection whose request does not come, or comes too slowly to be one.

    Uvicorn itself waits for ever, so that a few idle connections could take every place.
    """

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_head()
        elif self._overdue is None:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._overdue = self.loop.call_later(REQUEST_SECONDS, self.timeout_keep_alive_handler)

    def _forget_head(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


def bind(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """Returns a listening socket, on a free port when 0 was asked for; raises ConfigError.

    With `reuse_port` several processes may listen on one port.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, proto)
    except OSError as error:
        raise _unusable(host, port, error) from error
    try:
        _set_options(listener, reuse_port)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise _unusable(host, port, error) from error
    return listener


def _set_options(listener: socket.socket, reuse_port: bool) -> None:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if reuse_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Ends connections whose client is gone or never reads, after the application gave them up.
        timeout_ms = int(WRITE_TIMEOUT_SECONDS * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)


def _unusable(host: str, port: int, error: OSError) -> ConfigError:
    return ConfigError(
        "ADDRESS_UNUSABLE",
        f"cannot listen on {host}:{port} for HTTP: {error.strerror}",
        field="http_listen",
    )


class _Uvicorn(uvicorn.Server):
    """A uvicorn that leaves signals to the server it is a part of and says when it serves."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()


@dataclass(frozen=True, slots=True)
class HttpServer:
    """A running HTTP server."""

    port: int
    _server: _Uvicorn
    _task: "asyncio.Task[None]"

    async def stop(self, grace_s: float) -> None:
        """Refuses new requests, lets open ones finish for `grace_s`, then cancels. Idempotent."""
        if not self._server.should_exit:
            self._server.config.timeout_graceful_shutdown = max(1, math.ceil(grace_s))
            self._server.should_exit = True
        await asyncio.shield(self._task)


@contextlib.asynccontextmanager
async def serve_http(
    app: ASGIApp, listener: socket.socket, *, tls: Tls | None = None
) -> AsyncIterator[HttpServer]:
    """Serves until the block ends, then stops at once: call `stop` first to drain.

    Takes over the socket. Raises ConfigError when the TLS files cannot be used.
    """
    port: int = listener.getsockname()[1]
    with contextlib.closing(listener):
        server = _Uvicorn(_config(app, tls))
        task = asyncio.create_task(server.serve([listener]))
        serving = asyncio.create_task(server.serving.wait())
        await asyncio.wait((task, serving), return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        running = HttpServer(port, server, task)
        try:
            yield running
        finally:
            await running.stop(0)


def _config(app: ASGIApp, tls: Tls | None) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        lifespan="off",
        http=_Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    config.load()
    config.ssl = tls.ssl_context() if tls else None
    return config
