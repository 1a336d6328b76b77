"""The spans that deferred rules are to look at, and what comes of it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from asyncpg.pgproto.pgproto import UUID

from bartizan.server.ingest.summary import MINUTE_NS, RollupDelta, RollupKey
from bartizan.server.store import writing
from bartizan.server.store.engine import Connection
from bartizan.server.store.history import SpanKey, StoredSpan

MAX_ATTEMPTS = 5
LEASE = "15 minutes"
"""Longer than the longest budget of a rule, so that nobody looks at what is being looked at."""

# Of the oldest, those that nobody looks at. A span that was tried too often is given up: it may be
# what ends the server each time.
_CLAIM = f"""
UPDATE deferred_checks AS d
SET attempts = attempts + 1, lease_end = now() + interval '{LEASE}'
FROM (
    SELECT id FROM deferred_checks
    WHERE lease_end < now() AND attempts < {MAX_ATTEMPTS}
    ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
) AS next
WHERE d.id = next.id
RETURNING d.id, d.project_id, d.trace_id, d.span_id, d.start_time, d.rules, d.lease_end
"""
_DONE = """
DELETE FROM deferred_checks USING unnest($1::bigint[], $2::timestamptz[]) AS mine (id, lease_end)
WHERE deferred_checks.id = mine.id AND deferred_checks.lease_end = mine.lease_end
RETURNING deferred_checks.id
"""
_GIVE_UP = f"""
DELETE FROM deferred_checks WHERE attempts >= {MAX_ATTEMPTS} AND lease_end < now()
"""
_RELEASE = """
UPDATE deferred_checks AS d SET attempts = attempts - 1, lease_end = '-infinity'
FROM unnest($1::bigint[], $2::timestamptz[]) AS mine (id, lease_end)
WHERE d.id = mine.id AND d.lease_end = mine.lease_end
"""
_BACKLOG = """
SELECT count(*), coalesce(extract(epoch FROM now() - min(start_time)), 0)::float8
FROM (SELECT start_time FROM deferred_checks ORDER BY id LIMIT 100000) AS waiting
"""
_ADD_TO_SPAN = """
UPDATE spans SET finding_count = LEAST(finding_count + $5, 32767)
WHERE project_id = $1 AND trace_id = $2 AND span_id = $3 AND start_time = $4
"""
_ADD_TO_TRACE = """
UPDATE traces SET finding_count = finding_count + $3,
    categories = ARRAY(SELECT DISTINCT unnest(categories || $4::text[]) ORDER BY 1),
    update_time = now(), update_xid = pg_current_xact_id()::text::bigint
WHERE project_id = $1 AND trace_id = $2 RETURNING session_id
"""
_ADD_TO_SESSION = """
UPDATE sessions SET finding_count = finding_count + $3 WHERE project_id = $1 AND session_id = $2
"""


@dataclass(frozen=True, slots=True)
class DeferredCheck:
    """One span to look at, leased."""

    id: int
    project_id: int
    span: SpanKey
    rules: Sequence[str]
    lease_end: Any


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one span: `rows` in the order of FINDING_COLUMNS."""

    project_id: int
    span: StoredSpan
    rows: Sequence[tuple[Any, ...]]
    categories: Sequence[str]


async def claim(connection: Connection, limit: int) -> list[DeferredCheck]:
    """Leases up to `limit` spans that nobody else looks at."""
    rows = await connection.fetch(_CLAIM, limit)
    found = [DeferredCheck(row[0], row[1], SpanKey(*row[2:5]), row[5], row[6]) for row in rows]
    return sorted(found, key=lambda one: one.id)


async def release(connection: Connection, checks: Sequence[DeferredCheck]) -> None:
    """Lets others look at spans at once, as if they had not been leased."""
    ids, leases = [one.id for one in checks], [one.lease_end for one in checks]
    await connection.execute(_RELEASE, ids, leases)


async def give_up(connection: Connection) -> int:
    """Forgets the spans that were tried too often; returns how many."""
    return int((await connection.execute(_GIVE_UP)).rpartition(" ")[2])


async def backlog(connection: Connection) -> tuple[int, float]:
    """Returns how many spans wait, up to 100,000, and the age of the oldest in seconds."""
    row = await connection.fetchrow(_BACKLOG)
    assert row is not None
    return row[0], row[1]


async def finish(
    connection: Connection, checks: Sequence[DeferredCheck], found: Iterable[Findings]
) -> int:
    """Stores what was found and forgets the spans, in one transaction; returns how many.

    What another process has taken over meanwhile is left to it.
    """
    ids, leases = [one.id for one in checks], [one.lease_end for one in checks]
    async with connection.transaction():
        mine = {row[0] for row in await connection.fetch(_DONE, ids, leases)}
        spans = {(one.project_id, one.span) for one in checks if one.id in mine}
        kept = [one for one in found if (one.project_id, one.span.key) in spans]
        await _add(connection, kept)
    return len(mine)


async def _add(connection: Connection, found: Iterable[Findings]) -> None:
    found = [one for one in found if one.rows and await _add_to_span(connection, one)]
    if not found:
        return
    await _add_to_traces(connection, found)
    rollups: dict[RollupKey, RollupDelta] = {}
    for number, one in enumerate(found):
        delta = RollupDelta(one.span.record.dims)
        delta.finding_count = len(one.rows)
        rollups[one.project_id, one.span.record.start_ns // MINUTE_NS, number] = delta
    await writing.copy_rollups(connection, rollups)
    await writing.copy_findings(connection, [row for one in found for row in one.rows])
    await writing.announce(connection, {one.project_id for one in found})


async def _add_to_span(connection: Connection, found: Findings) -> bool:
    """Returns False if the span has expired meanwhile."""
    trace_id, span_id, start_time = found.span.key
    done = await connection.execute(
        _ADD_TO_SPAN,
        found.project_id,
        UUID(trace_id.bytes),
        span_id,
        start_time,
        len(found.rows),
    )
    return done != "UPDATE 0"


async def _add_to_traces(connection: Connection, found: Iterable[Findings]) -> None:
    traces: dict[tuple[int, bytes], tuple[int, set[str]]] = {}
    for one in found:
        key = (one.project_id, one.span.key.trace_id.bytes)
        count, categories = traces.get(key, (0, set()))
        traces[key] = (count + len(one.rows), categories.union(one.categories))
    sessions: Counter[tuple[int, str]] = Counter()
    # Traces, then sessions, each in one order, as the writer does: so that none waits for another.
    for (project_id, trace_id), (count, categories) in sorted(traces.items()):
        session = await connection.fetchval(
            _ADD_TO_TRACE, project_id, UUID(trace_id), count, sorted(categories)
        )
        if session:
            sessions[project_id, session] += count
    for (project_id, session), count in sorted(sessions.items()):
        await connection.execute(_ADD_TO_SESSION, project_id, session, count)
