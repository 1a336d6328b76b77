"""What a backtest needs to know of the findings of stored spans."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server.rules.tally import Label
from bartizan.v1 import common_pb2

Span = tuple[UUID, int]
"""A trace and a span."""

_OF_RULE = """
SELECT DISTINCT l.trace_id, l.span_id, l.field, l.category, l.start_offset, l.end_offset, l.is_right
FROM finding_labels AS l JOIN findings AS f USING
    (project_id, trace_id, span_id, field, category, start_offset, end_offset)
WHERE l.project_id = :project AND l.trace_id = ANY((:traces)::uuid[]) AND f.rule = :rule
"""
_REDACTED = f"""
SELECT DISTINCT trace_id, span_id, field FROM findings
WHERE project_id = :project AND trace_id = ANY((:traces)::uuid[]) AND NOT shadow
    AND action = {common_pb2.ACTION_REDACT}
"""


class LabelReader:
    """Reads labels of one project."""

    def __init__(self, engine: AsyncEngine, project_id: int) -> None:
        self._engine = engine
        self._project_id = project_id

    async def of_rule(
        self, rule: str, traces: Collection[UUID], redacted: Mapping[Span, Collection[str]]
    ) -> Mapping[Span, Sequence[Label]]:
        """Returns what people say of the findings of a rule in some traces."""
        labels: defaultdict[Span, list[Label]] = defaultdict(list)
        for row in await self._rows(_OF_RULE, traces, rule=rule):
            span = (row.trace_id, row.span_id)
            is_redacted = row.field in redacted.get(span, ())
            place = (row.field, row.category, row.start_offset, row.end_offset)
            labels[span].append(Label(*place, row.is_right, is_redacted))
        return labels

    async def redacted(self, traces: Collection[UUID]) -> Mapping[Span, Collection[str]]:
        """Returns which texts of each span were redacted before they were stored."""
        fields: defaultdict[Span, set[str]] = defaultdict(set)
        for row in await self._rows(_REDACTED, traces):
            fields[row.trace_id, row.span_id].add(row.field)
        return fields

    async def _rows(
        self, query: str, traces: Collection[UUID], **values: Any
    ) -> Sequence[Row[Any]]:
        async with self._engine.connect() as connection:
            values = {"project": self._project_id, "traces": list(traces), **values}
            return list(await connection.execute(text(query), values))
