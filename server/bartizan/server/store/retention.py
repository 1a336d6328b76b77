"""Removes what is older than its project keeps, and makes room for what is to come."""

from datetime import datetime, timedelta

from bartizan.server.store import partitions
from bartizan.server.store.clock import to_ns
from bartizan.server.store.engine import Connection

BATCH = 5_000
"""Rows deleted in one transaction, so that nobody waits for long."""
STREAM_DAYS = 30
"""A stream that was silent for so long is not resumed: its client is gone."""

_BY_START = ("spans", "span_payloads", "findings")


async def make_partitions(connection: Connection, now: datetime) -> None:
    """Makes the native partitions of this week and the next ones."""
    ahead = [now + week * partitions.WEEK for week in range(partitions.WEEKS_AHEAD + 1)]
    await partitions.Partitions().ensure(connection, partitions.weeks_of(map(to_ns, ahead)))


async def expire(connection: Connection, now: datetime) -> None:
    """Removes spans, summaries and feedback that are past their project's retention."""
    rows = await connection.fetch("SELECT id, retention_days FROM projects")
    cutoffs = {row[0]: now - timedelta(days=row[1]) for row in rows}
    if not cutoffs:
        return
    oldest = min(cutoffs.values())
    await _drop(connection, oldest)
    for project_id, cutoff in cutoffs.items():
        if cutoff > oldest:
            await _expire_spans(connection, project_id, cutoff)
        await _expire_project(connection, project_id, cutoff)
    await _delete(connection, "streams", "update_time < $1", now - timedelta(days=STREAM_DAYS))


async def _drop(connection: Connection, cutoff: datetime) -> None:
    """Drops whole partitions, which costs nothing however full they are."""
    if await _has_timescale(connection):
        for table in _BY_START:
            await connection.execute(
                f"SELECT drop_chunks('{table}', older_than => $1::timestamptz)", cutoff
            )
    else:
        await partitions.drop_before(connection, cutoff)


async def _expire_spans(connection: Connection, project_id: int, cutoff: datetime) -> None:
    where = "start_time < $1 AND project_id = $2"
    in_columns = await _has_timescale(connection)
    for table in _BY_START:
        if in_columns:
            # Rows in the columnstore have no place of their own, but go by the thousand.
            await connection.execute(f"DELETE FROM {table} WHERE {where}", cutoff, project_id)
        else:
            await _delete(connection, table, where, cutoff, project_id)


async def _expire_project(connection: Connection, project_id: int, cutoff: datetime) -> None:
    for table, column in (
        ("traces", "end_time"),
        ("sessions", "end_time"),
        ("ledger", "minute"),
        ("quarantine", "ingest_time"),
        ("feedback", "create_time"),
        ("finding_labels", "create_time"),
    ):
        await _delete(connection, table, f"{column} < $1 AND project_id = $2", cutoff, project_id)
    for level in ("minute", "hour", "day"):
        for table in (f"rollup_{level}", f"latency_{level}"):
            await _delete(
                connection,
                table,
                "bucket_time < $1 AND dimension_set_id IN"
                " (SELECT id FROM dimension_sets WHERE project_id = $2)",
                cutoff,
                project_id,
            )


async def _delete(connection: Connection, table: str, where: str, *args: object) -> None:
    # A row is named by its partition and its place in it.
    statement = f"""
        DELETE FROM {table} WHERE (tableoid, ctid) IN
        (SELECT tableoid, ctid FROM {table} WHERE {where} LIMIT {BATCH})
    """
    while (await connection.execute(statement, *args)) == f"DELETE {BATCH}":
        pass


async def _has_timescale(connection: Connection) -> bool:
    query = "SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'"
    return await connection.fetchval(query) is not None
