"""The spans of one trace, in pages, however many there are."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Row,
    Select,
    Table,
    and_,
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
    """Spans in their order, with their payload columns, and what was found in them."""

    spans: Sequence[Row[Any]]
    findings: Sequence[Row[Any]]


class SpanReader(ProjectReader):
    """Reads spans. Between pages it holds nothing but keys."""

    async def pages(
        self, trace: TraceBounds, size: int, *, content: bool
    ) -> AsyncGenerator[SpanPage, None]:
        """Yields all spans of a trace by start time and span id, up to `size` a page.

        Without `content`, the columns of CONTENT are left out. Spans that come in meanwhile are
        there or are not.
        """
        after: Row[Any] | None = None
        while keys := await self._rows(self._keys(trace, after, content)):
            for page in _split(keys, size):
                yield await self._page(trace, page, content)
            after = keys[-1]
            if len(keys) < WINDOW:
                return

    def _keys(self, trace: TraceBounds, after: Row[Any] | None, content: bool) -> Select[Any]:
        query = self._select(spans, *ORDER, spans.c.finding_count, _content_bytes(content))
        query = query.where(*_within(spans, trace)).order_by(*ORDER).limit(WINDOW)
        if content:
            query = self._with_payloads(query, trace)
        if after is not None:
            types = [column.type for column in ORDER]
            query = query.where(tuple_(*ORDER) > tuple_(*after[: len(ORDER)], types=types))
        return query

    async def _page(self, trace: TraceBounds, keys: Sequence[Row[Any]], content: bool) -> SpanPage:
        part = TraceBounds(trace.trace_id, keys[0].start_time, keys[-1].start_time)
        chosen = [
            span_payloads.c[name] for name in (*CONTENT, "extra") if content or name == "extra"
        ]
        query = self._with_payloads(self._select(spans, spans, *chosen), part)
        of_page = spans.c.span_id == _any_of([key.span_id for key in keys])
        query = query.where(of_page, *_within(spans, part)).order_by(*ORDER)
        found = [key.span_id for key in keys if key.finding_count]
        return SpanPage(await self._rows(query), await self._findings(part, found))

    async def _findings(self, part: TraceBounds, span_ids: list[int]) -> Sequence[Row[Any]]:
        if not span_ids:
            return ()
        order = (findings.c.start_time, findings.c.span_id, findings.c.field)
        of_spans = findings.c.span_id == _any_of(span_ids)
        query = self._select(findings).where(of_spans, *_within(findings, part))
        return await self._rows(query.order_by(*order, findings.c.start_offset))

    def _with_payloads(self, query: Select[Any], part: TraceBounds) -> Select[Any]:
        same = and_(
            self._own(span_payloads),
            span_payloads.c.span_id == spans.c.span_id,
            span_payloads.c.start_time == spans.c.start_time,
            *_within(span_payloads, part),
        )
        return query.join_from(spans, span_payloads, same, isouter=True)


def _within(table: Table, part: TraceBounds) -> Iterator[ColumnElement[bool]]:
    yield table.c.trace_id == part.trace_id
    yield table.c.start_time.between(part.start, part.end)


def _any_of(values: Sequence[int]) -> Any:
    return any_(literal(values, ARRAY(BigInteger)))


def _content_bytes(content: bool) -> ColumnElement[int]:
    """Returns how long the content is, which the database knows without reading it."""
    lengths = [func.coalesce(func.octet_length(span_payloads.c[name]), 0) for name in CONTENT]
    return (sum(lengths[1:], lengths[0]) if content else literal(0)).label("content_bytes")


def _split(keys: Sequence[Row[Any]], size: int) -> Iterator[Sequence[Row[Any]]]:
    """Yields runs of keys that are pages by count and by content."""
    first = total = 0
    for place, key in enumerate(keys):
        total += key.content_bytes
        if place > first and (place - first == size or total > PAGE_BYTES):
            yield keys[first:place]
            first, total = place, key.content_bytes
    yield keys[first:]
