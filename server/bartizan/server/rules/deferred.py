"""Runs deferred rules over stored spans, as long as there are any that wait."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.judgement import Ask
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.finding_rows import finding_rows
from bartizan.server.ingest.judging import contexts_of
from bartizan.server.ingest.taking_over import take_over
from bartizan.server.ingest.texts import Texts
from bartizan.server.metrics import Metrics
from bartizan.server.rules.book import RuleBook
from bartizan.server.store import deferred as store
from bartizan.server.store.deferred import DeferredCheck, Findings
from bartizan.server.store.engine import AWAY, Connection, connect
from bartizan.server.store.history import History, StoredSpan

log = structlog.get_logger(__name__)

AT_ONCE = 32
"""Spans leased at a time: few, so that several processes share the work."""
IDLE_S = 1.0
BUSY = 0.5
"""From here on, as a share of the writer's queue, storing goes first."""


class DeferredWork:
    """What one process does of the work of deferred rules."""

    def __init__(
        self,
        url: str,
        engine: AsyncEngine,
        book: RuleBook,
        metrics: Metrics,
        *,
        load: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Makes it. `load` returns how full the writer's queue is, from 0 to 1."""
        self._url = url
        self._engine = engine
        self._book = book
        self._metrics = metrics
        self._load = load
        self._sleep = sleep

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
                if self._load() > BUSY or not await self.once(connection):
                    waiting, age_s = await store.backlog(connection)
                    self._metrics.deferred_backlog.set(waiting)
                    self._metrics.deferred_age.set(age_s)
                    await self._sleep(IDLE_S)
        finally:
            with contextlib.suppress(*AWAY):
                await connection.close(timeout=1)

    async def once(self, connection: Connection) -> int:
        """Looks at some spans; returns how many, 0 when none waits."""
        checks = await store.claim(connection, AT_ONCE)
        if not checks:
            if given_up := await store.give_up(connection):
                log.error("spans were not judged: every attempt failed", spans=given_up)
                self._metrics.deferred_spans.labels("given_up").inc(given_up)
            return 0
        found = [one for part in _alike(checks) for one in await self._judged(part)]
        done = await store.finish(connection, checks, found)
        self._metrics.deferred_spans.labels("judged").inc(done)
        return len(checks)

    async def _judged(self, checks: Sequence[DeferredCheck]) -> list[Findings]:
        """Judges spans of one project that the same rules are to look at."""
        project_id = checks[0].project_id
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
    decisions = batch.decisions[position]
    rows = list(finding_rows(project_id, span.record, decisions))
    return Findings(project_id, span, rows, [one.finding.category for one in decisions])


def _alike(checks: Sequence[DeferredCheck]) -> list[list[DeferredCheck]]:
    def kind(one: DeferredCheck) -> tuple[int, Sequence[str]]:
        return one.project_id, one.rules

    return [list(group) for _, group in groupby(sorted(checks, key=kind), key=kind)]
