"""Summaries are the sums of what was stored, in whatever order and however often it was sent."""

import asyncio
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import START_NS, make_span
from tests.support.database import project_ids
from tests.support.storing import decision, prepared, store, store_prepared

from bartizan.server.ingest.group import Raced
from bartizan.server.store.clock import from_ns
from bartizan.server.store.sessions import SessionReader
from bartizan.server.store.spans import SpanReader, TraceBounds
from bartizan.server.store.trace_filter import TraceFilter
from bartizan.server.store.traces import TraceReader
from bartizan.v1 import common_pb2

SHARED_DATABASE = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = st.sampled_from(["", "one", "two"])

Span = common_pb2.Span


@st.composite
def batches(draw: st.DrawFn) -> list[list[Span]]:
    """Spans of two traces, some sent again, split into batches."""
    spans = [
        make_span(
            draw(st.integers(1, 2)),
            span_id=f"{number:016x}",
            parent_span_id="" if number == 1 else "00000000000000aa",
            start_ns=START_NS + draw(st.integers(0, 5)) * 1_000,
            status=draw(st.sampled_from([0, 1, 2])),
            agent=draw(WORDS),
            model=draw(WORDS),
            session_id=draw(WORDS),
            user_id=draw(st.sampled_from(["", "u"])),
            tags=draw(st.lists(WORDS)),
            usage=common_pb2.TokenUsage(input=draw(st.integers(0, 9))),
            cost=common_pb2.Cost(amount=draw(st.integers(0, 9))),
        )
        for number in range(1, draw(st.integers(2, 8)))
    ]
    again = draw(st.lists(st.sampled_from(spans), max_size=4))
    sent = draw(st.permutations([*spans, *again]))
    cuts = sorted(draw(st.lists(st.integers(0, len(sent)), max_size=3)))
    return [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


@SHARED_DATABASE
@given(batches())
async def test_traces_and_sessions_add_up(
    shared_engine: AsyncEngine, database_url: str, sent: list[list[Span]]
) -> None:
    project_id = next(project_ids)
    spans: dict[str, Span] = {}
    for batch in filter(None, sent):
        outcome = await store(database_url, project_id, batch)
        new = {span.span_id: span for span in batch if span.span_id not in spans}
        assert (outcome.stored, outcome.duplicate) == (len(new), len(batch) - len(new))
        spans |= new
    traces = await TraceReader(shared_engine, project_id).newest(TraceFilter(), None, 10)
    assert len(traces) == len({span.trace_id for span in spans.values()})
    for trace in traces:
        own = [span for span in spans.values() if span.trace_id == trace.trace_id.hex]
        _check_sums(trace, own)
        assert trace.start_time == min(from_ns(s.start_time.ToNanoseconds()) for s in own)
        assert trace.end_time == max(from_ns(s.end_time.ToNanoseconds()) for s in own)
        assert trace.models == sorted({span.model for span in own} - {""})
        assert trace.tags == sorted({tag for span in own for tag in span.tags} - {""})
        roots = [span for span in own if not span.parent_span_id]
        assert (trace.root_seen, trace.root_status) == (
            (True, roots[0].status) if roots else (False, 0)
        )
    for session_id in ("one", "two"):
        session = await SessionReader(shared_engine, project_id).get(session_id)
        within = [trace.trace_id.hex for trace in traces if trace.session_id == session_id]
        assert (session.trace_count if session else 0) == len(within)
        if session:
            own = [span for span in spans.values() if span.trace_id in within]
            _check_sums(session, own)
            assert session.start_time == min(from_ns(s.start_time.ToNanoseconds()) for s in own)
            assert session.user_id == max(span.user_id for span in own)


def _check_sums(row: Row[Any], spans: list[Span]) -> None:
    assert row.span_count == len(spans)
    assert row.error_count == sum(span.status == 2 for span in spans)
    assert row.input_tokens == sum(span.usage.input for span in spans)
    assert row.cost_nano_usd == sum(int(span.cost.amount) for span in spans) * 10**9
    assert set(row.agents) == {span.agent for span in spans} - {""}


async def test_writers_that_meet_store_everything_once(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    spans = [make_span(n % 3 + 1, span_id=f"{n:016x}", session_id="s") for n in range(1, 31)]

    async def write(batch: list[Span]) -> int:
        for _ in range(50):
            try:
                return (await store(database_url, project_id, batch)).stored
            except Raced:
                continue
        raise AssertionError("raced for ever")

    stored = await asyncio.gather(*(write(spans[n : n + 20]) for n in (0, 10, 5, 0)))
    assert sum(stored) == 30
    traces = await TraceReader(shared_engine, project_id).newest(TraceFilter(), None, 10)
    assert sum(trace.span_count for trace in traces) == 30
    session = await SessionReader(shared_engine, project_id).get("s")
    assert session is not None
    assert (session.trace_count, session.span_count) == (3, 30)


async def test_a_span_that_is_refused_harms_itself_alone(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    spans = [make_span(n % 2 + 1, span_id=f"{n:016x}", session_id="s") for n in range(1, 10)]
    pending = prepared(project_id, spans, {4: [decision("pii.person")]})
    whole = pending.spans[3]
    # The text encoding of the name is broken, which only the database notices.
    pending.spans[3] = whole._replace(span_row=whole.span_row.replace(b"chat", b"ch\xff\xfe"))
    outcome = await store_prepared(database_url, pending, isolate=True)
    assert (outcome.stored, outcome.quarantined, outcome.duplicate) == (8, 1, 0)
    traces = await TraceReader(shared_engine, project_id).newest(TraceFilter(), None, 10)
    assert sum(trace.span_count for trace in traces) == 8
    assert sum(trace.finding_count for trace in traces) == 1
    session = await SessionReader(shared_engine, project_id).get("s")
    assert session is not None
    assert (session.trace_count, session.span_count) == (2, 8)
    outcome = await store_prepared(database_url, pending, isolate=True)
    assert (outcome.stored, outcome.quarantined, outcome.duplicate) == (0, 0, 9)


async def test_spans_are_read_in_windows(
    shared_engine: AsyncEngine, database_url: str, project_id: int, monkeypatch: Any
) -> None:
    monkeypatch.setattr("bartizan.server.store.spans.WINDOW", 7)
    spans = [
        make_span(1, span_id=f"{n + 1:016x}", start_ns=START_NS + n * 37 % 5 * 500)
        for n in range(30)
    ]
    await store(database_url, project_id, spans)
    trace = await TraceReader(shared_engine, project_id).get(UUID(int=1))
    assert trace is not None
    bounds = TraceBounds(trace.trace_id, trace.start_time, trace.end_time)
    reader = SpanReader(shared_engine, project_id)
    ids = [s.span_id async for p in reader.pages(bounds, 4, content=True) for s in p.spans]
    in_order = sorted(spans, key=lambda s: (s.start_time.ToNanoseconds(), s.span_id))
    assert ids == [int(span.span_id, 16) for span in in_order]
