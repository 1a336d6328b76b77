"""Makes a judged batch ready for the writer: all work that needs no database is done here."""

from collections.abc import Sequence

from bartizan.plugins.decision import Decision
from bartizan.server.ingest.batch import Batch, Prepared
from bartizan.server.ingest.encode import Encoder, timestamp
from bartizan.server.ingest.span import SpanRecord

NO_DECISIONS: tuple[Decision, ...] = ()
MAX_FINDINGS = 2**15 - 1

_TEXTS = SpanRecord._fields.index("input")
_NO_TEXTS: tuple[object, ...] = ([], [], {}, [], [])


def prepare(batch: Batch, encoder: Encoder, now_ns: int) -> list[Prepared]:
    """Returns the spans of a judged batch, encoded."""
    project_id = batch.project_id
    suffix = project_id.to_bytes(4, "big")
    ingest_us = timestamp(now_ns)
    rows, new = encoder.rows, tuple.__new__
    decided, deferred = batch.decisions, batch.deferred
    prepared: list[Prepared] = []
    for position, record in enumerate(batch.records):
        decisions: Sequence[Decision] = NO_DECISIONS
        if decided and position in decided:
            decisions = decided[position][:MAX_FINDINGS]
        span_row, payload_row = rows(record, project_id, len(decisions), ingest_us)
        key = record[0] + record[1] + suffix
        slim = new(SpanRecord, record[:_TEXTS] + _NO_TEXTS)
        later = tuple(sorted(deferred[position])) if position in deferred else ()
        made = (key, project_id, slim, decisions, span_row, payload_row, later)
        prepared.append(new(Prepared, made))
    return prepared
