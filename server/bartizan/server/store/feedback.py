"""The feedback of a project: written once an item, and listed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, func, literal_column, text, tuple_
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import Unavailable
from bartizan.server.ingest.feedback import FeedbackRecord
from bartizan.server.store.reader import QUERY_CANCELED, ProjectReader
from bartizan.server.store.tables import feedback

_AGAIN = (QUERY_CANCELED, "40001", "40P01", "55P03")
"""What PostgreSQL says when others were in the way: for too long, or in a deadlock."""

_STORE = f"""
WITH stored AS (
    INSERT INTO feedback (project_id, {", ".join(FeedbackRecord._fields)})
    SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::bigint[], $5::text[], $6::text[],
        $7::boolean[], $8::float8[], $9::text[], $10::text[], $11::text[], $12::text[],
        $13::smallint[], $14::timestamptz[])
    ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) FROM stored
"""
# By hand: a parameter for each value of 1,000 items takes three times the processor's time.


@dataclass(frozen=True, slots=True)
class FeedbackFilter:
    """What must hold of feedback; what is empty may be anything."""

    start: datetime | None = None
    end: datetime | None = None
    trace_id: UUID | None = None
    session_id: str = ""
    user_id: str = ""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yields what must hold, in SQL."""
        if self.start is not None:
            yield feedback.c.create_time >= self.start
        if self.end is not None:
            yield feedback.c.create_time < self.end
        if self.trace_id is not None:
            yield feedback.c.trace_id == self.trace_id
        for column, wanted in (
            (feedback.c.session_id, self.session_id),
            (feedback.c.user_id, self.user_id),
        ):
            if wanted:
                # Told three times: the index holds hashes, and only of what is not empty.
                yield and_(column == wanted, _hash(column) == _hash(wanted), column != "")


class FeedbackKey(NamedTuple):
    """The place of feedback in a list."""

    create_time: datetime
    feedback_id: UUID


class FeedbackReader(ProjectReader):
    """Reads feedback."""

    async def newest(
        self, wanted: FeedbackFilter, after: FeedbackKey | None, limit: int
    ) -> Sequence[Row[Any]]:
        """Returns up to `limit` items, newest first, from the one that follows `after` on."""
        query = self._select(feedback).where(*wanted.conditions())
        place = (feedback.c.create_time, feedback.c.feedback_id)
        if after is not None:
            query = query.where(tuple_(*place) < tuple_(*after, types=[c.type for c in place]))
        order = (feedback.c.create_time.desc(), feedback.c.feedback_id.desc())
        return await self._rows(query.order_by(*order).limit(limit))


async def store(engine: AsyncEngine, project_id: int, records: Sequence[FeedbackRecord]) -> int:
    """Stores feedback in one transaction; returns, after its commit, how many items were new.

    Raises Unavailable when others kept the database busy, and the driver's errors when it is away.
    """
    if not records:
        return 0
    # In one order everywhere, so that two senders of the same items cannot wait for each other.
    rows = sorted(records, key=lambda record: record.feedback_id)
    columns = tuple(map(list, zip(*rows, strict=True)))
    try:
        async with engine.begin() as connection:
            # An answer means that a power cut loses nothing, whatever the cluster's default is.
            await connection.execute(text("SET LOCAL synchronous_commit = on"))
            stored = await connection.exec_driver_sql(_STORE, (project_id, *columns))
            return int(stored.scalar_one())
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") not in _AGAIN:
            raise
        raise Unavailable(
            "DATABASE_UNAVAILABLE", "Nothing was stored: the database is busy; send again."
        ) from None


def _hash(value: Any) -> ColumnElement[int]:
    return func.hashtextextended(value, literal_column("0"))
