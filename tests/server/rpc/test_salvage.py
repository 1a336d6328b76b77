"""Requests whose texts are not UTF-8."""

import random
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from tests.support.spans import make_span

from bartizan.server.rpc import salvage
from bartizan.v1 import common_pb2, trace_pb2

MARK = b"\x7fMARK\x7f"
LONE_SURROGATE = b"\xed\xa0\x80"
TEXTS = st.binary(min_size=1, max_size=40)


def with_bytes(request: bytes, raw: bytes) -> bytes:
    """Puts bytes in place of the mark; both are equally long."""
    assert request.count(MARK) == 1
    return request.replace(MARK, raw.ljust(len(MARK), b"."))


def spoiled(**fields: Any) -> common_pb2.Span:
    return make_span(random.Random(1), **fields)


@pytest.mark.parametrize(
    ("span", "path"),
    [
        (spoiled(user_id=MARK.decode()), "user_id"),
        (spoiled(tags=[MARK.decode()]), "tags"),
        (spoiled(attributes=[common_pb2.Attribute(key=MARK.decode())]), "attributes"),
        (spoiled(links=[common_pb2.SpanLink(trace_id=MARK.decode())]), "links"),
    ],
)
def test_only_the_bad_text_is_overwritten(span: common_pb2.Span, path: str) -> None:
    good = make_span(random.Random(2))
    request = trace_pb2.StreamTracesRequest(
        batch=trace_pb2.SpanBatch(seq=7, spans=[good, span, good])
    )
    data = with_bytes(request.SerializeToString(), LONE_SURROGATE)
    found = salvage.parse(trace_pb2.StreamTracesRequest, data)
    assert isinstance(found, trace_pb2.StreamTracesRequest)
    assert found.batch.seq == 7
    assert list(found.batch.spans[::2]) == [good, good]
    bad = found.batch.spans[1]
    assert bytes(len(MARK)) in bad.SerializeToString()
    bad.ClearField(path)  # type: ignore[arg-type]
    span.ClearField(path)  # type: ignore[arg-type]
    assert bad == span


def test_other_messages_are_refused_as_they_are() -> None:
    request = trace_pb2.ListTracesRequest(page_token=MARK.decode())
    data = with_bytes(request.SerializeToString(), LONE_SURROGATE)
    with pytest.raises(DecodeError):
        salvage.parse(trace_pb2.ListTracesRequest, data)


def test_more_fields_than_are_worth_it_are_refused() -> None:
    span = common_pb2.Span(name=MARK.decode(), tags=[""] * salvage.MAX_FIELDS)
    request = trace_pb2.ExportTracesRequest(spans=[span]).SerializeToString()
    with pytest.raises(DecodeError):
        salvage.parse(trace_pb2.ExportTracesRequest, with_bytes(request, LONE_SURROGATE))


@given(st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        found = salvage.parse(trace_pb2.ExportTracesRequest, data)
    except DecodeError:
        return
    assert isinstance(found, trace_pb2.ExportTracesRequest)


@given(TEXTS, st.integers(0, 2))
def test_any_text_costs_its_own_span_at_most(raw: bytes, place: int) -> None:
    spans = [make_span(random.Random(number)) for number in range(3)]
    spans[place].input[0].content = "x" * len(raw) + MARK.decode()
    request = trace_pb2.ExportTracesRequest(spans=spans).SerializeToString()
    data = request.replace(b"x" * len(raw) + MARK, raw + MARK)
    found = salvage.parse(trace_pb2.ExportTracesRequest, data)
    assert isinstance(found, trace_pb2.ExportTracesRequest)
    try:
        expected = raw.decode() + MARK.decode()
    except UnicodeDecodeError:
        expected = ""
    for index, (sent, got) in enumerate(zip(spans, found.spans, strict=True)):
        if index != place:
            assert got == sent
        elif expected:
            assert got.input[0].content == expected
        else:
            assert "\0" in got.input[0].content
