"""The SQL of the group-commit writer."""

from bartizan.server.ingest.summary import TOTALS

FINDING_COLUMNS = (
    "project_id", "trace_id", "span_id", "start_time", "field", "category", "score",
    "start_offset", "end_offset", "code", "rule", "rule_version", "verdict", "action", "shadow",
    "severity",
)  # fmt: skip
DEFERRED_COLUMNS = ("project_id", "trace_id", "span_id", "start_time", "rules")
ROLLUP_COLUMNS = (
    "project_id", "minute", "kind", "status", "agent", "environment", "model", "provider",
    "machine", "workspace", "tool_name", "error_type", "span_count", "root_count",
    "finding_count", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens", "cost_nano_usd", "duration_ns", "latency_buckets", "latency_counts",
)  # fmt: skip

_TOTALS = ", ".join(TOTALS)
_ADD_TOTALS = ",\n    ".join(f"{name} = t.{name} + excluded.{name}" for name in TOTALS)


def _parameters(*types: str) -> str:
    return ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))


def _first(column: str) -> str:
    return f"{column} = CASE WHEN t.{column} = '' THEN excluded.{column} ELSE t.{column} END"


def _union(column: str) -> str:
    return (
        f"{column} = CASE WHEN t.{column} @> excluded.{column} THEN t.{column} ELSE"
        f" ARRAY(SELECT DISTINCT unnest(t.{column} || excluded.{column}) ORDER BY 1) END"
    )


KNOWN_TRACES = f"""
SELECT t.project_id, t.trace_id, t.session_id, t.start_time, t.end_time, t.user_id,
    t.environment, t.agents, {", ".join(f"t.{name}" for name in TOTALS)}
FROM (SELECT * FROM unnest($1::int[], $2::uuid[]) AS k (project_id, trace_id) ORDER BY 1, 2) AS k
JOIN traces AS t USING (project_id, trace_id)
FOR NO KEY UPDATE OF t
"""

STORED_SPANS = """
SELECT s.project_id, s.trace_id, s.span_id
FROM unnest($1::int[], $2::uuid[], $3::bigint[]) AS k (project_id, trace_id, span_id)
JOIN spans AS s USING (project_id, trace_id, span_id)
WHERE s.start_time BETWEEN $4 AND $5
"""

TRACE_COLUMNS = (
    "project_id", "trace_id", "start_time", "end_time", "root_seen", "root_status", *TOTALS,
    "display_name", "user_id", "session_id", "environment", "machine", "workspace", "agents",
    "models", "tags", "categories",
)  # fmt: skip
_TRACE_COLUMNS = ", ".join(TRACE_COLUMNS)

TRACE_DELTAS = f"""
CREATE TEMPORARY TABLE trace_deltas ON COMMIT DELETE ROWS AS
SELECT {_TRACE_COLUMNS} FROM traces WITH NO DATA
"""

ADD_TO_TRACES = f"""
INSERT INTO traces AS t ({_TRACE_COLUMNS}, update_time, update_xid)
SELECT {_TRACE_COLUMNS}, now(), pg_current_xact_id()::text::bigint
FROM trace_deltas ORDER BY project_id, trace_id
ON CONFLICT (project_id, trace_id) DO UPDATE SET
    display_name = CASE WHEN t.root_seen
            OR NOT excluded.root_seen AND excluded.start_time >= t.start_time
        THEN t.display_name ELSE excluded.display_name END,
    start_time = LEAST(t.start_time, excluded.start_time),
    end_time = GREATEST(t.end_time, excluded.end_time),
    root_status = CASE WHEN t.root_seen THEN t.root_status ELSE excluded.root_status END,
    root_seen = t.root_seen OR excluded.root_seen,
    {_first("user_id")},
    {_first("session_id")},
    {_first("environment")},
    {_first("machine")},
    {_first("workspace")},
    {_union("agents")},
    {_union("models")},
    {_union("tags")},
    {_union("categories")},
    {_ADD_TOTALS},
    update_time = now(),
    update_xid = excluded.update_xid
RETURNING project_id, trace_id, xmax = 0
"""

ADD_TO_SESSIONS = f"""
INSERT INTO sessions AS t (
    project_id, session_id, start_time, end_time, trace_count, user_id, environment, agents,
    {_TOTALS}
)
SELECT project_id, session_id, start_time, end_time, trace_count, user_id, environment,
    agents::text[], {_TOTALS}
FROM unnest({
    _parameters(
        "int",
        "text",
        "timestamptz",
        "timestamptz",
        "bigint",
        "text",
        "text",
        "text",
        *["bigint"] * 9,
    )
}) AS k (
    project_id, session_id, start_time, end_time, trace_count, user_id, environment, agents,
    {_TOTALS}
)
ON CONFLICT (project_id, session_id) DO UPDATE SET
    start_time = LEAST(t.start_time, excluded.start_time),
    end_time = GREATEST(t.end_time, excluded.end_time),
    trace_count = t.trace_count + excluded.trace_count,
    {_first("user_id")},
    {_first("environment")},
    {_union("agents")},
    {_ADD_TOTALS}
"""

ADD_TO_LEDGER = f"""
INSERT INTO ledger AS t (project_id, minute, outcome, reason, spans)
SELECT * FROM unnest({_parameters("int", "timestamptz", "text", "text", "bigint")})
ON CONFLICT (project_id, minute, outcome, reason) DO UPDATE SET spans = t.spans + excluded.spans
"""

ADVANCE_STREAMS = f"""
INSERT INTO streams AS t (project_id, stream_key, last_seq, update_time)
SELECT project_id, stream_key, last_seq, now()
FROM unnest({_parameters("int", "text", "bigint")}) AS k (project_id, stream_key, last_seq)
ON CONFLICT (project_id, stream_key) DO UPDATE SET
    last_seq = GREATEST(t.last_seq, excluded.last_seq), update_time = now()
"""

LAST_SEQ = "SELECT last_seq FROM streams WHERE project_id = $1 AND stream_key = $2"

CHANNEL = "bartizan_commits"
ANNOUNCE = f"SELECT pg_notify('{CHANNEL}', pg_current_xact_id()::text || ':' || $1)"

QUARANTINE = """
INSERT INTO quarantine (project_id, trace_id, span_id, ingest_time, reason, document)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id
"""
