"""Stores spans the way the server does, up to the commit, without a server."""

import time
from collections.abc import Mapping, Sequence

from bartizan.plugins.contract import Finding
from bartizan.plugins.decision import Action, Decision, Verdict
from bartizan.server.ingest.batch import Batch, Outcome
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.group import Group, Pending
from bartizan.server.ingest.native import NativeConverter
from bartizan.server.ingest.prepare import prepare
from bartizan.server.store import writing
from bartizan.server.store.engine import connect
from bartizan.server.store.partitions import Partitions, weeks_of
from bartizan.v1 import common_pb2

MAX_FIELD = 1024 * 1024


def prepared(
    project_id: int,
    spans: Sequence[common_pb2.Span],
    decisions: Mapping[int, list[Decision]] | None = None,
    deferred: Mapping[int, set[str]] | None = None,
) -> Pending:
    """Returns spans that only need to be written.

    `decisions` and the ids of `deferred` rules go by the place of the span.
    """
    now_ns = time.time_ns()
    records = [NativeConverter().record(span, now_ns) for span in spans]
    batch = Batch(
        project_id,
        records,
        range(len(records)),
        decisions=dict(decisions or {}),
        deferred=dict(deferred or {}),
    )
    return Pending(batch, prepare(batch, Encoder(MAX_FIELD), now_ns), now_ns)


async def store_prepared(url: str, pending: Pending, *, isolate: bool = False) -> Outcome:
    """Writes spans in one transaction, over a connection of its own."""
    connection = await connect(url)
    try:
        await writing.configure(connection)
        weeks = weeks_of(record.start_ns for record in pending.batch.records)
        await Partitions().ensure(connection, weeks)
        return (await Group(connection, [pending]).store(isolate=isolate))[0]
    finally:
        await connection.close()


async def store(
    url: str,
    project_id: int,
    spans: Sequence[common_pb2.Span],
    decisions: Mapping[int, list[Decision]] | None = None,
) -> Outcome:
    """Stores spans; `decisions` by the place of the span."""
    return await store_prepared(url, prepared(project_id, spans, decisions))


def decision(category: str, *, field: str = "input[0].content", shadow: bool = False) -> Decision:
    """Returns what a rule makes of a finding of a category."""
    finding = Finding(category, score=0.75, start=1, end=4, code="pattern")
    action = Action.FLAG if shadow else Action.REDACT
    return Decision(field, finding, "pii", "v1", Verdict.MODIFY, action, shadow)
