"""Hears what others announce over the database: one connection a process, for all channels."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import asyncpg
import structlog

from bartizan.server.store.engine import Connection, connect

log = structlog.get_logger(__name__)

RECONNECT_DELAY_S = 0.5
PING_INTERVAL_S = 10.0
"""A peer that vanished without a word is noticed after so long."""
PING_TIMEOUT_S = 5.0

AWAY = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
"""What a database that is gone or restarting raises."""

Callback = Callable[[str], None]


class Listener:
    """Passes on the payloads of notifications, and connects again whenever the connection breaks.

    Args:
        url: the database, as a postgresql URL. A pooler in transaction mode would lose messages.
        callbacks: what to call for each channel. It must be quick and raise nothing. It gets the
            empty payload after each connect: then, messages may have been missed.
    """

    def __init__(self, url: str, callbacks: Mapping[str, Callback]) -> None:
        self._url = url
        self._callbacks = callbacks
        self._listening = asyncio.Event()

    async def ready(self) -> None:
        """Waits until it hears."""
        await self._listening.wait()

    async def run(self) -> None:
        """Listens until cancelled."""
        said = False
        while True:
            try:
                await self._listen()
            except AWAY as error:
                if self._listening.is_set() or not said:
                    log.warning("hears nothing from the database", error=type(error).__name__)
                said = True
            self._listening.clear()
            await asyncio.sleep(RECONNECT_DELAY_S)

    async def _listen(self) -> None:
        """Listens until the connection breaks, and raises why."""
        connection = await connect(self._url, "bartizan listener")
        closed = asyncio.Event()
        connection.add_termination_listener(lambda _: closed.set())
        try:
            for channel in self._callbacks:
                await connection.add_listener(channel, self._heard)
            for callback in self._callbacks.values():
                callback("")
            self._listening.set()
            await _watch(connection, closed)
        finally:
            connection.terminate()

    def _heard(self, _: Any, __: int, channel: str, payload: object) -> None:
        self._callbacks[channel](str(payload))


async def _watch(connection: Connection, closed: asyncio.Event) -> None:
    """Raises when the connection is closed or no longer answers."""
    while not closed.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PING_INTERVAL_S):
                await closed.wait()
        if not closed.is_set():
            await connection.execute("SELECT 1", timeout=PING_TIMEOUT_S)
    raise ConnectionResetError
