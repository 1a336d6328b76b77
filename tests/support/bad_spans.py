"""Spans that are wrong in one way each, in the native form and in OTLP's."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from tests.support.spans import make_span

from bartizan.v1 import common_pb2

SURROGATE = "surrogate-here"
"""Stands for a lone surrogate, which neither class of span can hold."""
_ENCODED_SURROGATE = b"\xed\xa0\x80".ljust(len(SURROGATE), b"x")
_YEAR_1600_S = -11_676_096_000
_YEAR_2600_S = 19_880_899_200


@dataclass(frozen=True)
class Bad:
    """One way for a span to be wrong, and what is said about it."""

    name: str
    reason: str
    field: str
    spoil: Callable[[Any], object]


def nested(depth: int) -> str:
    """Returns JSON that is nested so deep."""
    return "[" * depth + "]" * depth


def _attribute(key: str, **value: Any) -> Callable[[common_pb2.Span], object]:
    return lambda span: span.attributes.add(key=key, **value)


def _otlp(key: str, **value: Any) -> Callable[[OtlpSpan], object]:
    return lambda span: span.attributes.add(key=key, value=value)


def _set(**fields: Any) -> Callable[[Any], object]:
    def spoil(span: Any) -> None:
        for name, value in fields.items():
            setattr(span, name, value)

    return spoil


def _start(seconds: int) -> Callable[[common_pb2.Span], object]:
    def spoil(span: common_pb2.Span) -> None:
        span.start_time.seconds = seconds
        span.end_time.seconds = seconds + 1

    return spoil


def _nest(span: OtlpSpan) -> None:
    value = span.attributes.add(key="deep").value
    for _ in range(40):
        value = value.array_value.values.add()
    value.string_value = "x"


def _many(span: Any) -> None:
    for number in range(10_000):
        span.attributes.add(key=f"k{number}")


NATIVE = [
    Bad("no trace id", "MISSING", "trace_id", _set(trace_id="")),
    Bad("no span id", "MISSING", "span_id", _set(span_id="")),
    Bad("zero trace id", "MISSING", "trace_id", _set(trace_id="0" * 32)),
    Bad("zero span id", "MISSING", "span_id", _set(span_id="0" * 16)),
    Bad("odd id", "MALFORMED", "parent_span_id", _set(parent_span_id="not hexadecimal.")),
    Bad("end first", "OUT_OF_RANGE", "end_time", lambda s: s.end_time.FromSeconds(1_500_000_000)),
    Bad("year 1600", "OUT_OF_RANGE", "start_time", _start(_YEAR_1600_S)),
    Bad("year 2600", "OUT_OF_RANGE", "start_time", _start(_YEAR_2600_S)),
    Bad("NaN cost", "MALFORMED", "cost.amount", lambda s: _set(amount=float("nan"))(s.cost)),
    Bad("negative tokens", "OUT_OF_RANGE", "usage.output", lambda s: _set(output=-1)(s.usage)),
    Bad("2 G tokens", "OUT_OF_RANGE", "usage.input", lambda s: _set(input=2**31)(s.usage)),
    Bad("NUL", "BAD_TEXT", "input[0].content", lambda s: _set(content="a\0b")(s.input[0])),
    Bad("surrogate in a field", "BAD_TEXT", "user_id", _set(user_id=SURROGATE)),
    Bad(
        "surrogate in a message",
        "BAD_TEXT",
        "output[0].content",
        lambda s: _set(content=SURROGATE)(s.output[0]),
    ),
    Bad(
        "surrogate in an attribute",
        "BAD_TEXT",
        "attributes[0].string_value",
        _attribute("note", string_value=SURROGATE),
    ),
    Bad("10,000 attributes", "TOO_LARGE", "attributes", _many),
    Bad(
        "40-deep JSON",
        "TOO_LARGE",
        "attributes[0].json_value",
        _attribute("deep", json_value=nested(40)),
    ),
    Bad("no JSON", "MALFORMED", "attributes[0].json_value", _attribute("odd", json_value="{")),
    Bad("unknown kind", "UNKNOWN_ENUM", "kind", _set(kind=99)),
    Bad("unknown status", "UNKNOWN_ENUM", "status", _set(status=9)),
    Bad("unknown role", "UNKNOWN_ENUM", "input[0].role", lambda s: _set(role=42)(s.input[0])),
]

OTLP = [
    Bad("no trace id", "MISSING", "trace_id", _set(trace_id=b"")),
    Bad("no span id", "MISSING", "span_id", _set(span_id=b"")),
    Bad("zero trace id", "MISSING", "trace_id", _set(trace_id=bytes(16))),
    Bad("zero span id", "MISSING", "span_id", _set(span_id=bytes(8))),
    Bad("end first", "OUT_OF_RANGE", "end_time", _set(end_time_unix_nano=10**18)),
    Bad("no start", "MISSING", "start_time", _set(start_time_unix_nano=0)),
    # OTLP counts from 1970 to 2554: these are the times beyond which it cannot be wrong.
    Bad("year 1970", "OUT_OF_RANGE", "start_time", _set(start_time_unix_nano=1)),
    Bad(
        "year 2554",
        "OUT_OF_RANGE",
        "start_time",
        _set(start_time_unix_nano=2**64 - 2, end_time_unix_nano=2**64 - 1),
    ),
    Bad(
        "NaN cost",
        "MALFORMED",
        "gen_ai.usage.cost",
        _otlp("gen_ai.usage.cost", double_value=float("nan")),
    ),
    Bad(
        "negative tokens",
        "OUT_OF_RANGE",
        "gen_ai.usage.input_tokens",
        _otlp("gen_ai.usage.input_tokens", int_value=-5),
    ),
    Bad(
        "2 G tokens",
        "OUT_OF_RANGE",
        "llm.token_count.prompt",
        _otlp("llm.token_count.prompt", int_value=2**31),
    ),
    Bad("NUL", "BAD_TEXT", "attributes[0]", _otlp("note", string_value="a\0b")),
    Bad("surrogate in a name", "BAD_TEXT", "name", _set(name=SURROGATE)),
    Bad(
        "surrogate in an attribute",
        "BAD_TEXT",
        "attributes[0]",
        _otlp("note", string_value=SURROGATE),
    ),
    Bad("10,000 attributes", "TOO_LARGE", "attributes", _many),
    Bad("40-deep values", "TOO_LARGE", "attributes[0]", _nest),
    Bad("unknown kind", "UNKNOWN_ENUM", "kind", _set(kind=99)),
    Bad("unknown status", "UNKNOWN_ENUM", "status", lambda s: _set(code=9)(s.status)),
]


def native(bad: Bad, rng: random.Random) -> list[common_pb2.Span]:
    """Returns a good span, a bad one and another good one, of three traces."""
    spans = [make_span(rng) for _ in range(3)]
    bad.spoil(spans[1])
    return spans


def otlp(bad: Bad, rng: random.Random) -> ExportTraceServiceRequest:
    """Returns a request of a good span, a bad one and another good one, of three traces."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    now = time.time_ns()
    for _ in range(3):
        spans.add(
            trace_id=rng.randbytes(16),
            span_id=rng.randbytes(8),
            name="step",
            start_time_unix_nano=now - 2_000_000_000,
            end_time_unix_nano=now - 1_000_000_000,
        )
    bad.spoil(spans[1])
    return request


def as_bytes(request: Any) -> bytes:
    """Returns a request in protobuf, with the lone surrogate in its place."""
    encoded: bytes = request.SerializeToString()
    return encoded.replace(SURROGATE.encode(), _ENCODED_SURROGATE)


def as_json(request: ExportTraceServiceRequest) -> bytes:
    """Returns a request in OTLP's JSON, with the lone surrogate in its place."""
    whole = json_format.MessageToDict(request)
    sent = request.resource_spans[0].scope_spans[0].spans
    for span, plain in zip(sent, whole["resourceSpans"][0]["scopeSpans"][0]["spans"], strict=True):
        # Protobuf's own JSON has them in base64.
        plain["traceId"], plain["spanId"] = span.trace_id.hex(), span.span_id.hex()
    return json.dumps(whole).replace(SURROGATE, "\\ud800").encode()
