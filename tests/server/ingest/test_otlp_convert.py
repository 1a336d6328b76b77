"""OTLP requests, good and bad: one bad span is refused by itself."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.ingest import otlp, otlp_wire
from bartizan.server.ingest.batch import Refused
from bartizan.v1 import trace_pb2

START_NS = 1_790_000_000_000_000_000
NOW_NS = START_NS + 10**9
DAY_NS = 24 * 3600 * 10**9
Reason = trace_pb2.RejectReason


def request_of(*changes: dict[str, Any]) -> ExportTraceServiceRequest:
    """Returns a request with one good span for each entry, changed as it says."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    for number, change in enumerate(changes, 1):
        fields: dict[str, Any] = {
            "trace_id": b"t" * 16,
            "span_id": number.to_bytes(8, "big"),
            "name": "op",
            "start_time_unix_nano": START_NS,
            "end_time_unix_nano": START_NS + 10**6,
        }
        spans.add(**(fields | change))
    return request


def refusal(change: dict[str, Any]) -> Refused:
    """Returns why the changed span is refused; checks that its neighbours are not."""
    records, indexes, refused = otlp.convert(request_of({}, change, {}), NOW_NS)
    assert indexes == [0, 2]
    assert [r.span_id[-1] for r in records] == [1, 3]
    (found,) = refused
    assert found.index == 1
    return found


def nested(depth: int) -> AnyValue:
    """Returns a value of that many levels."""
    value = AnyValue(string_value="x")
    for _ in range(depth - 1):
        outer = AnyValue()
        outer.array_value.values.append(value)
        value = outer
    return value


def attribute(value: AnyValue | None = None, key: str = "k", **plain: Any) -> dict[str, Any]:
    """Returns the change that gives a span one attribute."""
    return {"attributes": [{"key": key, "value": value or AnyValue(**plain)}]}


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"trace_id": b""}, "MISSING", "trace_id"),
        ({"trace_id": bytes(16)}, "MISSING", "trace_id"),
        ({"trace_id": b"short"}, "MALFORMED", "trace_id"),
        ({"span_id": bytes(8)}, "MISSING", "span_id"),
        ({"parent_span_id": b"x"}, "MALFORMED", "parent_span_id"),
        ({"start_time_unix_nano": 0}, "MISSING", "start_time"),
        ({"start_time_unix_nano": 1}, "OUT_OF_RANGE", "start_time"),
        ({"end_time_unix_nano": 0}, "MISSING", "end_time"),
        ({"end_time_unix_nano": START_NS - 1}, "OUT_OF_RANGE", "end_time"),
        ({"end_time_unix_nano": START_NS + 31 * DAY_NS}, "OUT_OF_RANGE", "end_time"),
        ({"start_time_unix_nano": 2**64 - 2**32}, "OUT_OF_RANGE", "start_time"),
        ({"name": "a\0b"}, "BAD_TEXT", "name"),
        ({"kind": 9}, "UNKNOWN_ENUM", "kind"),
        ({"status": {"code": 7}}, "UNKNOWN_ENUM", "status"),
        ({"status": {"message": "\0"}}, "BAD_TEXT", "status_message"),
        (attribute(string_value="a\0b"), "BAD_TEXT", "attributes[0]"),
        (attribute(key="a\0b", int_value=1), "BAD_TEXT", "attributes[0]"),
        (attribute(key="k" * 257, int_value=1), "TOO_LARGE", "attributes[0]"),
        (attribute(nested(33)), "TOO_LARGE", "attributes[0]"),
        (attribute(nested(40)), "TOO_LARGE", "attributes[0]"),
        (attribute(double_value=math.nan), "MALFORMED", "attributes[0]"),
        (
            attribute(key="gen_ai.usage.cost", double_value=math.nan),
            "MALFORMED",
            "gen_ai.usage.cost",
        ),
        (
            attribute(key="gen_ai.usage.input_tokens", int_value=-1),
            "OUT_OF_RANGE",
            "gen_ai.usage.input_tokens",
        ),
        (
            attribute(key="llm.token_count.prompt", int_value=2 * 10**9),
            "OUT_OF_RANGE",
            "llm.token_count.prompt",
        ),
        (
            attribute(key="gen_ai.usage.cost.currency", string_value="dollars"),
            "MALFORMED",
            "gen_ai.usage.cost.currency",
        ),
        (
            attribute(
                key="gen_ai.input.messages",
                string_value='[{"role":"user","parts":[{"type":"text","content":"\\u0000"}]}]',
            ),
            "BAD_TEXT",
            "input",
        ),
        (
            attribute(key="gen_ai.output.messages", string_value='[{"content":"\\ud800"}]'),
            "BAD_TEXT",
            "output",
        ),
        (attribute(key="tag.tags", string_value='["a\\u0000"]'), "BAD_TEXT", "tag.tags"),
        ({"attributes": [{"key": f"k{i}"} for i in range(10_000)]}, "TOO_LARGE", "attributes"),
        ({"attributes": [{"key": f"k{i}"} for i in range(513)]}, "TOO_LARGE", "attributes"),
        ({"events": [{"name": "e"}] * 257}, "TOO_LARGE", "events"),
        ({"events": [{"name": "e", "time_unix_nano": 2**63}]}, "OUT_OF_RANGE", "events[0].time"),
        (
            {"events": [{"attributes": [{"key": "k", "value": {"string_value": "\0"}}]}]},
            "BAD_TEXT",
            "events[0].attributes[0]",
        ),
        ({"links": [{"trace_id": b"x"}]}, "MALFORMED", "links[0].trace_id"),
        ({"links": [{}] * 129}, "TOO_LARGE", "links"),
    ],
)
def test_a_bad_span_is_refused_by_itself(change: dict[str, Any], reason: str, field: str) -> None:
    found = refusal(change)
    assert (Reason.Name(found.reason), found.field) == (f"REJECT_REASON_{reason}", field)
    assert "a\0b" not in found.detail


