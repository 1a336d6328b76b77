"""Native range partitions of the tables that grow with time: one a week, named by its Monday.

On TimescaleDB the extension makes and drops its own chunks and nothing here is used.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from bartizan.server.store.engine import Connection

TABLES = ("spans", "span_payloads", "findings")
WEEK = timedelta(days=7)
WEEKS_AHEAD = 4
_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
_MONDAY_NS = 4 * 86_400 * 1_000_000_000
_WEEK_NS = 7 * 86_400 * 1_000_000_000


def weeks_of(times_ns: Iterable[int]) -> set[int]:
    """Returns the numbers of the weeks that hold some times, in nanoseconds since 1970."""
    return {(ns - _MONDAY_NS) // _WEEK_NS for ns in times_ns}


def monday(week: int) -> date:
    """Returns the day a week begins with."""
    return (_MONDAY + week * WEEK).date()


class Partitions:
    """The partitions this process knows of."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._native: bool | None = None

    async def ensure(self, connection: Connection, weeks: set[int]) -> None:
        """Makes the partitions of the weeks that have none. Must run outside a transaction."""
        missing = weeks - self._known
        if not missing:
            return
        if await self._is_native(connection):
            for week in sorted(missing):
                await create(connection, week)
        self._known |= missing

    async def _is_native(self, connection: Connection) -> bool:
        if self._native is None:
            kind = await connection.fetchval(
                "SELECT relkind FROM pg_class WHERE oid = 'spans'::regclass"
            )
            self._native = kind == b"p"
        return self._native

    def forget(self) -> None:
        """Looks again at the next use: somebody dropped partitions."""
        self._known.clear()


async def create(connection: Connection, week: int) -> None:
    """Makes the partitions of one week, if there are none.

    A table made aside and attached locks out no reader and no writer.
    """
    start = monday(week)
    for table in TABLES:
        name = f"{table}_{start:%Y%m%d}"
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", name)
            if await connection.fetchval("SELECT to_regclass($1)", name) is not None:
                continue
            await connection.execute(
                f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            )
            await connection.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {name}"
                f" FOR VALUES FROM ('{start} 00:00+00') TO ('{start + WEEK} 00:00+00')"
            )


async def drop_before(connection: Connection, cutoff: datetime) -> list[str]:
    """Drops the partitions whose every span began before `cutoff`; returns their names."""
    rows = await connection.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = ANY($1::regclass[])",
        list(TABLES),
    )
    dropped = []
    for name in sorted(row["name"] for row in rows):
        start = datetime.strptime(name.rpartition("_")[2], "%Y%m%d").replace(tzinfo=UTC)
        if start + WEEK <= cutoff:
            await connection.execute(f"DROP TABLE {name}")
            dropped.append(name)
    return dropped
