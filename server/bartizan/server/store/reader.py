"""Reading on behalf of one project."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Table, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import DeadlineExceeded

QUERY_CANCELED = "57014"
"""What PostgreSQL says when a statement ran into its timeout."""


class ProjectReader:
    """What every reader builds on: it can ask for the rows of its own project only."""

    def __init__(self, engine: AsyncEngine, project_id: int) -> None:
        self._engine = engine
        self.project_id = project_id

    def _own(self, table: Table) -> ColumnElement[bool]:
        """Returns the condition that a row is of this project."""
        return table.c.project_id == self.project_id

    def _select(self, table: Table, *columns: Any) -> Select[Any]:
        """Returns a query for this project's rows of a table: all columns, or those given."""
        return select(*(columns or (table,))).select_from(table).where(self._own(table))

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Runs a query; holds a connection no longer than that. Raises DeadlineExceeded."""
        async with self._engine.connect() as connection:
            try:
                return list(await connection.execute(query))
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", "") == QUERY_CANCELED:
                    raise DeadlineExceeded(
                        "QUERY_TOO_SLOW", "The database took too long; ask for less at a time."
                    ) from None
                raise
