"""Jobs run on time, one at a time, by the leader where one is enough, and on after a failure."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.server.rpc.reading import make_span
from tests.support.recount import assert_all_agrees
from tests.support.storing import store
from tests.support.writing import connected

from bartizan.server import leader as leader_module
from bartizan.server.jobs import Job, scheduled, store_jobs
from bartizan.server.leader import Leader
from bartizan.server.metrics import Metrics
from bartizan.server.store import rollups

OFTEN_S = 0.01
SECRET = "what the customer wrote"


class House:
    """A scheduler's surroundings."""

    def __init__(self, url: str) -> None:
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.leader = Leader(url)

    def scheduled(self, *jobs: Job) -> "contextlib.AbstractContextManager[None]":
        """Runs jobs while entered."""
        return scheduled(iter(jobs), self.leader, self.metrics)

    def count(self, name: str, job: str) -> float:
        """Returns a counter of a job."""
        return self.registry.get_sample_value(f"bartizan_job_{name}_total", {"job": job}) or 0.0


@pytest.fixture
def house(database_url: str) -> House:
    return House(database_url)


def signalling(event: asyncio.Event) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        event.set()

    return run


async def test_a_job_runs_at_once_and_again(house: House) -> None:
    third = asyncio.Event()
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            third.set()

    with house.scheduled(Job("often", OFTEN_S, run)):
        await third.wait()
    assert house.count("runs", "often") >= 3
    assert house.count("failures", "often") == 0


async def test_a_job_that_fails_is_counted_and_goes_on(house: House) -> None:
    done = asyncio.Event()

    async def run() -> None:
        if house.count("failures", "shaky") == 2:
            done.set()
            return
        raise ValueError(SECRET)

    with capture_logs() as logs, house.scheduled(Job("shaky", OFTEN_S, run)):
        await done.wait()
    assert house.count("failures", "shaky") == 2
    assert house.count("runs", "shaky") >= 3
    failed = {"event": "a job failed", "job": "shaky", "error": "ValueError", "log_level": "error"}
    assert logs[:2] == [failed, failed]
    assert SECRET not in str(logs)


async def test_a_slow_job_holds_up_only_itself(house: House) -> None:
    gate, others = asyncio.Event(), asyncio.Event()
    inside = most = 0

    async def slow() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await gate.wait()
        inside -= 1

    async def quick() -> None:
        if house.count("runs", "quick") >= 5:
            others.set()

    with house.scheduled(Job("slow", OFTEN_S, slow), Job("quick", OFTEN_S, quick)):
        await others.wait()
        assert (inside, most) == (1, 1)
        gate.set()


async def test_who_does_not_lead_leaves_the_leaders_jobs_alone(house: House) -> None:
    led, mine = asyncio.Event(), asyncio.Event()
    with house.scheduled(
        Job("led", OFTEN_S, signalling(led), leader_only=True),
        Job("mine", OFTEN_S, signalling(mine)),
    ):
        await mine.wait()
        assert not led.is_set()
    assert house.count("runs", "led") == 0


async def test_a_leaders_job_runs_as_soon_as_it_is_elected(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader_module, "PING_S", 0.1)
    house = House(fresh_database_url)
    ran, first_look = asyncio.Event(), asyncio.Event()
    hourly = Job("hourly", 3600, signalling(ran), leader_only=True)
    with house.scheduled(hourly, Job("canary", 3600, signalling(first_look))):
        # The first turn has come and gone without a leader.
        await first_look.wait()
        leading = asyncio.create_task(house.leader.run())
        await ran.wait()
        ran.clear()
        query = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'bartizan leader' AND datname = current_database()"
        )
        async with connected(fresh_database_url) as connection:
            await connection.execute(query)
        # Elected again: whoever led in between may have missed it.
        await ran.wait()
        leading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leading
    assert house.count("runs", "hourly") == 2


async def test_the_jobs_of_the_database(
    fresh_database_url: str, project_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "MAX_DELTAS", 2)
    now = datetime.now(UTC)
    jobs = {job.name: job for job in store_jobs(fresh_database_url, lambda: now)}
    assert set(jobs) == {"fold", "make_partitions", "expire"}
    assert all(job.leader_only for job in jobs.values())
    await store(fresh_database_url, project_id, [make_span(n, agent=f"a{n}") for n in range(1, 8)])
    for job in jobs.values():
        await job.run()
    async with connected(fresh_database_url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM rollup_deltas") == 0
        await assert_all_agrees(connection, project_id)
        left = await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name IN ('bartizan fold', 'bartizan expire')"
        )
        assert left == 0


async def test_a_job_without_its_database_fails_and_is_counted(
    house: House, tmp_path: Path
) -> None:
    (fold, *_) = store_jobs(f"postgresql://x@/x?host={tmp_path}", lambda: datetime.now(UTC))
    done = asyncio.Event()

    async def watch() -> None:
        if house.count("failures", "fold"):
            done.set()

    anywhere = Job(fold.name, fold.every_s, fold.run)
    with house.scheduled(anywhere, Job("watch", OFTEN_S, watch)):
        await done.wait()
