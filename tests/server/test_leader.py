"""Of many processes one leads, and another takes its place when its connection dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.writing import connected

from bartizan.server import leader as leader_module
from bartizan.server.leader import LEADER_LOCK, Leader
from bartizan.server.store.engine import Connection

HOLDERS = """
SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32) + objid::bigint = $1
"""
LOOKED = """
SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bartizan leader'
AND datname = current_database() AND state = 'idle' AND query LIKE '%advisory%'
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "PING_S", 0.1)


class Candidate:
    """A leader, and how often it was elected."""

    def __init__(self, url: str) -> None:
        self.leader = Leader(url)
        self.elections: asyncio.Queue[None] = asyncio.Queue()
        self.leader.when_elected(lambda: self.elections.put_nowait(None))
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to run for the office."""
        self.task = asyncio.create_task(self.leader.run())

    async def stop(self) -> None:
        """Leaves."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.task


@asynccontextmanager
async def candidates(url: str, count: int) -> AsyncIterator[list[Candidate]]:
    made = [Candidate(url) for _ in range(count)]
    try:
        yield made
    finally:
        for candidate in made:
            await candidate.stop()


async def elected(*among: Candidate) -> Candidate:
    """Waits for the next election; returns who won it."""
    waiting = {asyncio.create_task(c.elections.get()): c for c in among}
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting.keys() - done:
        task.cancel()
    (winner,) = (waiting[task] for task in done)
    return winner


async def holders(connection: Connection) -> list[int]:
    return [row[0] for row in await connection.fetch(HOLDERS, LEADER_LOCK)]


async def test_one_leads_and_the_others_step_in(fresh_database_url: str) -> None:
    async with (
        connected(fresh_database_url) as connection,
        candidates(fresh_database_url, 3) as crowd,
    ):
        for candidate in crowd:
            candidate.start()
        for left in (3, 2, 1):
            first = await elected(*crowd)
            while await connection.fetchval(LOOKED) < left - 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert [c for c in crowd if c.leader.leads] == [first]
            assert len(await holders(connection)) == 1
            await first.stop()
            assert not first.leader.leads
            crowd.remove(first)


async def test_who_loses_its_connection_leads_no_more(fresh_database_url: str) -> None:
    async with (
        connected(fresh_database_url) as connection,
        candidates(fresh_database_url, 2) as (first, second),
    ):
        first.start()
        assert await elected(first) is first
        second.start()
        while await connection.fetchval(LOOKED) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        (holder,) = await holders(connection)
        await connection.execute("SELECT pg_terminate_backend($1)", holder)
        winner = await elected(first, second)
        other = first if winner is second else second
        while other.leader.leads:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert winner.leader.leads
        assert len(await holders(connection)) == 1


async def test_without_a_database_nobody_leads_until_there_is_one(
    fresh_database_url: str, tmp_path: Path
) -> None:
    async with candidates(f"postgresql://nobody@/none?host={tmp_path}", 1) as (candidate,):
        candidate.start()
        await asyncio.sleep(0)
        assert not candidate.leader.leads
        candidate.leader._url = fresh_database_url
        assert await elected(candidate) is candidate
