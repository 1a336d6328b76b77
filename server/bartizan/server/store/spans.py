"""The spans of one trace, in pages, however many there are."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Table,
    any_,
    func,
    literal,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from bartizan.server.store.reader import ProjectReader
from bartizan.server.store.tables import findings, span_payloads, spans

WINDOW = 20_000
"""How many spans are put in order at a time, as keys of a few dozen bytes."""
PAGE_BYTES = 2 * 1024 * 1024
"""How much content a page holds, unless one span alone has more: most clients take 4 MiB."""

CONTENT = ("input", "output", "attributes", "events", "links")
ORDER = (spans.c.start_time, spans.c.start_nanos, spans.c.span_id)


class TraceBounds(NamedTuple):
    """A trace, and the times between which its spans began, which tell where they are stored."""

    trace_id: UUID
    start: datetime
    end: datetime


class SpanPage(NamedTuple):
    """Spans in their order, the payloads of those that have one, and what was found in them."""

    spans: Sequence[Row[Any]]
    payloads: Mapping[int, Row[Any]]
    findings: Sequence[Row[Any]]


class SpanReader(ProjectReader):
    """Reads spans. Between pages it holds nothing but keys.

    Tables are read one by one: a join would be as good as what the planner believes of a trace,
    and it believes that every trace is small.
    """

    async def pages(
        self, trace: TraceBounds, size: int, *, content: bool
    ) -> AsyncGenerator[SpanPage, None]:
        """Yields all spans of a trace by start time and span id, up to `size` a page.

        Without `content`, the columns of CONTENT are left out. Spans that come in meanwhile are
        there or are not.
        """
        after: Row[Any] | None = None
        while keys := await self._rows(self._keys(trace, after)):
            sizes = await self._sizes(_part(trace, keys)) if content else {}
            for page in _split(keys, sizes, size):
                yield await self._page(_part(trace, page), page, content)
            after = keys[-1]
            if len(keys) < WINDOW:
                return

    def _keys(self, trace: TraceBounds, after: Row[Any] | None) -> Select[Any]:
        query = self._select(spans, *ORDER, spans.c.finding_count)
        query = query.where(*_within(spans, trace)).order_by(*ORDER).limit(WINDOW)
        if after is not None:
            types = [column.type for column in ORDER]
            query = query.where(tuple_(*ORDER) > tuple_(*after[: len(ORDER)], types=types))
        return query

    async def _sizes(self, part: TraceBounds) -> dict[int, int]:
        """Returns how long the content of each span is; the database knows without reading it."""
        lengths = [func.coalesce(func.octet_length(span_payloads.c[name]), 0) for name in CONTENT]
        size = sum(lengths[1:], lengths[0])
        query = self._select(span_payloads, span_payloads.c.span_id, size.label("bytes"))
        rows = await self._rows(query.where(*_within(span_payloads, part)))
        return {row.span_id: row.bytes for row in rows}

    async def _page(self, part: TraceBounds, keys: Sequence[Row[Any]], content: bool) -> SpanPage:
        ids = [key.span_id for key in keys]
        query = self._select(spans).where(spans.c.span_id == _any_of(ids), *_within(spans, part))
        rows = await self._rows(query.order_by(*ORDER))
        found = [key.span_id for key in keys if key.finding_count]
        return SpanPage(
            rows, await self._payloads(part, ids, content), await self._findings(part, found)
        )

    async def _payloads(
        self, part: TraceBounds, ids: list[int], content: bool
    ) -> dict[int, Row[Any]]:
        names = ("span_id", *(CONTENT if content else ()), "extra")
        query = self._select(span_payloads, *(span_payloads.c[name] for name in names))
        query = query.where(span_payloads.c.span_id == _any_of(ids), *_within(span_payloads, part))
        return {row.span_id: row for row in await self._rows(query)}

    async def _findings(self, part: TraceBounds, ids: list[int]) -> Sequence[Row[Any]]:
        if not ids:
            return ()
        # All that tells two apart, so that the order is the same whatever the plan.
        order = ("start_time", "span_id", "field", "start_offset", "end_offset", "category", "rule")
        query = self._select(findings)
        query = query.where(findings.c.span_id == _any_of(ids), *_within(findings, part))
        return await self._rows(query.order_by(*(findings.c[name] for name in order)))


def _part(trace: TraceBounds, keys: Sequence[Row[Any]]) -> TraceBounds:
    return TraceBounds(trace.trace_id, keys[0].start_time, keys[-1].start_time)


def _within(table: Table, part: TraceBounds) -> Iterator[ColumnElement[bool]]:
    yield table.c.trace_id == part.trace_id
    yield table.c.start_time.between(part.start, part.end)


def _any_of(values: Sequence[int]) -> Any:
    return any_(literal(values, ARRAY(BigInteger)))


def _split(
    keys: Sequence[Row[Any]], sizes: Mapping[int, int], most: int
) -> Iterator[Sequence[Row[Any]]]:
    """Yields runs of keys that are pages by their count and by their content."""
    first = total = 0
    for place, key in enumerate(keys):
        size = sizes.get(key.span_id, 0)
        total += size
        if place > first and (place - first == most or total > PAGE_BYTES):
            yield keys[first:place]
            first, total = place, size
    yield keys[first:]
