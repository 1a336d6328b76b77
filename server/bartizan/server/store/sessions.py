"""The sessions of a project, as lists of summaries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Row, Text, cast, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, array

from bartizan.server.store.reader import ProjectReader
from bartizan.server.store.tables import sessions


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """What must hold of a session; what is empty may be anything."""

    start: datetime | None = None
    """It was active then or later."""
    end: datetime | None = None
    """It was active before then."""
    user_id: str = ""
    agent: str = ""
    environment: str = ""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yields what must hold, in SQL."""
        if self.start is not None:
            yield sessions.c.end_time >= self.start
        if self.end is not None:
            yield sessions.c.start_time < self.end
        if self.user_id:
            yield sessions.c.user_id == self.user_id
        if self.agent:
            yield sessions.c.agents.contains(cast(array([self.agent]), ARRAY(Text)))
        if self.environment:
            yield sessions.c.environment == self.environment


class SessionKey(NamedTuple):
    """The place of a session in a list."""

    end_time: datetime
    session_id: str


class SessionReader(ProjectReader):
    """Reads the summaries of sessions."""

    async def get(self, session_id: str) -> Row[Any] | None:
        """Returns one session, if the project has it."""
        query = self._select(sessions).where(sessions.c.session_id == session_id)
        rows = await self._rows(query)
        return rows[0] if rows else None

    async def latest(
        self, wanted: SessionFilter, after: SessionKey | None, limit: int
    ) -> Sequence[Row[Any]]:
        """Returns up to `limit` sessions, last active first, from what follows `after` on."""
        query = self._select(sessions).where(*wanted.conditions())
        place = (sessions.c.end_time, sessions.c.session_id)
        if after is not None:
            query = query.where(tuple_(*place) < tuple_(*after, types=[c.type for c in place]))
        order = (sessions.c.end_time.desc(), sessions.c.session_id.desc())
        return await self._rows(query.order_by(*order).limit(limit))
