"""Runs deferred rules over stored spans, as long as there are any that wait."""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.judgement import Ask
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.finding_rows import finding_rows
from bartizan.server.ingest.judging import contexts_of
from bartizan.server.ingest.prepare import MAX_FINDINGS
from bartizan.server.ingest.taking_over import take_over
from bartizan.server.ingest.texts import Texts
from bartizan.server.metrics import Metrics
from bartizan.server.rules.book import RuleBook
from bartizan.server.store import deferred as store
from bartizan.server.store.deferred import DeferredCheck, Findings
from bartizan.server.store.engine import AWAY, Connection, connect
from bartizan.server.store.history import History, StoredSpan

log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Spans leased at a time: few, so that several processes share the work."""
IDLE_S = 1.0
TELL_EVERY_S = 10.0
MAX_WAITING = 100_000
"""Spans that wait. While there are so many, others are passed over, which is counted."""
BUSY = 0.5
"""From here on, as a share of the writer's queue, storing goes first."""


class Backlog:
    """How much waits for deferred rules, as far as this process knows."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting = 0

    def has_room(self, spans: int) -> bool:
        """Returns whether so many spans more may wait; counts them if they may not."""
        if self._waiting < MAX_WAITING:
            return True
        self._metrics.deferred_spans.labels("passed_over").inc(spans)
        return False

    def tell(self, waiting: int, age_s: float) -> None:
        """Takes note of how many spans wait, and how old the oldest is."""
        self._waiting = waiting
        self._metrics.deferred_backlog.set(waiting)
        self._metrics.deferred_age.set(age_s)


class DeferredWork:
    """What one process does of the work of deferred rules."""

    def __init__(
        self,
        url: str,
        engine: AsyncEngine,
        book: RuleBook,
        metrics: Metrics,
        backlog: Backlog,
        *,
        is_busy: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Makes it. `is_busy` tells whether this process has spans to judge or to store."""
        self._url = url
        self._engine = engine
        self._book = book
        self._metrics = metrics
        self._backlog = backlog
        self._is_busy = is_busy
        self._sleep = sleep
        self._clock = clock
        self._tell_at = -math.inf
        # One at a time, so that readers find connections.
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Works until cancelled. What fails, be it the database, is tried again and again."""
        while True:
            try:
                await self._work()
            except Exception as error:
                if not isinstance(error, AWAY):
                    log.error("deferred rules failed", error=type(error).__name__)
            await self._sleep(IDLE_S)

    async def _work(self) -> None:
        connection = await connect(self._url, "bartizan deferred")
        try:
            while True:
                await self._tell(connection)
                begun = self._clock()
                if self._is_busy() or not await self.once(connection):
                    await self._sleep(IDLE_S)
                else:
                    # As long again for those who wait for an answer.
                    await self._sleep(min(IDLE_S, self._clock() - begun))
        finally:
            with contextlib.suppress(*AWAY):
                await connection.close(timeout=1)

    async def _tell(self, connection: Connection) -> None:
        """Tells the metrics how much waits, now and then, and gives up what failed too often."""
        if self._clock() < self._tell_at:
            return
        self._tell_at = self._clock() + TELL_EVERY_S
        if given_up := await store.give_up(connection):
            log.error("spans were not judged: every attempt failed", spans=given_up)
            self._metrics.deferred_spans.labels("given_up").inc(given_up)
        self._backlog.tell(*await store.backlog(connection))

    async def once(self, connection: Connection) -> int:
        """Looks at some spans; returns how many, 0 when none waits."""
        checks = await store.claim(connection, AT_ONCE)
        if not checks:
            return 0
        try:
            parts = await asyncio.gather(*map(self._attempted, _alike(checks)))
            judged = [one for part, _ in parts for one in part]
            found = [one for _, part in parts for one in part]
            done = await store.finish(connection, judged, found)
        except asyncio.CancelledError:
            with contextlib.suppress(*AWAY):
                await store.release(connection, checks)
            raise
        self._metrics.deferred_spans.labels("judged").inc(done)
        return len(checks)

    async def _attempted(
        self, checks: Sequence[DeferredCheck]
    ) -> tuple[Sequence[DeferredCheck], Sequence[Findings]]:
        """Judges spans as `_judged`; returns those that were judged, none if that failed.

        Those of others go on. These are tried again when their lease ends.
        """
        try:
            return checks, await self._judged(checks)
        except Exception as error:
            log.error("deferred rules failed", error=type(error).__name__, spans=len(checks))
            return (), ()

    async def _judged(self, checks: Sequence[DeferredCheck]) -> list[Findings]:
        """Judges spans of one project that the same rules are to look at."""
        project_id = checks[0].project_id
        async with self._reading:
            spans = await History(self._engine, project_id).spans([one.span for one in checks])
        records = [span.record for span in spans]
        texts, places = Texts().of(records)
        if not texts:
            return []
        contexts = contexts_of(records)
        judgement = await self._book.now(project_id).judge_later(
            texts, [contexts[position] for position, _ in places], Ask(frozenset(checks[0].rules))
        )
        batch = Batch(project_id, records, range(len(records)))
        take_over(batch, places, judgement)
        return [_findings(project_id, spans[at], batch, at) for at in sorted(batch.decisions)]


def _findings(project_id: int, span: StoredSpan, batch: Batch, position: int) -> Findings:
    decisions = batch.decisions[position][:MAX_FINDINGS]
    rows = list(finding_rows(project_id, span.record, decisions))
    return Findings(project_id, span, rows, [one.finding.category for one in decisions])


def _alike(checks: Sequence[DeferredCheck]) -> list[list[DeferredCheck]]:
    def kind(one: DeferredCheck) -> tuple[int, Sequence[str]]:
        return one.project_id, one.rules

    return [list(group) for _, group in groupby(sorted(checks, key=kind), key=kind)]
