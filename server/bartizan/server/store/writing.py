"""The statements of the group-commit writer, over one connection and inside its transaction."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from asyncpg.pgproto.pgproto import UUID

from bartizan.server.ingest.encode import (
    HEADER,
    PAYLOAD_COLUMNS,
    SPAN_COLUMNS,
    TRAILER,
    trace_row,
)
from bartizan.server.ingest.span import NANOS
from bartizan.server.ingest.summary import (
    Known,
    RollupDelta,
    RollupKey,
    SessionDelta,
    SessionKey,
    Totals,
    TraceDelta,
    TraceKey,
)
from bartizan.server.store import writing_sql as sql
from bartizan.server.store.clock import MAX_TIME, MIN_TIME, from_ns
from bartizan.server.store.engine import Connection

ANNOUNCED_AT_ONCE = 500
"""A notification has room for 8,000 bytes, and a project's number for at most eleven of them."""

SETTINGS = (
    # An ack means that a power cut loses nothing, whatever the cluster's default is.
    "SET synchronous_commit = on",
    # Every read of the writer is a look-up by key; no estimate may turn it into a scan.
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET statement_timeout = '60s'",
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '60s'",
)


async def configure(connection: Connection) -> None:
    """Gives a new connection the settings that the writer counts on."""
    for statement in (*SETTINGS, sql.TRACE_DELTAS):
        await connection.execute(statement)


async def known_traces(connection: Connection, keys: Collection[TraceKey]) -> dict[TraceKey, Known]:
    """Returns those of the traces that are there, and locks them until the end of the transaction.

    The lock makes every other writer of the same trace wait, so that two copies of a span cannot
    pass each other.
    """
    projects = [project_id for project_id, _ in keys]
    traces = [UUID(trace_id) for _, trace_id in keys]
    rows = await connection.fetch(sql.KNOWN_TRACES, projects, traces)
    return {(row[0], row[1].bytes): Known._make((*row[2:8], Totals.of(row[8:]))) for row in rows}


async def stored_spans(
    connection: Connection,
    keys: Sequence[bytes],
    start: datetime = MIN_TIME,
    end: datetime = MAX_TIME,
) -> set[bytes]:
    """Returns the keys (trace id, span id, project) of those spans that are in the database.

    Looks at spans that began from `start` to `end`, both included.
    """
    rows = await connection.fetch(
        sql.STORED_SPANS,
        [int.from_bytes(key[24:], "big") for key in keys],
        [UUID(key[:16]) for key in keys],
        [int.from_bytes(key[16:24], "big", signed=True) for key in keys],
        start,
        end,
    )
    return {
        row[1].bytes + row[2].to_bytes(8, "big", signed=True) + row[0].to_bytes(4, "big")
        for row in rows
    }


async def copy_spans(
    connection: Connection, span_rows: Iterable[bytes], payload_rows: Iterable[bytes]
) -> None:
    """Appends rows that are encoded already."""
    await _copy(connection, "spans", SPAN_COLUMNS, b"".join(span_rows))
    if payloads := b"".join(payload_rows):
        await _copy(connection, "span_payloads", PAYLOAD_COLUMNS, payloads)


async def _copy(connection: Connection, table: str, columns: Sequence[str], rows: bytes) -> None:
    async def source() -> AsyncIterator[bytes]:
        yield HEADER + rows + TRAILER

    await connection.copy_to_table(table, source=source(), columns=columns, format="binary")


