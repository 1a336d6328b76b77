"""Batches of spans, serialized before the clock starts; only ids differ from one use to the next.

A template is a batch of 100 spans in 10 traces, cut where the tag goes that makes its trace ids and
session ids unique. Putting one together costs the client 0.2 µs a span.
"""

import itertools
import os
import random
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2 as otlp_trace
from tests.bench.words import Prose

from bartizan.v1 import common_pb2, trace_pb2

BATCH_SPANS = 100
TRACE_SPANS = 10
TEMPLATES = 64
"""6,400 different spans, 12,800 different texts: about 8 MB."""
TAG = "/-tag-*/"
"""Stands for the end of the trace ids and session ids until it is replaced."""
HEX_TAG = TAG[:6].encode().hex()

NANOS = 1_000_000_000
_Kind = common_pb2.SpanKind
AGENTS = ("support", "planner", "researcher", "billing", "triage", "writer")
MODELS = (
    ("gpt-4o-2024-08-06", "openai"),
    ("gpt-4o-mini", "openai"),
    ("claude-sonnet-4", "anthropic"),
    ("gemini-2.5-flash", "gcp.gemini"),
)
TOOLS = ("search_orders", "read_file", "send_reply", "lookup_customer", "run_query")
SHAPE = (
    (_Kind.SPAN_KIND_AGENT, -1), (_Kind.SPAN_KIND_LLM, 0), (_Kind.SPAN_KIND_TOOL, 0),
    (_Kind.SPAN_KIND_LLM, 0), (_Kind.SPAN_KIND_RETRIEVER, 0), (_Kind.SPAN_KIND_LLM, 0),
    (_Kind.SPAN_KIND_CHAIN, 0), (_Kind.SPAN_KIND_LLM, 6), (_Kind.SPAN_KIND_TOOL, 6),
    (_Kind.SPAN_KIND_LLM, 0),
)  # fmt: skip
"""Kind and parent, by place in the trace."""
OPERATIONS = {
    _Kind.SPAN_KIND_AGENT: "invoke_agent",
    _Kind.SPAN_KIND_LLM: "chat",
    _Kind.SPAN_KIND_TOOL: "execute_tool",
    _Kind.SPAN_KIND_RETRIEVER: "retrieval",
    _Kind.SPAN_KIND_CHAIN: "plan",
}

KINDS = {operation: kind for kind, operation in OPERATIONS.items()}


@dataclass(frozen=True, slots=True)
class Sketch:
    """One span before it takes the form of a contract."""

    trace: bytes
    """What is known of the trace id before the tag."""
    span_id: bytes
    parent_id: bytes
    kind: int
    start_ns: int
    end_ns: int
    failed: bool
    agent: str
    model: str
    provider: str
    tool: str
    user: str
    session: str
    machine: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float
    temperature: float
    asked: str
    answered: str

    @property
    def name(self) -> str:
        """The operation and what it was about."""
        return f"{OPERATIONS[_Kind.ValueType(self.kind)]} {self.model or self.tool or self.agent}"


class NativeBatches:
    """Serialized StreamTracesRequests; no two hold the same trace."""

    def __init__(self, seed: int) -> None:
        self._templates = itertools.cycle([self._cut(batch) for batch in _many(seed)])

    def next(self, seq: int) -> bytes:
        """Returns a batch with new ids and the number `seq`."""
        pieces, size = next(self._templates)
        number = b"\x08" + _varint(seq)
        start = b"".join((b"\x12", _varint(len(number) + size), number, pieces[0]))
        # Random however the texts are seeded: several senders share one server.
        return os.urandom(6).hex().encode().join([start, *pieces[1:]])

    def _cut(self, batch: list[Sketch]) -> tuple[list[bytes], int]:
        body = trace_pb2.SpanBatch(spans=map(native_span, batch)).SerializeToString()
        return body.split(HEX_TAG.encode()), len(body)


class OtlpBatches:
    """Serialized ExportTraceServiceRequests; no two hold the same trace."""

    def __init__(self, seed: int) -> None:
        self._templates = itertools.cycle([self._cut(batch) for batch in _many(seed)])

    def next(self) -> bytes:
        """Returns a batch with new ids."""
        return urlsafe_b64encode(os.urandom(6)).join(next(self._templates))

    def _cut(self, batch: list[Sketch]) -> list[bytes]:
        body: bytes = otlp_request(batch).SerializeToString()
        return body.split(TAG.encode())


def _many(seed: int) -> Iterator[list[Sketch]]:
    prose, layout = Prose(seed), random.Random(seed)
    return (sketches(layout, prose) for _ in range(TEMPLATES))


