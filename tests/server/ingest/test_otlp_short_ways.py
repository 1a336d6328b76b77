"""The short ways of reading OTLP attributes say what the decoder and the JSON parser say."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from bartizan.server.ingest import otlp, otlp_wire
from bartizan.server.ingest.batch import Refused
from bartizan.server.ingest.semconv import attributes
from bartizan.server.ingest.span import SpanRecord
from bartizan.v1 import trace_pb2

NOW_NS = 1_790_000_001_000_000_000


def convert(*raws: bytes) -> tuple[list[SpanRecord], list[Refused]]:
    """Returns what becomes of one good span with these encoded attributes."""
    request = otlp_wire.Request()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        start_time_unix_nano=NOW_NS - 10,
        end_time_unix_nano=NOW_NS,
        attributes=raws,
    )
    records, _, refused = otlp.convert(request, NOW_NS)
    return records, refused


def text(key: str, value: str) -> bytes:
    """Returns an encoded attribute."""
    pair = KeyValue(key=key, value=AnyValue(string_value=value))
    return bytes(pair.SerializeToString())


@pytest.mark.parametrize(
    ("rest", "value"),
    [
        (b"\x12\x02\x18\x05", 5),
        (b"\x12\x03\x18\xac\x02", 300),
        (b"\x12\x0a\x18" + b"\xff" * 8 + b"\x7f", 2**63 - 1),
        (b"\x12\x0b\x18" + b"\xff" * 9 + b"\x01", -1),
        (b"\x12\x04\x18\x05\x18\x06", 6),
        (b"\x12\x03\x18\x85\x00", 5),
        (b"\x12\x02\x10\x01", True),
        (b"\x12\x02\x10\x00", False),
        (b"\x12\x09!" + bytes(6) + b"\xf8?", 1.5),
        (b"\x12\x02\x0a\x00", ""),
        (b"\x12\x00", None),
        (b"", None),
        (b"\x12\x02\x18\x05\x12\x02\x18\x06", 6),
    ],
)
def test_values_are_read_as_the_decoder_reads_them(rest: bytes, value: Any) -> None:
    records, refused = convert(b"\x0a\x01k" + rest)
    assert refused == []
    found = records[0].attributes["k"]
    assert (found, type(found)) == (value, type(value))


def test_a_key_sent_twice_is_the_last() -> None:
    records, _ = convert(b"\x0a\x01k\x12\x02\x18\x05\x0a\x01z")
    assert records[0].attributes == {"z": 5}


def test_a_fault_is_named_by_its_place_however_often_it_is_met() -> None:
    for _ in range(2):
        _, refused = convert(b"\x0a\x01k", b"\x0a\x01k\xff\x41")
        assert [(r.field, r.reason) for r in refused] == [
            ("attributes[1]", trace_pb2.REJECT_REASON_MALFORMED)
        ]


WHO = st.sampled_from(["user", "assistant", "system", "tool", "developer", "human", "nobody"])
ENDS = st.sampled_from([None, "stop", "length", "content_filter", "tool_call", "odd"])
SAID = st.text(min_size=100, max_size=300) | st.sampled_from(['"' * 120, "\\" * 120, "é" * 120])


def _listed(role: str, text: str, end: str | None, *, type_first: bool) -> list[Any]:
    pairs = [("type", "text"), ("content", text)]
    message: dict[str, Any] = {"role": role, "parts": [dict(pairs if type_first else pairs[::-1])]}
    return [message | ({"finish_reason": end} if end else {})]


@given(WHO, SAID, ENDS, st.booleans(), st.booleans(), st.booleans())
def test_one_message_known_by_its_frame_is_what_the_parser_makes_of_it(
    role: str, text: str, end: str | None, type_first: bool, compact: bool, ascii_only: bool
) -> None:
    listed = _listed(role, text, end, type_first=type_first)
    separators = (",", ":") if compact else None
    said = json.dumps(listed, separators=separators, ensure_ascii=ascii_only)
    # White space after the list is as good as none, but is no part of any frame.
    assert _messages(said) == _messages(said + " ")


def _messages(said: str) -> Any:
    records, refused = convert(
        text("gen_ai.input.messages", said), text("gen_ai.output.messages", said)
    )
    return [(r.input, r.output, r.attributes) for r in records], refused


def test_a_framed_message_next_to_other_content_stays_whole() -> None:
    said = json.dumps(_listed("user", "x" * 200, None, type_first=True))
    records, _ = convert(
        text("gen_ai.input.messages", said), text("llm.input_messages.0.message.content", "better")
    )
    assert [m.content for m in records[0].input] == ["better"]
    assert records[0].attributes == {"gen_ai.input.messages": said}


def test_what_is_kept_of_attributes_is_bounded() -> None:
    for first in range(0, 2 * attributes.MAX_KNOWN, 4_000):
        convert(*(text(f"k{n % 400}", f"v{first + n}") for n in range(4_000)))
    assert len(attributes._known) <= attributes.MAX_KNOWN
    assert len(attributes._routes) <= attributes.MAX_KNOWN_KEYS