def test_text_that_is_not_utf8_costs_its_span_only() -> None:
    body = request_of({}, attribute(string_value="MARK"), {"name": "MARK"}).SerializeToString()
    broken = otlp_wire.parse(body.replace(b"MARK", b"\xed\xa0\x80x"))
    records, _, refused = otlp.convert(broken, NOW_NS)
    assert len(records) == 1
    assert [(r.index, r.field) for r in refused] == [(1, "attributes[0]"), (2, "name")]
    assert {r.reason for r in refused} == {Reason.REJECT_REASON_BAD_TEXT}


def _wire(tag: int, body: bytes) -> bytes:
    size = len(body)
    width = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([tag]) + width + body


def test_a_value_too_deep_for_the_decoder_costs_its_span_only() -> None:
    value = _wire(0x0A, b"x")
    for _ in range(60):
        value = _wire(0x2A, _wire(0x0A, value))
    request = otlp_wire.loose(request_of({}, {}, {}))
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[0].attributes.append(_wire(0x0A, b"k") + _wire(0x12, value))
    spans[1].attributes.append(b"\xff\xff")
    records, _, refused = otlp.convert(request, NOW_NS)
    assert len(records) == 1
    assert [r.reason for r in refused] == [
        Reason.REJECT_REASON_TOO_LARGE,
        Reason.REJECT_REASON_MALFORMED,
    ]


def test_bad_resource_and_scope_refuse_their_spans() -> None:
    request = request_of({}, {})
    request.resource_spans[0].resource.attributes.add(key="k").value.double_value = math.inf
    good = request.resource_spans.add()
    good.CopyFrom(request_of({}).resource_spans[0])
    good.scope_spans.add().CopyFrom(request_of({}).resource_spans[0].scope_spans[0])
    good.scope_spans[1].scope.name = "a\0b"
    _, indexes, refused = otlp.convert(request, NOW_NS)
    assert indexes == [2]
    assert [(r.index, r.field) for r in refused] == [
        (0, "resource.attributes[0]"),
        (1, "resource.attributes[0]"),
        (3, "otel.scope.name"),
    ]


def test_a_zero_parent_is_a_root() -> None:
    records, _, _ = otlp.convert(request_of({"parent_span_id": bytes(8)}), NOW_NS)
    assert records[0].parent_span_id == b""


def test_long_names_are_cut_and_kept() -> None:
    change = {"name": "n" * 300, "status": {"message": "m" * 9000}}
    records, _, _ = otlp.convert(request_of(change), NOW_NS)
    assert (len(records[0].name), len(records[0].status_message)) == (256, 8192)
    assert records[0].attributes == {
        "otel.span.name": "n" * 300,
        "otel.status_description": "m" * 9000,
    }


def test_equal_spans_of_equal_attributes_share_their_dims() -> None:
    change = attribute(key="gen_ai.request.model", string_value="m")
    records, _, _ = otlp.convert(request_of(change, change), NOW_NS)
    assert records[0].dims is records[1].dims


def test_slices_are_the_whole() -> None:
    request = request_of(*[{"trace_id": b""} if n % 3 == 0 else {} for n in range(10)])
    parts = list(otlp.slices(request, NOW_NS, 4))
    assert [part.spans for part in parts] == [4, 4, 2]
    assert [index for part in parts for index in part.indexes] == [1, 2, 4, 5, 7, 8]
    assert [r.index for part in parts for r in part.refused] == [0, 3, 6, 9]


def test_resources_without_spans_do_not_hold_the_caller() -> None:
    request = ExportTraceServiceRequest()
    for _ in range(10):
        request.resource_spans.add()
    assert len(list(otlp.slices(request, NOW_NS, 4))) == 3


def test_logs_and_metrics_are_told_from_traces() -> None:
    logs = ExportLogsServiceRequest()
    record = (
        logs.resource_logs.add()
        .scope_logs.add()
        .log_records.add(time_unix_nano=START_NS, trace_id=b"t" * 16, span_id=b"s" * 8)
    )
    record.body.string_value = "a line"
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="requests")
    metric.sum.data_points.add(as_int=1, time_unix_nano=START_NS)
    for export, signal in ((logs, "logs"), (metrics, "metrics")):
        with pytest.raises(InvalidArgument, match=f"/v1/{signal}") as caught:
            otlp.convert(otlp_wire.parse(export.SerializeToString()), NOW_NS)
        assert caught.value.reason == "NOT_TRACES"


