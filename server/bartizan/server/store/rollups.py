"""Folds what ingest appended into the rollups by minute, hour and day.

The sum of a level and of the deltas that are not folded yet is exact at every instant: a fold moves
counts from one to the other in one transaction.
"""

from bartizan.server.store.engine import Connection

FOLD_LOCK = 0x6261_7274_0002
"""The advisory lock that lets one process fold at a time."""
MAX_DELTAS = 20_000
"""How many deltas one transaction folds: a second's work."""

DIMENSIONS = (
    "project_id", "kind", "status", "agent", "environment", "model", "provider", "machine",
    "workspace", "tool_name", "error_type",
)  # fmt: skip
COUNTERS = (
    "span_count", "root_count", "finding_count", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nano_usd", "duration_ns",
)  # fmt: skip
LEVELS = ("minute", "hour", "day")

_DIMENSIONS = ", ".join(DIMENSIONS)
_COUNTERS = ", ".join(COUNTERS)
_SUMS = ", ".join(f"sum({name})" for name in COUNTERS)
_ADDED = ", ".join(f"{name} = t.{name} + excluded.{name}" for name in COUNTERS)


def _row(table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in DIMENSIONS)


def _same(one: str, other: str) -> str:
    # The hash is what the index has: the dimensions themselves can be too long for one.
    return (
        f"hash_record_extended(ROW({_row(one)}), 0) = hash_record_extended(ROW({_row(other)}), 0)"
        f" AND ({_row(one)}) = ({_row(other)})"
    )


# One process folds at a time, so that no two make the same set.
_KEYS = f"""
INSERT INTO dimension_sets ({_DIMENSIONS})
SELECT {_DIMENSIONS} FROM (
    SELECT DISTINCT {_DIMENSIONS} FROM rollup_deltas WHERE ctid = ANY ($1::tid[])
) AS k
WHERE NOT EXISTS (SELECT FROM dimension_sets AS d WHERE {_same("d", "k")})
"""


def _level(level: str) -> str:
    return f"""
    rollup_of_{level} AS (
        INSERT INTO rollup_{level} AS t (dimension_set_id, bucket_time, {_COUNTERS})
        SELECT dimension_set_id, date_trunc('{level}', minute, 'UTC'), {_SUMS}
        FROM keyed GROUP BY 1, 2
        ON CONFLICT (dimension_set_id, bucket_time) DO UPDATE SET {_ADDED}
    ),
    latency_of_{level} AS (
        INSERT INTO latency_{level} AS t (dimension_set_id, bucket_time, bucket, span_count)
        SELECT dimension_set_id, date_trunc('{level}', minute, 'UTC'), bucket, sum(span_count)
        FROM latencies GROUP BY 1, 2, 3
        ON CONFLICT (dimension_set_id, bucket_time, bucket)
        DO UPDATE SET span_count = t.span_count + excluded.span_count
    )"""


# Every commit leaves a delta for each set of dimensions, thousands in a few seconds that differ in
# nothing but their counts. They are added up before anything else is done with them.
_FOLD = f"""
WITH taken AS (
    DELETE FROM rollup_deltas WHERE ctid = ANY ($1::tid[]) RETURNING *
),
summed AS MATERIALIZED (
    SELECT {_DIMENSIONS}, minute, count(*) AS deltas,
        {", ".join(f"sum({name}) AS {name}" for name in COUNTERS)}
    FROM taken GROUP BY {_DIMENSIONS}, minute
),
keyed AS MATERIALIZED (
    SELECT d.id AS dimension_set_id, summed.*
    FROM summed JOIN dimension_sets AS d ON {_same("d", "summed")}
),
latencies AS MATERIALIZED (
    SELECT dimension_set_id, minute, bucket, sum(spans) AS span_count
    FROM taken JOIN keyed USING ({_DIMENSIONS}, minute),
        unnest(latency_buckets, latency_counts) AS l (bucket, spans)
    GROUP BY 1, 2, 3
),
{",".join(map(_level, LEVELS))}
SELECT sum(deltas) FROM keyed
"""


async def fold(connection: Connection, max_deltas: int = MAX_DELTAS) -> int:
    """Folds up to `max_deltas` deltas; returns how many, 0 also while another process folds."""
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", FOLD_LOCK):
            return 0
        # Deltas are only ever appended, and deleted under this lock, so their places hold still.
        places = [
            row[0] for row in await connection.fetch(
                "SELECT ctid FROM rollup_deltas LIMIT $1", max_deltas)
        ]  # fmt: skip
        if not places:
            return 0
        await connection.execute(_KEYS, places)
        folded = int(await connection.fetchval(_FOLD, places) or 0)
        if folded != len(places):
            raise RuntimeError(f"{len(places)} deltas were taken and {folded} folded")
        return folded