def sketches(layout: random.Random, prose: Prose) -> list[Sketch]:
    """Returns the spans of one batch, their times just before now."""
    return [
        sketch
        for _ in range(BATCH_SPANS // TRACE_SPANS)
        for sketch in _trace(layout, prose, time.time_ns())
    ]


def _trace(layout: random.Random, prose: Prose, now_ns: int) -> Iterator[Sketch]:
    trace = layout.randbytes(10)
    span_ids = [layout.randbytes(8) for _ in SHAPE]
    agent, user = layout.choice(AGENTS), f"user-{layout.randrange(5_000):05d}"
    session = f"session-{layout.randrange(3)}"
    machine = f"worker-{layout.randrange(4)}"
    length = layout.randrange(2 * NANOS, 20 * NANOS)
    start_ns = now_ns - length
    for place, (kind, parent) in enumerate(SHAPE):
        is_model, is_tool = kind == _Kind.SPAN_KIND_LLM, kind == _Kind.SPAN_KIND_TOOL
        model, provider = layout.choice(MODELS) if is_model else ("", "")
        begin = start_ns + (0 if place == 0 else length * place // (len(SHAPE) + 1))
        tokens = layout.randrange(100, 4_000) if is_model else 0
        yield Sketch(
            trace=trace,
            span_id=span_ids[place],
            parent_id=span_ids[parent] if parent >= 0 else b"",
            kind=kind,
            start_ns=begin,
            end_ns=start_ns + length if place == 0 else begin + length // (len(SHAPE) + 1),
            failed=layout.random() < 0.02,
            agent=agent,
            model=model,
            provider=provider,
            tool=layout.choice(TOOLS) if is_tool else "",
            user=user,
            session=session,
            machine=machine,
            input_tokens=tokens,
            output_tokens=tokens // 4,
            cached_tokens=tokens // 2,
            cost=round(tokens * 0.000004, 6),
            temperature=layout.choice((0.0, 0.2, 0.7)),
            asked=prose.text(),
            answered=prose.text(),
        )


def native_span(one: Sketch) -> common_pb2.Span:
    """Returns a span of the native contract."""
    span = common_pb2.Span(
        trace_id=one.trace.hex() + HEX_TAG,
        span_id=one.span_id.hex(),
        parent_span_id=one.parent_id.hex(),
        name=one.name,
        kind=_Kind.ValueType(one.kind),
        status=common_pb2.STATUS_CODE_ERROR if one.failed else common_pb2.STATUS_CODE_OK,
        error_type="timeout" if one.failed else "",
        model=one.model,
        provider=one.provider,
        agent=one.agent,
        user_id=one.user,
        session_id=f"{one.session}-{HEX_TAG}",
        environment="production",
        machine=one.machine,
        tool_name=one.tool,
        input=[common_pb2.Message(role=common_pb2.ROLE_USER, content=one.asked)],
        output=[common_pb2.Message(role=common_pb2.ROLE_ASSISTANT, content=one.answered)],
    )
    span.start_time.FromNanoseconds(one.start_ns)
    span.end_time.FromNanoseconds(one.end_ns)
    if one.model:
        span.usage.input, span.usage.output = one.input_tokens, one.output_tokens
        span.usage.cache_read = one.cached_tokens
        span.cost.amount = one.cost
        span.attributes.add(key="gen_ai.request.temperature", double_value=one.temperature)
    return span


def otlp_request(batch: list[Sketch]) -> trace_service_pb2.ExportTraceServiceRequest:
    """Returns the same spans as OpenTelemetry's GenAI conventions write them."""
    request = trace_service_pb2.ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in (
        ("service.name", "bench"),
        ("deployment.environment.name", "production"),
        ("host.name", batch[0].machine),
        ("telemetry.sdk.language", "python"),
    ):
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "tests.bench"
    for one in batch:
        span = scope_spans.spans.add(
            trace_id=one.trace[:8] + TAG.encode(),
            span_id=one.span_id,
            parent_span_id=one.parent_id,
            name=one.name,
            start_time_unix_nano=one.start_ns,
            end_time_unix_nano=one.end_ns,
        )
        code = otlp_trace.Status
        span.status.code = code.STATUS_CODE_ERROR if one.failed else code.STATUS_CODE_OK
        for key, text in _otlp_texts(one):
            span.attributes.add(key=key).value.string_value = text
        if one.model:
            for key, count in _otlp_counts(one):
                span.attributes.add(key=key).value.int_value = count
            span.attributes.add(key="gen_ai.usage.cost").value.double_value = one.cost
            span.attributes.add(
                key="gen_ai.request.temperature"
            ).value.double_value = one.temperature
    return request


def _otlp_texts(one: Sketch) -> Iterator[tuple[str, str]]:
    yield "gen_ai.operation.name", OPERATIONS[_Kind.ValueType(one.kind)]
    yield "gen_ai.agent.name", one.agent
    yield "gen_ai.conversation.id", f"{one.session}-{TAG}"
    yield "user.id", one.user
    if one.model:
        yield "gen_ai.provider.name", one.provider
        yield "gen_ai.request.model", one.model
        yield "gen_ai.response.model", one.model
    if one.tool:
        yield "gen_ai.tool.name", one.tool
    if one.failed:
        yield "error.type", "timeout"
    yield "gen_ai.input.messages", _otlp_messages("user", one.asked)
    yield "gen_ai.output.messages", _otlp_messages("assistant", one.answered)


def _otlp_messages(role: str, text: str) -> str:
    parts = [{"type": "text", "content": text}]
    return orjson.dumps([{"role": role, "parts": parts}]).decode()


def _otlp_counts(one: Sketch) -> Iterator[tuple[str, int]]:
    yield "gen_ai.usage.input_tokens", one.input_tokens
    yield "gen_ai.usage.output_tokens", one.output_tokens
    yield "gen_ai.usage.cache_read.input_tokens", one.cached_tokens


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
