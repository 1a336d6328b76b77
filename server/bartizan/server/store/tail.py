"""Live tails: traces as they are committed, by whichever process, to whoever follows them.

Commits are announced by notifications that name a transaction and its projects. Only traces of
projects that somebody follows are read.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import Unavailable
from bartizan.server.metrics import Metrics
from bartizan.server.store.trace_filter import TraceFilter
from bartizan.server.store.traces import TraceReader

log = structlog.get_logger(__name__)

MAX_WAITING = 1_000
"""Traces that wait for one follower to read them."""
MAX_TRACES = 500
"""Traces of one project that are read at a time; the others are counted as skipped."""
MAX_COMMITS = 10_000
"""Commits of one project that wait to be read: some minutes of them."""
INTERVAL_S = 0.1
"""Commits that come within it are read together."""
RETRY_DELAY_S = 1.0


class Follower:
    """One who follows a project, and what waits for it: the latest state of each trace."""

    def __init__(self, wanted: TraceFilter, metrics: Metrics) -> None:
        self._wanted = wanted
        self._metrics = metrics
        self._waiting: dict[UUID, Row[Any]] = {}
        self._skipped = 0
        self._wake = asyncio.Event()
        self._closed = False

    async def read(self) -> tuple[Sequence[Row[Any]], int]:
        """Waits; returns changed traces, and how many were passed over since the last time.

        Raises Unavailable when the server stops.
        """
        await self._wake.wait()
        if self._closed:
            raise _stopping()
        self._wake.clear()
        rows, skipped = list(self._waiting.values()), self._skipped
        self._waiting.clear()
        self._skipped = 0
        return rows, skipped

    def offer(self, rows: Sequence[Row[Any]], skipped: int) -> None:
        """Puts changed traces where `read` finds them; the oldest give way when there are many."""
        for row in filter(self._wanted.matches, rows):
            self._waiting.pop(row.trace_id, None)
            self._waiting[row.trace_id] = row
        while len(self._waiting) > MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
            skipped += 1
        self._skipped += skipped
        self._metrics.tail_skipped.inc(skipped)
        if self._waiting or self._skipped:
            self._wake.set()

    def close(self) -> None:
        """Ends the waiting."""
        self._closed = True
        self._wake.set()


class Tail:
    """Reads what was committed and hands it to the followers."""

    def __init__(self, engine: AsyncEngine, metrics: Metrics) -> None:
        self._engine = engine
        self._metrics = metrics
        self._projects: dict[int, _Project] = {}
        self._closed = False

    @contextmanager
    def follow(self, project_id: int, wanted: TraceFilter) -> Iterator[Follower]:
        """Follows a project from now on; must be used in the event loop.

        Raises Unavailable when the server stops.
        """
        if self._closed:
            raise _stopping()
        follower = Follower(wanted, self._metrics)
        project = self._projects.setdefault(
            project_id, _Project(TraceReader(self._engine, project_id))
        )
        project.followers.add(follower)
        try:
            yield follower
        finally:
            project.followers.discard(follower)
            if not project.followers:
                self._projects.pop(project_id, None)
                project.stop()

    def committed(self, payload: str) -> None:
        """Takes in an announcement: a transaction, a colon, and projects with commas between."""
        xid, _, projects = payload.partition(":")
        for project_id in map(int, filter(None, projects.split(","))):
            if project := self._projects.get(project_id):
                project.add(int(xid))

    def close(self) -> None:
        """Ends all tails: what is read from now on raises Unavailable."""
        self._closed = True
        for project in self._projects.values():
            for follower in project.followers:
                follower.close()


class _Project:
    """The followers of one project, and the commits that they have not seen."""

    def __init__(self, reader: TraceReader) -> None:
        self._reader = reader
        self._xids: list[int] = []
        self._lost = 0
        self._task: asyncio.Task[None] | None = None
        self.followers: set[Follower] = set()

    def add(self, xid: int) -> None:
        if len(self._xids) == MAX_COMMITS:
            self._lost += 1
        else:
            self._xids.append(xid)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read(), name="tail")

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _read(self) -> None:
        while self._xids:
            xids, self._xids = self._xids, []
            try:
                rows, more = await self._reader.committed(xids, MAX_TRACES)
            except (SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("a live tail cannot read", error=type(error).__name__)
                self._xids = (xids + self._xids)[:MAX_COMMITS]
                await asyncio.sleep(RETRY_DELAY_S)
                continue
            lost, self._lost = self._lost, 0
            for follower in self.followers:
                follower.offer(rows, more + lost)
            await asyncio.sleep(INTERVAL_S)


def _stopping() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "The server is shutting down; connect again.")