async def copy_findings(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Appends findings, as tuples in the order of FINDING_COLUMNS."""
    if rows:
        await connection.copy_records_to_table(
            "findings", records=rows, columns=sql.FINDING_COLUMNS
        )


async def copy_deferred(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Appends work for deferred rules, as tuples in the order of DEFERRED_COLUMNS."""
    if rows:
        await connection.copy_records_to_table(
            "deferred_checks", records=rows, columns=sql.DEFERRED_COLUMNS
        )


async def copy_rollups(connection: Connection, rollups: Mapping[RollupKey, RollupDelta]) -> None:
    """Appends what a group adds to the rollups."""
    records = [
        (
            project_id, from_ns(minute * 60 * NANOS),
            dims.kind, dims.status, dims.agent, dims.environment, dims.model, dims.provider,
            dims.machine, dims.workspace, dims.tool_name, dims.error_type,
            delta.span_count, delta.root_count, delta.finding_count, delta.input_tokens,
            delta.output_tokens, delta.cache_read_tokens, delta.cache_write_tokens,
            delta.reasoning_tokens, delta.cost_nano_usd, delta.duration_ns,
            list(delta.latency), list(delta.latency.values()),
        )
        for (project_id, minute, _), delta in rollups.items()
        for dims in (delta.dims,)
    ]  # fmt: skip
    await connection.copy_records_to_table(
        "rollup_deltas", records=records, columns=sql.ROLLUP_COLUMNS
    )


async def add_to_traces(
    connection: Connection, traces: Mapping[TraceKey, TraceDelta]
) -> set[TraceKey]:
    """Adds to the summaries of traces; returns those that were not there before."""
    rows = b"".join(trace_row(key, delta) for key, delta in traces.items())
    await _copy(connection, "trace_deltas", sql.TRACE_COLUMNS, rows)
    inserted = await connection.fetch(sql.ADD_TO_TRACES)
    return {(row[0], row[1].bytes) for row in inserted if row[2]}


async def forget_trace_deltas(connection: Connection) -> None:
    """Makes room for another `add_to_traces` in the same transaction; else the commit does."""
    await connection.execute("DELETE FROM trace_deltas")


async def add_to_sessions(
    connection: Connection, sessions: Mapping[SessionKey, SessionDelta]
) -> None:
    """Adds to the summaries of sessions."""
    rows = [_session_row(key, sessions[key]) for key in sorted(sessions)]
    if rows:
        await connection.execute(sql.ADD_TO_SESSIONS, *_columns(rows))


async def add_to_ledger(
    connection: Connection, counts: Mapping[tuple[int, int, str, str], int]
) -> None:
    """Adds counts by (project, minutes since 1970, outcome, reason) to the ledger."""
    rows = [
        (project_id, from_ns(minute * 60 * NANOS), outcome, reason, spans)
        for (project_id, minute, outcome, reason), spans in sorted(counts.items())
        if spans
    ]
    if rows:
        await connection.execute(sql.ADD_TO_LEDGER, *_columns(rows))


async def advance_streams(connection: Connection, streams: Mapping[tuple[int, str], int]) -> None:
    """Records the highest committed seq by (project, stream key)."""
    rows = [(*key, streams[key]) for key in sorted(streams)]
    if rows:
        await connection.execute(sql.ADVANCE_STREAMS, *_columns(rows))


async def announce(connection: Connection, project_ids: Iterable[int]) -> None:
    """Tells every listening process, at the commit, whose traces this transaction changed."""
    ordered = sorted(project_ids)
    for first in range(0, len(ordered), ANNOUNCED_AT_ONCE):
        projects = ",".join(map(str, ordered[first : first + ANNOUNCED_AT_ONCE]))
        await connection.execute(sql.ANNOUNCE, projects)


async def quarantine(
    connection: Connection, key: bytes, ingest_ns: int, reason: str, document: str
) -> bool:
    """Sets one span aside; returns False if it was set aside before."""
    done = await connection.fetchval(
        sql.QUARANTINE,
        int.from_bytes(key[24:], "big"),
        UUID(key[:16]),
        int.from_bytes(key[16:24], "big", signed=True),
        from_ns(ingest_ns),
        reason,
        document,
    )
    return done is not None


async def last_seq(connection: Connection, project_id: int, stream_key: str) -> int:
    """Returns the highest committed seq of a stream; 0 for one that is not known."""
    return int(await connection.fetchval(sql.LAST_SEQ, project_id, stream_key) or 0)


def _session_row(key: SessionKey, delta: SessionDelta) -> tuple[Any, ...]:
    return (
        *key, from_ns(delta.start_ns), from_ns(delta.end_ns), delta.trace_count, delta.user_id,
        delta.environment, _array(delta.agents), *delta.values(),
    )  # fmt: skip


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _array(values: Collection[str]) -> str:
    """Returns an array literal: unnest takes no arrays of arrays of different lengths."""
    if not values:
        return "{}"
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in sorted(values))
    return '{"' + '","'.join(quoted) + '"}'
