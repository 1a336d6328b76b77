"""The traces of a project, as lists of summaries."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Row, Select, any_, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from bartizan.server.store import trace_labels
from bartizan.server.store.reader import ProjectReader
from bartizan.server.store.tables import traces
from bartizan.server.store.trace_filter import TraceFilter

NEAR = 10_000
"""How many of the newest traces are tested one by one before the index of labels is asked: that is
quick for what is common, whose matches the index would have to sort. About 10 ms."""


class TraceKey(NamedTuple):
    """The place of a trace in a list."""

    start_time: datetime
    trace_id: UUID


class TraceReader(ProjectReader):
    """Reads the summaries of traces."""

    async def get(self, trace_id: UUID) -> Row[Any] | None:
        """Returns one trace, if the project has it."""
        rows = await self._rows(self._select(traces).where(traces.c.trace_id == trace_id))
        return rows[0] if rows else None

    async def newest(
        self, wanted: TraceFilter, after: TraceKey | None, limit: int
    ) -> Sequence[Row[Any]]:
        """Returns up to `limit` traces, newest first, from the one that follows `after` on."""
        if not any(True for _ in wanted.others()):
            return await self._rows(self._in_order(wanted, after).limit(limit))
        rows = await self._rows(self._near(wanted, after, limit))
        if len(rows) < limit:
            rows = await self._rows(self._labelled(wanted, after, limit))
        return rows

    async def committed(self, xids: Sequence[int], limit: int) -> tuple[Sequence[Row[Any]], int]:
        """Returns up to `limit` of the newest traces that these transactions were last to change.

        They come oldest first. The second value says how many more there are.
        """
        changed = traces.c.update_xid == any_(literal(xids, ARRAY(BigInteger)))
        query = self._select(traces).where(changed).order_by(traces.c.start_time.desc())
        rows = await self._rows(query.limit(limit + 1))
        if len(rows) <= limit:
            return rows[::-1], 0
        count = await self._rows(self._select(traces, func.count()).where(changed))
        return rows[:limit][::-1], max(count[0][0] - limit, 1)

    def _in_order(self, wanted: TraceFilter, after: TraceKey | None) -> Select[Any]:
        query = self._select(traces).where(*wanted.ordered())
        if after is not None:
            place = (traces.c.start_time, traces.c.trace_id)
            query = query.where(tuple_(*place) < tuple_(*after, types=[c.type for c in place]))
        return query.order_by(traces.c.start_time.desc(), traces.c.trace_id.desc())

    def _near(self, wanted: TraceFilter, after: TraceKey | None, limit: int) -> Select[Any]:
        near = self._in_order(wanted, after).limit(NEAR).subquery("near")
        order = (near.c.start_time.desc(), near.c.trace_id.desc())
        return select(near).where(*wanted.others(near.c)).order_by(*order).limit(limit)

    def _labelled(self, wanted: TraceFilter, after: TraceKey | None, limit: int) -> Select[Any]:
        # Set apart, so that the planner does not walk the traces in their order after all.
        found = (
            self._in_order(wanted, after)
            .with_only_columns(traces.c.start_time, traces.c.trace_id)
            .where(*trace_labels.conditions(self.project_id, wanted), *wanted.others())
            .order_by(None)
            .cte("found")
            .prefix_with("MATERIALIZED")
        )
        order = (found.c.start_time.desc(), found.c.trace_id.desc())
        first = select(found).order_by(*order).limit(limit).subquery("first")
        return (
            self._select(traces)
            .join(first, traces.c.trace_id == first.c.trace_id)
            .order_by(traces.c.start_time.desc(), traces.c.trace_id.desc())
        )
