"""Stored spans with their texts, as redaction left them, to be judged again."""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server.ingest.span import ROLE_NAMES, Dims, Event, Link, Message, SpanRecord
from bartizan.server.store.clock import to_ns

PAGE_SPANS = 200
PAGE_TRACES = 500
MAX_TRACE_SPANS = 10_000
"""Of one trace, so that a runaway one does not stand for all."""

_ROLES = {name: number for number, name in ROLE_NAMES.items()}
_DIMS = ", ".join(f"s.{name}" for name in Dims._fields)
_TEXTS = "p.input, p.output, p.attributes, p.events, p.links, p.extra"
_SELECT = f"""
SELECT s.trace_id, s.span_id, s.start_time, s.name, s.user_id, s.session_id, s.tags, {_DIMS},
    p.trace_id IS NOT NULL AS has_texts, {_TEXTS}
FROM unnest((:traces)::uuid[], (:spans)::bigint[], (:times)::timestamptz[])
    AS k (trace_id, span_id, start_time)
JOIN spans AS s ON s.trace_id = k.trace_id AND s.span_id = k.span_id
    AND s.project_id = :project AND s.start_time = k.start_time
LEFT JOIN span_payloads AS p ON p.trace_id = k.trace_id AND p.span_id = k.span_id
    AND p.project_id = :project AND p.start_time = k.start_time
"""
_KEYS = f"""
SELECT s.trace_id, s.span_id, s.start_time
FROM unnest((:traces)::uuid[]) WITH ORDINALITY AS k (trace_id, place)
CROSS JOIN LATERAL (
    SELECT * FROM spans WHERE spans.trace_id = k.trace_id AND spans.project_id = :project
    LIMIT {MAX_TRACE_SPANS}
) AS s
ORDER BY k.place
"""
_TRACES = """
SELECT trace_id, start_time, span_count FROM traces
WHERE project_id = :project AND start_time >= :start AND start_time < :end
    AND ((:before)::timestamptz IS NULL OR (start_time, trace_id) < (:before, :before_trace))
    AND mod(abs(hashtextextended(trace_id::text, 0) % 1000000), :nth) = 0
ORDER BY start_time DESC, trace_id DESC LIMIT :limit
"""
_TOTAL = """
SELECT coalesce(sum(span_count), 0)::bigint FROM traces
WHERE project_id = :project AND start_time >= :start AND start_time < :end
"""


class SpanKey(NamedTuple):
    """What a span of a project is found by."""

    trace_id: UUID
    span_id: int
    start_time: datetime


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One span. `record` has its texts, and no numbers; `has_texts` is False if none are stored."""

    key: SpanKey
    record: SpanRecord
    has_texts: bool


class History:
    """Reads stored spans of one project."""

    def __init__(self, engine: AsyncEngine, project_id: int) -> None:
        self._engine = engine
        self._project_id = project_id

    async def total(self, start: datetime, end: datetime) -> int:
        """Returns how many spans the traces have that began from `start` to before `end`."""
        rows = await self._rows(_TOTAL, start=start, end=end)
        return int(rows[0][0])

    async def pages(
        self, start: datetime, end: datetime, nth: int
    ) -> AsyncGenerator[Sequence[StoredSpan], None]:
        """Yields the spans of every `nth` trace, the newest traces first, some spans at a time."""
        last: Row[Any] | None = None
        while True:
            before = {"before": last and last.start_time, "before_trace": last and last.trace_id}
            traces = await self._rows(
                _TRACES, start=start, end=end, nth=nth, limit=PAGE_TRACES, **before
            )
            for group in _groups(traces):
                keys = await self._rows(_KEYS, traces=[row.trace_id for row in group])
                for first in range(0, len(keys), PAGE_SPANS):
                    part = keys[first : first + PAGE_SPANS]
                    yield await self.spans(
                        [SpanKey(one.trace_id, one.span_id, one.start_time) for one in part]
                    )
            if len(traces) < PAGE_TRACES:
                return
            last = traces[-1]

    async def spans(self, keys: Sequence[SpanKey]) -> Sequence[StoredSpan]:
        """Returns those of the spans that are there, in the order of the keys."""
        traces, spans, times = zip(*keys, strict=True) if keys else ((), (), ())
        rows = await self._rows(_SELECT, traces=list(traces), spans=list(spans), times=list(times))
        found = {span.key: span for span in map(_span, rows)}
        return [found[key] for key in keys if key in found]

    async def _rows(self, query: str, **values: Any) -> Sequence[Row[Any]]:
        async with self._engine.connect() as connection:
            found = await connection.execute(text(query), {"project": self._project_id, **values})
            return list(found)


def _groups(traces: Sequence[Row[Any]]) -> Iterator[Sequence[Row[Any]]]:
    """Yields runs of traces with some spans together."""
    group: list[Row[Any]] = []
    spans = 0
    for trace in traces:
        if group and spans + trace.span_count > PAGE_SPANS:
            yield group
            group, spans = [], 0
        group.append(trace)
        spans += trace.span_count
    if group:
        yield group


def _span(row: Row[Any]) -> StoredSpan:
    extra = _load(row.extra) or {}
    cost = extra.get("cost") or {}
    record = SpanRecord(
        trace_id=row.trace_id.bytes,
        span_id=row.span_id.to_bytes(8, "big", signed=True),
        parent_span_id=b"",
        start_ns=to_ns(row.start_time),
        end_ns=0,
        name=row.name,
        dims=Dims(*(getattr(row, name) for name in Dims._fields)),
        user_id=row.user_id,
        session_id=row.session_id,
        status_message=extra.get("status_message", ""),
        tags=row.tags,
        input_tokens=0,
        output_tokens=0,
        cache_read_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_nano_usd=0,
        cost_amount=None,
        cost_currency=cost.get("currency", ""),
        cost_source=0,
        price_table=cost.get("price_table", ""),
        first_token_ns=0,
        input=_messages(row.input),
        output=_messages(row.output),
        attributes=_load(row.attributes) or {},
        events=[
            Event(one["name"], one["time_ns"], one["attributes"]) for one in _load(row.events) or ()
        ],
        links=[Link(b"", b"", one["attributes"]) for one in _load(row.links) or ()],
    )
    return StoredSpan(SpanKey(row.trace_id, row.span_id, row.start_time), record, row.has_texts)


def _messages(part: str | None) -> list[Message]:
    return [_message(one) for one in _load(part) or ()]


def _message(one: Mapping[str, Any]) -> Message:
    return Message(
        _ROLES[one["role"]],
        one["content"],
        one.get("name", ""),
        one.get("tool_call_id", ""),
        one.get("mime_type", ""),
        one.get("truncated", False),
    )


def _load(part: str | None) -> Any:
    return orjson.loads(part) if part else None
