"""Says whether the server can do its work, and if not, why."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

CHECK_TIMEOUT_S = 2.0
WATCH_INTERVAL_S = 1.0
MIN_FREE_BYTES = 64 * 1024 * 1024
"""Below this PostgreSQL may stop at any moment: it needs room for the next WAL segments."""


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0  # a data directory that is gone has no room either


class Readiness:
    """Looks at what the server stands on.

    Args:
        problem: what the writer complains of; empty when all is well.
        data_dir: where the embedded PostgreSQL lives, if there is one.
    """

    def __init__(
        self, engine: AsyncEngine, problem: Callable[[], str], data_dir: Path | None
    ) -> None:
        self._engine = engine
        self._problem = problem
        self._data_dir = data_dir
        self.draining = False

    async def problems(self) -> Sequence[str]:
        """Returns what keeps the server from serving, in sentences without content."""
        if self.draining:
            return ["the server is shutting down"]
        if self._data_dir is not None and _free_bytes(self._data_dir) < MIN_FREE_BYTES:
            return ["the disk of the data directory is full"]
        if problem := self._problem():
            return [problem]
        return [] if await self._database_answers() else ["the database is away"]

    async def watch(self, tell: Callable[[bool], Awaitable[None]]) -> None:
        """Tells of every change between ready and not ready, until cancelled."""
        told: bool | None = None
        while True:
            ready = not await self.problems()
            if ready != told:
                await tell(ready)
                told = ready
            await asyncio.sleep(WATCH_INTERVAL_S)

    async def _database_answers(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S), self._engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception:
            # Whatever it is that fails here, the database does not answer.
            return False
        return True
