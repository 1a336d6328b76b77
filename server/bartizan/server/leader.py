"""One process of many does what must be done once: it holds an advisory lock in the database."""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from bartizan.server.store.engine import AWAY, Connection, connect

log = structlog.get_logger(__name__)

LEADER_LOCK = 0x6261_7274_0003
PING_S = 2.0
"""How long two processes can both think that they lead, at most: jobs must bear that."""


class Leader:
    """Tries for ever to become the leader, and notices when it no longer is."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._elected: list[Callable[[], object]] = []
        self.leads = False

    def when_elected(self, act: Callable[[], object]) -> None:
        """Calls `act` whenever this process becomes the leader."""
        self._elected.append(act)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                await self._reign(await connect(self._url, "bartizan leader"))
            except AWAY as error:
                log.debug("no leadership without a database", error=type(error).__name__)
            finally:
                self._set(False)
            await asyncio.sleep(PING_S)

    async def _reign(self, connection: Connection) -> None:
        # A lock of the session: a pooled connection, or a pooler in between, would lose it.
        try:
            while True:
                if not self.leads:
                    self._set(
                        await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK)
                    )
                else:
                    await connection.fetchval("SELECT 1", timeout=PING_S)
                await asyncio.sleep(PING_S)
        finally:
            with contextlib.suppress(*AWAY):
                await connection.close(timeout=1)

    def _set(self, leads: bool) -> None:
        if leads != self.leads:
            self.leads = leads
            for act in self._elected if leads else ():
                act()
            log.info("leads the scheduled jobs" if leads else "no longer leads")
