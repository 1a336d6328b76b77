"""What is done again and again beside the traffic."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bartizan.server.leader import Leader
from bartizan.server.metrics import Metrics
from bartizan.server.store import retention, rollups
from bartizan.server.store.engine import Connection, connect

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do every so many seconds; `leader_only` if one process of all is enough."""

    name: str
    every_s: float
    run: Callable[[], Awaitable[object]]
    leader_only: bool = False


def store_jobs(url: str, clock: Callable[[], datetime]) -> Iterator[Job]:
    """Yields the jobs of the database."""

    async def fold(connection: Connection) -> None:
        while await rollups.fold(connection):
            pass

    async def make_partitions(connection: Connection) -> None:
        await retention.make_partitions(connection, clock())

    async def expire(connection: Connection) -> None:
        await retention.expire(connection, clock())

    for work, every_s in ((fold, 10), (make_partitions, 3600), (expire, 3600)):
        yield Job(work.__name__, every_s, _connected(url, work), leader_only=True)


def _connected(
    url: str, work: Callable[[Connection], Awaitable[None]]
) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        connection = await connect(url, f"bartizan {work.__name__}")
        try:
            await work(connection)
        finally:
            await connection.close(timeout=1)

    return run


@contextmanager
def scheduled(jobs: Iterator[Job], leader: Leader, metrics: Metrics) -> Iterator[None]:
    """Runs jobs on a schedule while entered; one that fails is logged, counted and tried again."""
    # Failures are logged below, with what may be said of them.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    scheduler = AsyncIOScheduler(timezone=UTC)
    for job in jobs:
        planned = scheduler.add_job(
            _guarded(job, leader, metrics),
            "interval",
            seconds=job.every_s,
            jitter=min(60, job.every_s / 10),
            next_run_time=_now(),
            id=job.name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
        )
        if job.leader_only:
            # Its first run came before there was a leader, and the next may be an hour away.
            leader.when_elected(partial(_run_now, planned))
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


def _now() -> datetime:
    return datetime.now(UTC)


def _run_now(planned: Any) -> None:
    planned.modify(next_run_time=_now())


def _guarded(job: Job, leader: Leader, metrics: Metrics) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        if job.leader_only and not leader.leads:
            return
        metrics.job_runs.labels(job.name).inc()
        try:
            await job.run()
        except Exception as error:
            # The text of an error may quote a row; its type may not.
            metrics.job_failures.labels(job.name).inc()
            log.error("a job failed", job=job.name, error=type(error).__name__)

    return run
