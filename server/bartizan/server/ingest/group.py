"""Stores one group of batches in one transaction, and says what became of each span."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from bartizan.server.ingest.batch import Batch, Outcome, Prepared
from bartizan.server.ingest.document import quarantine_document
from bartizan.server.ingest.finding_rows import finding_rows
from bartizan.server.ingest.summary import MINUTE_NS, Known, Summary, TraceKey
from bartizan.server.store import writing
from bartizan.server.store.clock import from_ns
from bartizan.server.store.engine import Connection
from bartizan.v1 import trace_pb2

REFUSED_FOR_CONTENT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""What PostgreSQL raises when it is the row that is wrong and not the server."""
RACED = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
"""What PostgreSQL raises when another writer was in the way."""


class Raced(Exception):
    """Raised when another writer made a trace between our look and our write: look again."""


@dataclass(slots=True)
class Pending:
    """A batch that waits to be written."""

    batch: Batch
    spans: list[Prepared]
    received_ns: int


class Group:
    """Batches that share a transaction. Made anew for every try.

    A span is looked for only where it can be: in traces that the database knows. With `thorough` it
    is looked for everywhere, which finds one whose trace's summary is gone.
    """

    def __init__(
        self, connection: Connection, pending: Sequence[Pending], *, thorough: bool = False
    ) -> None:
        self._connection = connection
        self._pending = pending
        self._thorough = thorough
        self._duplicates: Counter[bytes] = Counter()
        self._quarantined: set[bytes] = set()

    async def store(self, *, isolate: bool) -> list[Outcome]:
        """Runs the transaction; returns the outcome of each batch, in order.

        With `isolate`, a span that the database refuses for its content is set aside and its
        neighbours are stored; without, such a refusal is raised, which is the faster way to store
        a group that has none.

        Raises:
            Raced: try again.
            asyncpg.PostgresError, OSError: nothing was stored.
        """
        try:
            async with self._connection.transaction():
                spans = self._without_repeats()
                await (self._isolated(spans) if isolate else self._insert(spans))
                outcomes = self._outcomes()
                await self._record(outcomes)
        except RACED as error:
            raise Raced from error
        return outcomes

    def _without_repeats(self) -> list[Prepared]:
        """Returns the first copy of each span of the group, and counts the others."""
        first: dict[bytes, Prepared] = {}
        for pending in self._pending:
            for span in pending.spans:
                if span.key in first:
                    self._duplicates[span.key] += 1
                else:
                    first[span.key] = span
        return list(first.values())

    async def _insert(self, spans: Sequence[Prepared]) -> None:
        summary = Summary(spans)
        known = await writing.known_traces(self._connection, summary.traces.keys())
        if known or self._thorough:
            stored = await self._stored(spans, known)
            if stored:
                self._duplicates.update(dict.fromkeys(stored, 1))
                spans = [span for span in spans if span.key not in stored]
                summary = Summary(spans)
        if spans:
            await self._write(spans, summary, known)

    async def _stored(self, spans: Sequence[Prepared], known: dict[TraceKey, Known]) -> set[bytes]:
        if self._thorough:
            return await writing.stored_spans(self._connection, [span.key for span in spans])
        keys = [span.key for span in spans if (span.project_id, span.record.trace_id) in known]
        start = min(trace.start for trace in known.values())
        end = max(trace.end for trace in known.values())
        return await writing.stored_spans(self._connection, keys, start, end)

    async def _write(
        self, spans: Sequence[Prepared], summary: Summary, known: dict[TraceKey, Known]
    ) -> None:
        connection = self._connection
        await writing.copy_spans(
            connection,
            [span.span_row for span in spans],
            [span.payload_row for span in spans if span.payload_row is not None],
        )
        found = [
            row
            for span in spans
            for row in finding_rows(span.project_id, span.record, span.decisions)
        ]
        await writing.copy_findings(connection, found)
        await writing.copy_deferred(connection, list(_deferred_rows(spans)))
        await writing.copy_rollups(connection, summary.rollups)
        inserted = await writing.add_to_traces(connection, summary.traces)
        if inserted != summary.traces.keys() - known.keys():
            raise Raced
        await writing.add_to_sessions(connection, summary.sessions(known))

    async def _isolated(self, spans: Sequence[Prepared]) -> None:
        """Stores what can be stored, halving what is refused until one span is left."""
        if not spans:
            return
        before = self._duplicates.copy()
        try:
            async with self._connection.transaction():
                await self._insert(spans)
                await writing.forget_trace_deltas(self._connection)
        except asyncpg.UniqueViolationError:
            raise
        except REFUSED_FOR_CONTENT as error:
            self._duplicates = before
            if len(spans) == 1:
                await self._set_aside(spans[0], error)
                return
            middle = len(spans) // 2
            await self._isolated(spans[:middle])
            await self._isolated(spans[middle:])

    async def _set_aside(self, span: Prepared, error: asyncpg.PostgresError) -> None:
        ingest_ns = self._pending[0].received_ns
        new = await writing.quarantine(
            self._connection, span.key, ingest_ns, error.sqlstate or "", quarantine_document(span)
        )
        if new:
            self._quarantined.add(span.key)
        else:
            self._duplicates[span.key] += 1

    def _outcomes(self) -> list[Outcome]:
        if not self._duplicates and not self._quarantined:
            return [Outcome(stored=len(pending.spans)) for pending in self._pending]
        left = self._duplicates.copy()
        # The first copy in the group is the one that was stored, so count from the last batch on.
        outcomes = [self._outcome(pending, left) for pending in reversed(self._pending)]
        return outcomes[::-1]

    def _outcome(self, pending: Pending, left: Counter[bytes]) -> Outcome:
        outcome = Outcome()
        for span in reversed(pending.spans):
            if left[span.key] > 0:
                left[span.key] -= 1
                outcome.duplicate += 1
            elif span.key in self._quarantined:
                outcome.quarantined += 1
            else:
                outcome.stored += 1
        return outcome

    async def _record(self, outcomes: Sequence[Outcome]) -> None:
        counts: Counter[tuple[int, int, str, str]] = Counter()
        streams: dict[tuple[int, str], int] = {}
        changed: set[int] = set()
        for pending, outcome in zip(self._pending, outcomes, strict=True):
            batch = pending.batch
            for (name, reason), spans in entries(batch, outcome).items():
                minute = pending.received_ns // MINUTE_NS
                counts[batch.project_id, minute, name, reason] += spans
            if batch.stream_key:
                key = (batch.project_id, batch.stream_key)
                streams[key] = max(streams.get(key, 0), batch.seq)
            if outcome.stored:
                changed.add(batch.project_id)
        await writing.add_to_ledger(self._connection, counts)
        await writing.advance_streams(self._connection, streams)
        if changed:
            await writing.announce(self._connection, changed)


def entries(batch: Batch, outcome: Outcome) -> Counter[tuple[str, str]]:
    """Returns what the ledger gains from a batch, as spans by (outcome, reason)."""
    result: Counter[tuple[str, str]] = Counter()
    result["received", ""] = len(batch.refused) + len(batch.records)
    result["stored", ""] = outcome.stored
    result["duplicate", ""] = outcome.duplicate
    result["quarantined", ""] = outcome.quarantined
    for refused in batch.refused:
        result["rejected", trace_pb2.RejectReason.Name(refused.reason)] += 1
    return result


def _deferred_rows(spans: Iterable[Prepared]) -> Iterator[tuple[object, ...]]:
    for span in spans:
        if span.deferred:
            yield (
                span.project_id,
                UUID(span.record.trace_id),
                int.from_bytes(span.record.span_id, "big", signed=True),
                from_ns(span.record.start_ns),
                list(span.deferred),
            )
