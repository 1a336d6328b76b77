"""Which traces are wanted: told in SQL, and told of one row."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Text, and_, case, cast, func, literal, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, array

from bartizan.server.store.tables import traces
from bartizan.v1 import common_pb2

ERROR = common_pb2.STATUS_CODE_ERROR
ANY_FINDING = "*"
_SCALARS = ("environment", "machine", "workspace")
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What must hold of a trace; what is empty or zero may be anything.

    Content is no part of it. Money is in billionths of a US dollar.
    """

    start: datetime | None = None
    end: datetime | None = None
    user_id: str = ""
    session_id: str = ""
    agent: str = ""
    model: str = ""
    status: int = 0
    environment: str = ""
    machine: str = ""
    workspace: str = ""
    tags: tuple[str, ...] = ()
    min_duration: timedelta = _NOTHING
    min_cost_nano_usd: int = 0
    finding: str = ""
    """A category that holds those below it, or ANY_FINDING."""

    def ordered(self, columns: Any = traces.c) -> Iterator[ColumnElement[bool]]:
        """Yields the conditions for which an index has the traces in the order of a list."""
        if self.start is not None:
            yield columns.start_time >= self.start
        if self.end is not None:
            yield columns.start_time < self.end
        for name in ("user_id", "session_id"):
            if wanted := getattr(self, name):
                # Told twice: a plan for any value must know that it may use a partial index.
                yield and_(columns[name] == wanted, columns[name] != "")

    def others(self, columns: Any = traces.c) -> Iterator[ColumnElement[bool]]:
        """Yields the conditions that `ordered` leaves."""
        for name in _SCALARS:
            if wanted := getattr(self, name):
                yield columns[name] == wanted
        for name, values in self.listed():
            yield columns[name].contains(cast(array(values), ARRAY(Text)))
        if self.status:
            yield _status_of(columns) == self.status
        if self.min_duration:
            yield columns.end_time - columns.start_time >= self.min_duration
        if self.min_cost_nano_usd:
            yield columns.cost_nano_usd >= self.min_cost_nano_usd
        if self.finding:
            yield self._found(columns)

    def listed(self) -> Iterator[tuple[str, list[str]]]:
        """Yields, for each column that holds a list, what must be in it."""
        if self.agent:
            yield "agents", [self.agent]
        if self.model:
            yield "models", [self.model]
        if self.tags:
            yield "tags", list(self.tags)

    def matches(self, trace: Row[Any]) -> bool:
        """Tells whether a row of traces is wanted."""
        scalars = ("user_id", "session_id", *_SCALARS)
        return (
            all(getattr(self, name) in ("", getattr(trace, name)) for name in scalars)
            and all(set(values) <= set(getattr(trace, name)) for name, values in self.listed())
            and self.status in (0, status(trace))
            and (self.start is None or trace.start_time >= self.start)
            and (self.end is None or trace.start_time < self.end)
            and trace.end_time - trace.start_time >= self.min_duration
            and trace.cost_nano_usd >= self.min_cost_nano_usd
            and (not self.finding or any(map(self._holds, trace.categories)))
        )

    def _holds(self, category: str) -> bool:
        wanted = self.finding
        return wanted in (ANY_FINDING, category) or category.startswith(f"{wanted}.")

    def _found(self, columns: Any) -> ColumnElement[bool]:
        some = func.cardinality(columns.categories) > 0
        if self.finding == ANY_FINDING:
            return some
        category = func.unnest(columns.categories).column_valued("category")
        below = func.starts_with(category, f"{self.finding}.")
        held = select(literal(1)).where(or_(category == self.finding, below))
        return and_(some, held.exists())


def status(trace: Row[Any]) -> "common_pb2.StatusCode.ValueType":
    """Returns how a trace ended: as its root did, or, while none has come, failed if a span did."""
    if trace.root_seen:
        root: common_pb2.StatusCode.ValueType = trace.root_status
        return root
    return ERROR if trace.error_count else common_pb2.STATUS_CODE_UNSPECIFIED


def _status_of(columns: Any) -> ColumnElement[int]:
    return case(
        (columns.root_seen, columns.root_status),
        (columns.error_count > 0, ERROR),
        else_=0,
    )
