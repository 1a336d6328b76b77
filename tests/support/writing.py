"""Writers that run beside a test, and what the database holds of one project."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from bartizan.server.ingest.writer import Writer
from bartizan.server.metrics import Metrics
from bartizan.server.store.engine import Connection, connect

MIB = 1024 * 1024

_ROLLUP_DIMENSIONS = (
    "kind, status, agent, environment, model, provider, machine, workspace, tool_name, error_type"
)
_ROLLUP_SUMS = ", ".join(
    f"sum({name})::bigint AS {name}"
    for name in (
        "span_count", "root_count", "finding_count", "input_tokens", "output_tokens",
        "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nano_usd",
        "duration_ns",
    )
)  # fmt: skip

TABLES = {
    "spans": "SELECT * FROM spans WHERE project_id = $1 ORDER BY trace_id, span_id, start_time",
    "span_payloads": "SELECT * FROM span_payloads WHERE project_id = $1 ORDER BY trace_id, span_id",
    "findings": "SELECT * FROM findings WHERE project_id = $1 ORDER BY trace_id, span_id, field",
    "traces": "SELECT * FROM traces WHERE project_id = $1 ORDER BY trace_id",
    "sessions": "SELECT * FROM sessions WHERE project_id = $1 ORDER BY session_id",
    "rollups": f"SELECT minute, {_ROLLUP_DIMENSIONS}, {_ROLLUP_SUMS} FROM rollup_deltas"
    f" WHERE project_id = $1 GROUP BY minute, {_ROLLUP_DIMENSIONS}"
    f" ORDER BY minute, {_ROLLUP_DIMENSIONS}",
    "latency": "SELECT minute, b, sum(n)::bigint AS n FROM rollup_deltas,"
    " unnest(latency_buckets, latency_counts) AS l (b, n) WHERE project_id = $1"
    " GROUP BY minute, b ORDER BY minute, b",
    "quarantine": "SELECT trace_id, span_id, reason, document FROM quarantine"
    " WHERE project_id = $1 ORDER BY trace_id, span_id",
}
"""What each table holds of one project, in an order that is always the same; rollups as sums."""


@asynccontextmanager
async def running(
    url: str, *, queue_bytes: int = 32 * MIB, group_spans: int = 4_000
) -> AsyncIterator[Writer]:
    """Runs a writer while entered; leaving cancels it."""
    writer = Writer(
        url, Metrics(CollectorRegistry()), queue_bytes=queue_bytes, group_spans=group_spans
    )
    task = asyncio.create_task(writer.run())
    try:
        yield writer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """Opens a connection while entered."""
    connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def holdings(
    connection: Connection, project_id: int, tables: Sequence[str] = tuple(TABLES)
) -> dict[str, list[tuple[Any, ...]]]:
    """Returns all that the tables hold of a project."""
    return {
        table: [tuple(row) for row in await connection.fetch(TABLES[table], project_id)]
        for table in tables
    }


async def ledger(connection: Connection, project_id: int) -> dict[str, int]:
    """Returns what the ledger says of a project over all minutes, by outcome."""
    rows = await connection.fetch(
        "SELECT outcome, sum(spans)::bigint FROM ledger WHERE project_id = $1 GROUP BY outcome",
        project_id,
    )
    return {row[0]: row[1] for row in rows}
