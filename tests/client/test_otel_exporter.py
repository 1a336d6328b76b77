"""The exporter for people who have OpenTelemetry already."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExportResult,
)
from opentelemetry.trace import Link, StatusCode
from tests.client.instrumenting import Seen, decode

from bartizan.client._otel.exporter import MAX_SPANS, SpanExporter
from bartizan.client._record import OTLP, Record
from bartizan.client._recording.redaction import make_redactor
from bartizan.client._recording.values import MAX_CHARS

SECRET = "sk-abc123"
MASK = "[REDACTED]"


class Sink:
    """Takes records, and notes for how long it was asked to flush."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.flushes: list[float] = []

    def flush(self, timeout_s: float) -> bool:
        self.flushes.append(timeout_s)
        return True

    @property
    def seen(self) -> list[Seen]:
        return [span for record in self.records for span in decode(record)]


@pytest.fixture
def sink() -> Sink:
    return Sink()


def exporter(sink: Sink, **settings: Any) -> SpanExporter:
    if "redact" in settings:
        settings["redact"] = make_redactor(settings["redact"])
    return SpanExporter(sink.records.append, sink.flush, **settings)


@pytest.fixture
def plain(sink: Sink) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter(sink)))
    yield provider
    provider.shutdown()


def recorded(attributes: dict[str, Any], name: str = "step") -> ReadableSpan:
    """Returns one span that has a text in every place where one can be."""
    provider = TracerProvider(
        resource=Resource({"service.name": f"shop {SECRET}"}), shutdown_on_exit=False
    )
    tracer = provider.get_tracer("shop", attributes={"scope": SECRET})
    other = tracer.start_span("other")
    link = Link(other.get_span_context(), {"why": SECRET})
    with tracer.start_as_current_span(name, attributes=attributes, links=[link]) as span:
        span.add_event(f"event {SECRET}", {"text": SECRET})
        span.record_exception(ValueError(SECRET))
        span.set_status(StatusCode.ERROR, f"failed with {SECRET}")
    assert isinstance(span, ReadableSpan)
    return span


def sent(sink: Sink, span: ReadableSpan, **settings: Any) -> bytes:
    assert exporter(sink, **settings).export([span]) is SpanExportResult.SUCCESS
    return sink.records[-1].encode()


def test_spans_come_out_as_they_went_in(sink: Sink, plain: TracerProvider) -> None:
    tracer = plain.get_tracer("shop")
    attributes: dict[str, Any] = {"count": 3, "tags": ["a", "b"]}
    root = tracer.start_as_current_span("root", attributes=attributes)
    with root as top, tracer.start_as_current_span("leaf") as leaf:
        leaf.add_event("tick", {"ok": True})
    child, parent = sink.seen
    assert (child.name, child.parent_id) == ("leaf", f"{top.get_span_context().span_id:016x}")
    assert child.events == [("tick", {"ok": True})]
    assert parent.attributes == {"count": 3, "tags": ["a", "b"]}
    assert parent.trace_id == child.trace_id == f"{top.get_span_context().trace_id:032x}"
    assert [(record.kind, record.spans) for record in sink.records] == [(OTLP, 1)] * 2


def test_a_record_knows_about_how_large_it_is(sink: Sink) -> None:
    encoded = sent(sink, recorded({"input.value": "x" * 100_000, "many": ["y" * 1_000] * 20}))
    assert len(encoded) / 2 < sink.records[0].size < len(encoded) * 2


def test_large_exports_are_split(sink: Sink) -> None:
    spans = [recorded({})] * (2 * MAX_SPANS + 1)
    exporter(sink).export(spans)
    assert [record.spans for record in sink.records] == [MAX_SPANS, MAX_SPANS, 1]
    exporter(sink).export([])
    assert len(sink.records) == 3


def test_requests_may_be_joined(sink: Sink) -> None:
    class Joined:
        kind, spans, size = OTLP, 2, 0

        def encode(self) -> bytes:
            return sent(sink, recorded({}, "one")) + sent(sink, recorded({}, "two"))

    assert [span.name for span in decode(Joined())] == ["one", "two"]


def test_every_text_is_redacted(sink: Sink) -> None:
    attributes = {
        "input.value": json.dumps({"deep": [{"text": f"my key is {SECRET}"}]}),
        "list": [SECRET, "fine"],
        "metadata.key": SECRET,
        "count": 7,
    }
    encoded = sent(sink, recorded(attributes, f"step {SECRET}"), redact=["sk-[a-z0-9]+"])
    assert SECRET.encode() not in encoded
    (span,) = sink.seen
    assert span.name == f"step {MASK}"
    assert span.message == f"failed with {MASK}"
    assert json.loads(span["input.value"]) == {"deep": [{"text": f"my key is {MASK}"}]}
    assert (span["list"], span["metadata.key"], span["count"]) == ([MASK, "fine"], MASK, 7)
    assert [name for name, _ in span.events] == [f"event {MASK}", "exception"]


