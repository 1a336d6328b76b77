"""Counts anew, from the rows of the spans alone, what summaries and rollups must say."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bartizan.server.ingest.latency import GAMMA
from bartizan.server.store.engine import Connection

ERROR = 2
TOKENS = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
DIMENSIONS = (
    "kind", "status", "agent", "environment", "model", "provider", "machine", "workspace",
    "tool_name", "error_type",
)  # fmt: skip
COUNTS = ("span_count", "root_count", "finding_count", *TOKENS, "cost_nano_usd", "duration_ns")
LEVELS = ("minute", "hour", "day")

Row = Any


async def assert_all_agrees(connection: Connection, project_id: int) -> None:
    """Fails unless traces, sessions and rollups of a project are the sums of its spans."""
    spans = await connection.fetch("SELECT * FROM spans WHERE project_id = $1", project_id)
    keys = Counter((span["trace_id"], span["span_id"]) for span in spans)
    assert all(count == 1 for count in keys.values()), "a span is stored once"
    traces = await connection.fetch("SELECT * FROM traces WHERE project_id = $1", project_id)
    _check_traces(spans, traces)
    sessions = await connection.fetch("SELECT * FROM sessions WHERE project_id = $1", project_id)
    _check_sessions(spans, traces, sessions)
    for level in LEVELS:
        assert await rollups(connection, project_id, level) == _rollups(spans, level)
        assert await latencies(connection, project_id, level) == _latencies(spans, level)


def _check_traces(spans: Iterable[Row], traces: Iterable[Row]) -> None:
    by_trace = _grouped(spans, "trace_id")
    assert {trace["trace_id"] for trace in traces} == set(by_trace)
    for trace in traces:
        own = by_trace[trace["trace_id"]]
        _check_sums(trace, own)
        assert trace["models"] == sorted({span["model"] for span in own} - {""})
        assert trace["tags"] == sorted({tag for span in own for tag in span["tags"]})
        roots = [span for span in own if not span["parent_span_id"]]
        assert trace["root_seen"] == bool(roots)
        assert trace["root_status"] in ([root["status"] for root in roots] or [0])
        assert trace["session_id"] in ({span["session_id"] for span in own} - {""} or {""})
        assert trace["user_id"] in ({span["user_id"] for span in own} - {""} or {""})


def _check_sessions(spans: Iterable[Row], traces: Iterable[Row], sessions: Iterable[Row]) -> None:
    by_trace = _grouped(spans, "trace_id")
    by_session = _grouped((trace for trace in traces if trace["session_id"]), "session_id")
    assert {session["session_id"] for session in sessions} == set(by_session)
    for session in sessions:
        within = by_session[session["session_id"]]
        own = [span for trace in within for span in by_trace[trace["trace_id"]]]
        assert session["trace_count"] == len(within)
        _check_sums(session, own)


def _check_sums(row: Row, spans: list[Row]) -> None:
    assert row["span_count"] == len(spans)
    assert row["error_count"] == sum(span["status"] == ERROR for span in spans)
    for name in ("finding_count", *TOKENS):
        assert row[name] == sum(span[name] for span in spans), name
    assert row["cost_nano_usd"] == sum(span["cost_nano_usd"] or 0 for span in spans)
    assert row["start_time"] == min(span["start_time"] for span in spans)
    assert row["end_time"] == max(map(_end, spans))
    assert row["agents"] == sorted({span["agent"] for span in spans} - {""})


def _end(span: Row) -> datetime:
    micros = (span["start_nanos"] + span["duration_ns"]) // 1000
    end: datetime = span["start_time"] + timedelta(microseconds=micros)
    return end


def _grouped(rows: Iterable[Row], column: str) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def _cut(time: datetime, level: str) -> datetime:
    time = time.astimezone(UTC).replace(second=0, microsecond=0)
    if level == "minute":
        return time
    return time.replace(minute=0) if level == "hour" else time.replace(hour=0, minute=0)


def _rollups(spans: Iterable[Row], level: str) -> dict[Any, Counter[str]]:
    sums: dict[Any, Counter[str]] = defaultdict(Counter)
    for span in spans:
        key = (_cut(span["start_time"], level), *(span[name] for name in DIMENSIONS))
        counts = {name: span[name] or 0 for name in COUNTS[2:]}
        sums[key].update(counts | {"span_count": 1, "root_count": not span["parent_span_id"]})
    return {key: +counts for key, counts in sums.items()}


async def rollups(connection: Connection, project_id: int, level: str) -> dict[Any, Counter[str]]:
    """Returns the counts by time and dimensions: those of a level and those not folded yet."""
    dimensions, counts = ", ".join(DIMENSIONS), ", ".join(COUNTS)
    sums = ", ".join(f"sum({name})::bigint AS {name}" for name in COUNTS)
    rows = await connection.fetch(
        f"""
        SELECT bucket_time, {dimensions}, {sums} FROM (
            SELECT bucket_time, {dimensions}, {counts} FROM rollup_{level}
            JOIN dimension_sets AS d ON d.id = dimension_set_id WHERE project_id = $1
            UNION ALL
            SELECT date_trunc('{level}', minute, 'UTC'), {dimensions}, {counts} FROM rollup_deltas
            WHERE project_id = $1
        ) AS both_parts GROUP BY bucket_time, {dimensions}
        """,
        project_id,
    )
    return {
        (row["bucket_time"], *(row[name] for name in DIMENSIONS)): +Counter(
            {name: row[name] for name in COUNTS}
        )
        for row in rows
    }


def _latencies(spans: Iterable[Row], level: str) -> Counter[tuple[datetime, int]]:
    return Counter(
        (_cut(span["start_time"], level), _bucket(span["duration_ns"])) for span in spans
    )


def _bucket(duration_ns: int) -> int:
    return math.ceil(math.log(duration_ns) / math.log(GAMMA)) if duration_ns > 1 else 0


async def latencies(
    connection: Connection, project_id: int, level: str
) -> Counter[tuple[datetime, int]]:
    """Returns spans by time and latency bucket: those of a level and those not folded yet."""
    rows = await connection.fetch(
        f"""
        SELECT bucket_time, bucket, sum(spans)::bigint FROM (
            SELECT bucket_time, bucket, span_count AS spans FROM latency_{level}
            JOIN dimension_sets AS d ON d.id = dimension_set_id WHERE project_id = $1
            UNION ALL
            SELECT date_trunc('{level}', minute, 'UTC'), b, n FROM rollup_deltas,
                unnest(latency_buckets, latency_counts) AS l (b, n) WHERE project_id = $1
        ) AS both_parts GROUP BY 1, 2
        """,
        project_id,
    )
    return Counter({(row[0], row[1]): row[2] for row in rows})
