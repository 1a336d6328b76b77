"""Our spans and OpenTelemetry's in one trace, in both directions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from tests.client.instrumenting import Watched

from bartizan.client._otel import bridge
from bartizan.client._otel.exporter import SpanExporter
from bartizan.client._otel.provider import Provider
from bartizan.client._recording import context as recording
from bartizan.client._recording.scopes import Continued, Session


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(recording, "bridge", None)
    bridge.install()
    return Watched()


@pytest.fixture
def tracer(watched: Watched) -> Iterator[trace.Tracer]:
    """What an application has that sends its OpenTelemetry spans to Bartizan."""
    provider = TracerProvider(shutdown_on_exit=False)
    exporter = SpanExporter(watched.recorder.put, lambda _: True)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("shop")
    provider.shutdown()


def elsewhere(sampler: Sampler) -> tuple[trace.Tracer, InMemorySpanExporter]:
    """What an application has that sends its OpenTelemetry spans to another back end."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider.get_tracer("other"), kept


def test_spans_nest_in_both_directions(watched: Watched, tracer: trace.Tracer) -> None:
    with watched.span("a"), tracer.start_as_current_span("b"), watched.span("c"):
        with tracer.start_as_current_span("d"):
            pass
        with watched.span("e"), watched.span("f"):
            pass
    assert watched.tree() == {"a": "", "b": "a", "c": "b", "d": "c", "e": "c", "f": "e"}
    assert len({span.trace_id for span in watched.seen}) == 1


def test_a_span_below_opentelemetry_takes_over_what_ours_above_says(
    watched: Watched, tracer: trace.Tracer
) -> None:
    scope = recording.Scope({"session_id": "s-1"})
    with (
        Session("s-1", scope),
        watched.span("a", agent="bot"),
        tracer.start_as_current_span("b"),
        watched.span("c") as inner,
    ):
        assert inner.shared == {"session_id": "s-1", "agent": "bot"}
        assert inner.tags == ()


def test_siblings_do_not_become_children(watched: Watched, tracer: trace.Tracer) -> None:
    with watched.span("a"):
        pass
    with tracer.start_as_current_span("b"):
        pass
    with watched.span("c"):
        pass
    assert watched.tree() == {"a": "", "b": "", "c": ""}


async def test_spans_nest_in_tasks(watched: Watched, tracer: trace.Tracer) -> None:
    async def work(name: str) -> None:
        with tracer.start_as_current_span(f"otel {name}"):
            await asyncio.sleep(0)
            with watched.span(f"ours {name}"):
                await asyncio.sleep(0)

    with watched.span("root"):
        await asyncio.gather(work("1"), work("2"))
    assert watched.tree() == {
        "root": "",
        "otel 1": "root",
        "otel 2": "root",
        "ours 1": "otel 1",
        "ours 2": "otel 2",
    }


def test_a_parent_in_another_process_is_the_parent(watched: Watched) -> None:
    ids = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(ids)), watched.span("a") as span:
        assert (span.trace_id, span.parent_span_id) == ("1".zfill(32), "2".zfill(16))


def test_a_trace_that_is_continued_goes_on_in_opentelemetry(watched: Watched) -> None:
    provider = Provider(watched.recorder)
    upstream = recording.Remote("1".zfill(32), "2".zfill(16), True)
    library = provider.get_tracer("library")
    with Continued(upstream), library.start_as_current_span("call"), watched.span("ours"):
        pass
    ours, call = watched.seen
    assert (call.trace_id, call.parent_id) == (upstream.trace_id, upstream.span_id)
    assert (ours.trace_id, ours.parent_id) == (upstream.trace_id, call.span_id)


def test_a_trace_that_is_continued_unsampled_stays_so(watched: Watched) -> None:
    provider = Provider(watched.recorder)
    upstream = recording.Remote("1".zfill(32), "2".zfill(16), False)
    library = provider.get_tracer("library")
    with Continued(upstream), library.start_as_current_span("call"), watched.span("ours"):
        pass
    assert watched.records == []


def test_what_another_back_end_does_not_sample_is_recorded_here(watched: Watched) -> None:
    other, _ = elsewhere(ALWAYS_OFF)
    with other.start_as_current_span("request"), watched.span("a"):
        pass
    assert watched.one.parent_id == ""


@pytest.mark.usefixtures("watched")
def test_what_is_not_sampled_here_is_recorded_in_another_back_end() -> None:
    other, kept = elsewhere(ParentBased(ALWAYS_ON))
    unsampled = Watched(sample_rate=0.0)
    with (
        unsampled.span("a"),
        other.start_as_current_span("request"),
        unsampled.span("b") as inner,
        other.start_as_current_span("query"),
    ):
        assert not inner.sampled
    query, request = kept.get_finished_spans()
    assert unsampled.records == []
    assert (request.parent, _parent(query)) == (None, request.context.span_id)


def test_a_span_that_was_open_before_the_bridge_stays_the_parent(
    monkeypatch: pytest.MonkeyPatch, tracer: trace.Tracer, watched: Watched
) -> None:
    monkeypatch.setattr(recording, "bridge", None)
    with tracer.start_as_current_span("request"), watched.span("a"):
        bridge.install()
        with watched.span("b"):
            pass
    assert watched.tree() == {"request": "", "a": "", "b": "a"}


async def test_leaving_in_another_context_is_silent(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    async def chunks() -> AsyncIterator[int]:
        with watched.span("stream"):
            yield 1
            yield 2

    stream = chunks()

    async def first() -> int:
        return await anext(stream)

    with caplog.at_level(logging.DEBUG):
        assert await asyncio.create_task(first()) == 1
        assert [chunk async for chunk in stream] == [2]
    assert not caplog.records
    assert watched.one.name == "stream"
    assert not trace.get_current_span().get_span_context().is_valid


def _parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id
