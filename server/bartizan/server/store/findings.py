"""What rules found in the spans of a project, and what people say of it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, delete, or_, tuple_
from sqlalchemy.dialects.postgresql import insert

from bartizan.server.store.reader import ProjectReader
from bartizan.server.store.tables import finding_labels, findings

LABELLED = ("trace_id", "span_id", "field", "category", "start_offset", "end_offset")
"""The columns that say which finding a label is about, beside the project."""

_COLUMNS = (
    *findings.c,
    finding_labels.c.is_right,
    finding_labels.c.author.label("label_author"),
    finding_labels.c.create_time.label("label_time"),
)


class FindingKey(NamedTuple):
    """The place of a finding in a list. Equal ones share it: two keys may be redacted to one."""

    start_time: datetime
    trace_id: UUID
    span_id: int
    field: str
    start_offset: int
    end_offset: int
    category: str
    rule: str
    code: str

    @classmethod
    def of(cls, row: Row[Any]) -> Self:
        """Returns the place of a finding."""
        return cls(*(getattr(row, name) for name in cls._fields))


class Position(NamedTuple):
    """How far a list has come: the last place, and how many of the findings there were told."""

    key: FindingKey
    told: int

    def moved(self, page: Sequence[Row[Any]]) -> Self:
        """Returns how far the list has come after another page, which is not empty."""
        key = FindingKey.of(page[-1])
        told = sum(FindingKey.of(row) == key for row in page)
        return type(self)(key, told + self.told if key == self.key else told)


_ORDER = tuple(findings.c[name] for name in FindingKey._fields)


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """What must hold of findings; what is empty may be anything."""

    start: datetime | None = None
    end: datetime | None = None
    rule: str = ""
    category: str = ""
    trace_id: UUID | None = None
    action: int = 0
    min_severity: int = 0
    shadow: bool | None = None
    labelled: bool | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yields what must hold, in SQL."""
        at = findings.c
        if self.start is not None:
            yield at.start_time >= self.start
        if self.end is not None:
            yield at.start_time < self.end
        if self.rule:
            yield at.rule == self.rule
        if self.category:
            below = at.category.startswith(f"{self.category}.", autoescape=True)
            yield or_(at.category == self.category, below)
        if self.trace_id is not None:
            yield at.trace_id == self.trace_id
        if self.action:
            yield at.action == self.action
        if self.min_severity:
            yield at.severity >= self.min_severity
        if self.shadow is not None:
            yield at.shadow == self.shadow
        if self.labelled is not None:
            is_null = finding_labels.c.is_right.is_(None)
            yield ~is_null if self.labelled else is_null


class FindingReader(ProjectReader):
    """Reads findings with their labels, and labels them."""

    async def newest(
        self, wanted: FindingFilter, after: Position | None, limit: int
    ) -> Sequence[Row[Any]]:
        """Returns up to `limit` findings, of the newest span first, from after a position on."""
        query = self._with_labels().where(*wanted.conditions())
        if after is not None:
            place = tuple_(*after.key, types=[column.type for column in _ORDER])
            query = query.where(tuple_(*_ORDER) <= place).offset(after.told)
        return await self._rows(query.order_by(*(one.desc() for one in _ORDER)).limit(limit))

    async def of_span(self, trace_id: UUID, span_id: int) -> Sequence[Row[Any]]:
        """Returns all findings of a span."""
        at = findings.c
        query = self._with_labels().where(at.trace_id == trace_id, at.span_id == span_id)
        return await self._rows(query.order_by(*_ORDER))

    async def label(self, row: Row[Any], is_right: bool, author: str, now: datetime) -> None:
        """Says that a finding is right, or that it is not, in the place of what was said before."""
        values = {"project_id": self.project_id, **{name: getattr(row, name) for name in LABELLED}}
        said = {"is_right": is_right, "author": author, "create_time": now}
        statement = insert(finding_labels).values(**values, **said)
        statement = statement.on_conflict_do_update(index_elements=list(values), set_=said)
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    async def unlabel(self, row: Row[Any]) -> None:
        """Takes back what was said of a finding."""
        same = [finding_labels.c[name] == getattr(row, name) for name in LABELLED]
        statement = delete(finding_labels).where(self._own(finding_labels), *same)
        async with self._engine.begin() as connection:
            await connection.execute(statement)

    def _with_labels(self) -> Select[Any]:
        same = [finding_labels.c[name] == findings.c[name] for name in LABELLED]
        joined = findings.outerjoin(
            finding_labels, and_(finding_labels.c.project_id == findings.c.project_id, *same)
        )
        return self._select(findings, *_COLUMNS).select_from(joined)


def digest(row: Row[Any]) -> str:
    """Returns what tells a finding from the others of its span: 8 hexadecimal digits."""
    names = (*LABELLED[2:], "rule", "rule_version", "code")
    said = "\0".join(str(getattr(row, name)) for name in names)
    return hashlib.sha256(said.encode()).hexdigest()[:8]