def test_spans_without_ids_are_refused_one_by_one() -> None:
    _, _, refused = otlp.convert(request_of({"trace_id": b""}, {"span_id": b""}), NOW_NS)
    assert [r.field for r in refused] == ["trace_id", "span_id"]


def test_what_the_sdk_sends_comes_whole() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "svc", "host.name": "h"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("scope", "1.0")
    context = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    with tracer.start_as_current_span("chat m", kind=SpanKind.CLIENT, links=[Link(context)]) as s:
        s.set_attribute("gen_ai.request.model", "m")
        s.set_attribute("gen_ai.usage.input_tokens", 3)
        s.set_attribute("tag.tags", ["b", "a"])
        s.add_event("note", {"x": 1.5})
        s.set_status(Status(StatusCode.ERROR, "broken"))
    sent = exporter.get_finished_spans()
    request = encode_spans(sent)
    provider.shutdown()

    ((record,), _, refused) = otlp.convert(request, sent[0].end_time or 0)

    assert refused == []
    assert record.span_id == sent[0].context.span_id.to_bytes(8, "big")
    assert (record.start_ns, record.end_ns) == (sent[0].start_time, sent[0].end_time)
    assert record.dims == ("svc", "", "m", "", "h", "", "", "", 1, 2)
    assert (record.status_message, record.tags, record.input_tokens) == ("broken", ["a", "b"], 3)
    assert [(e.name, e.attributes) for e in record.events] == [("note", {"x": 1.5})]
    assert [link.trace_id.hex() for link in record.links] == ["0" * 31 + "1"]
    assert record.attributes["otel.scope.name"] == "scope"


KEYS = st.sampled_from(
    [
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"),
        *("gen_ai.prompt.0.content", "llm.input_messages.0.message.tool_calls.0.tool_call.id"),
        *("llm.input_messages.0.message.contents.0.message_content.text", "input.value"),
        *("retrieval.documents.0.document.content", "gen_ai.retrieval.documents", "tag.tags"),
        *("gen_ai.operation.name", "traceloop.entity.name", "gen_ai.usage.cost", "user.id"),
        *("gen_ai.usage.input_tokens", "gen_ai.response.time_to_first_chunk", "tool.id"),
        *("gen_ai.tool.call.arguments", "output.mime_type", "output.value", "other"),
    ]
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text()
    | st.binary(max_size=8)
    | st.sampled_from(["chat", "agent", "[]", "{}", '[{"role":"user","parts":[null, "x", 3]}]'])
    | st.sampled_from(['[{"content":[{"type":"tool_use","input":{}}],"tool_calls":[1,{}]}]', '["'])
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "content", "type", "tool_calls", "id", "k"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def any_value(value: Any) -> AnyValue:
    """Returns a plain value as OTLP has it."""
    result = AnyValue()
    match value:
        case bool():
            result.bool_value = value
        case int():
            result.int_value = value
        case float():
            result.double_value = value
        case str():
            result.string_value = value
        case bytes():
            result.bytes_value = value
        case list():
            result.array_value.values.extend(map(any_value, value))
            result.array_value.SetInParent()
        case dict():
            result.kvlist_value.SetInParent()
            for key, item in value.items():
                result.kvlist_value.values.add(key=key, value=any_value(item))
    return result


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(KEYS, VALUES), max_size=8), st.lists(st.tuples(KEYS, VALUES), max_size=3))
def test_any_attributes_are_taken_or_refused(
    pairs: list[tuple[str, Any]], event: list[tuple[str, Any]]
) -> None:
    listed = [{"key": key, "value": any_value(value)} for key, value in pairs]
    in_event = [{"key": key, "value": any_value(value)} for key, value in event]
    change = {
        "attributes": listed,
        "events": [
            {"name": name, "attributes": in_event}
            for name in ("gen_ai.choice", "gen_ai.user.message")
        ],
    }
    records, _, refused = otlp.convert(request_of(change), NOW_NS)
    assert len(records) + len(refused) == 1


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_taken_or_refused(attribute: bytes, name: bytes) -> None:
    request = otlp_wire.loose(request_of({}))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.append(attribute)
    span.name = name
    records, _, refused = otlp.convert(request, NOW_NS)
    assert len(records) + len(refused) == 1


@given(st.text(max_size=300), st.sampled_from(["user.id", "input.value", "k", "gen_ai.prompt"]))
def test_the_short_way_reads_what_the_decoder_reads(text: str, key: str) -> None:
    records, _, refused = otlp.convert(request_of(attribute(key=key, string_value=text)), NOW_NS)
    if "\0" in text:
        assert refused
    else:
        record = records[0]
        told = [record.user_id, *(m.content for m in record.input), *record.attributes.values()]
        assert text in told