def test_escapes_in_json_hide_nothing(sink: Sink) -> None:
    value = json.dumps({"name": "José Ñandú"})
    assert "José" not in value
    encoded = sent(sink, recorded({"input.value": value}), redact=["José Ñandú"])
    assert b"Jos" not in encoded


def test_a_pattern_may_span_keys_and_values(sink: Sink) -> None:
    pattern = r'"password": "[^"]*"'
    sent(sink, recorded({"input.value": '{"password":"hunter2"}'}), redact=[pattern])
    assert sink.seen[0]["input.value"] == f"{{{MASK}}}"


@given(
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    nested=st.sampled_from(["text", "json", "json in json", "list"]),
)
def test_no_secret_gets_past_redaction(before: str, after: str, nested: str) -> None:
    sink, text = Sink(), f"{before}{SECRET}{after}"
    value: Any = {
        "text": text,
        "json": json.dumps([{"text": text}]),
        "json in json": json.dumps({"arguments": json.dumps({"text": text})}),
        "list": [text, text],
    }[nested]
    encoded = sent(sink, recorded({"output.value": value, "other": 1}), redact=[SECRET])
    assert SECRET.encode() not in encoded


def test_a_redaction_that_fails_withholds(sink: Sink) -> None:
    def fail(text: str) -> str:
        raise ValueError(text)

    assert SECRET.encode() not in sent(sink, recorded({"input.value": SECRET}), redact=fail)


CONTENT = {
    "gen_ai.input.messages": "",
    "gen_ai.output.messages": "",
    "gen_ai.system_instructions": "",
    "gen_ai.tool.call.arguments": "",
    "gen_ai.tool.call.result": "",
    "input.value": "",
    "output.value": "",
    "llm.input_messages.0.message.content": "",
    "llm.prompts.0.text": "",
    "llm.output_messages.0.message.content": "",
    "gen_ai.prompt.0.content": "",
    "gen_ai.completion.0.content": "",
    "retrieval.documents.0.document.content": "",
    "traceloop.entity.input": "",
    "traceloop.entity.output": "",
    "gen_ai.prompt": "",
    "llm.prompt_template.variables": "",
    "embedding.embeddings.0.embedding.text": "",
}


def test_content_can_be_left_out(sink: Sink) -> None:
    attributes = {**dict.fromkeys(CONTENT, SECRET), "llm.model_name": "m", "count": 7}
    span = recorded(attributes)
    sent(sink, span, capture_content=False)
    (seen,) = sink.seen
    assert seen.attributes == {"llm.model_name": "m", "count": 7}
    assert seen.message == ""
    assert seen.events[1] == (
        "exception",
        {"exception.type": "ValueError", "exception.escaped": "False"},
    )


def test_events_that_are_messages_are_content(sink: Sink, plain: TracerProvider) -> None:
    with plain.get_tracer("shop").start_as_current_span("chat") as span:
        span.add_event("gen_ai.user.message", {"content": SECRET, "role": "user"})
    assert isinstance(span, ReadableSpan)
    assert SECRET.encode() not in sent(sink, span, capture_content=False)


def test_odd_values_do_not_lose_a_span(sink: Sink, plain: TracerProvider) -> None:
    attributes: dict[str, Any] = {
        "surrogate": "a\ud800b",
        "nul": "a\0b",
        "huge": 2**80,
        "nan": float("nan"),
        "bytes": b"\xff\xfe",
        "json": '{"deep":' * 5_000,
        "mixed": [1, 2],
    }
    plain.get_tracer("shop").start_span("odd\ud800", attributes=attributes).end()
    (span,) = sink.seen
    assert (span.name, span["surrogate"], span["nul"]) == (
        "odd?",
        "a?b",
        "a\N{REPLACEMENT CHARACTER}b",
    )
    assert span["huge"] == str(2**80)
    assert span["mixed"] == [1, 2]


def test_long_texts_are_cut(sink: Sink) -> None:
    encoded = sent(sink, recorded({"output.value": "x" * 50_000_000}))
    assert len(encoded) < MAX_CHARS + 10_000
    assert "characters cut" in sink.seen[0]["output.value"]


def test_a_failure_never_reaches_the_application(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> Any:
        raise RuntimeError("full")

    broken = SpanExporter(fail, fail)
    assert broken.export([recorded({})]) is SpanExportResult.FAILURE
    assert broken.force_flush(1_000) is False
    broken.shutdown()


def test_flush_and_shutdown_go_to_the_client(sink: Sink) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter(sink)))
    provider.get_tracer("shop").start_span("step").end()
    provider.shutdown()
    assert [span.name for span in sink.seen] == ["step"]
    assert exporter(sink).force_flush(2_500)
    assert sink.flushes == [5.0, 2.5]


@pytest.mark.parametrize(
    "missing", ["opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.common.trace_encoder"]
)
def test_a_missing_package_is_named_with_its_remedy(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "bartizan.client._otel.exporter")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'pip install "bartizan-client\[otel\]"'):
        import bartizan.client._otel.exporter  # noqa: F401
