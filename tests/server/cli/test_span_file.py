"""Files of spans are read line by line, whatever is in them."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bartizan.server.cli.span_file import BadLine, SpanLine, numbered, read_spans, recognise
from bartizan.server.cli.timeshift import shift_spans
from bartizan.v1 import common_pb2

LINES = st.lists(
    st.binary().map(lambda line: line.replace(b"\n", b"") + b"\n")
    | st.sampled_from([b'{"name": "x"}\n', b"{}\n", b"\n", b'{"resourceSpans": []}\n'])
)


@given(LINES)
def test_no_line_is_lost_or_made_up(lines: list[bytes]) -> None:
    _, again = recognise(numbered(lines))
    assert b"".join(line for _, line in again) == b"".join(line for line in lines if line.strip())


@given(LINES)
def test_every_line_is_a_span_or_told_why_not(lines: list[bytes]) -> None:
    read = list(read_spans(numbered(lines)))
    wanted = [number for number, line in enumerate(lines, 1) if line.strip()]
    assert [one.number for one in read] == wanted
    assert all(isinstance(one, SpanLine) or one.why for one in read)


@given(st.text(min_size=8, alphabet="qxyz"))
def test_what_a_line_says_is_never_told(secret: str) -> None:
    wrong = [{"name": {"x": secret}}, {"kind": secret}, {"input": {"content": secret}}, secret]
    lines = [json.dumps(one).encode() for one in wrong]
    for one in read_spans(numbered(lines)):
        assert isinstance(one, BadLine)
        assert secret not in one.why


@given(st.lists(st.tuples(st.integers(1, 2**60), st.integers(0, 2**40)), min_size=1))
def test_moving_keeps_distances_and_ends_now(times: list[tuple[int, int]]) -> None:
    now_ns = 2**61
    spans = [common_pb2.Span(events=[common_pb2.SpanEvent()]) for _ in times]
    for span, (start_ns, length_ns) in zip(spans, times, strict=True):
        span.start_time.FromNanoseconds(start_ns)
        span.events[0].time.FromNanoseconds(start_ns + length_ns // 2)
        span.end_time.FromNanoseconds(start_ns + length_ns)
    shift_spans(spans, now_ns)
    ends = [span.end_time.ToNanoseconds() for span in spans]
    assert max(ends) == now_ns
    by = now_ns - max(start + length for start, length in times)
    for span, (start_ns, length_ns) in zip(spans, times, strict=True):
        assert span.start_time.ToNanoseconds() == start_ns + by
        assert span.events[0].time.ToNanoseconds() == start_ns + length_ns // 2 + by


def test_moving_leaves_what_cannot_be_moved() -> None:
    far, absent = common_pb2.Span(), common_pb2.Span()
    far.start_time.FromJsonString("9999-12-31T23:59:59Z")
    far.end_time.FromJsonString("2000-01-01T00:00:00Z")
    shift_spans([far, absent], 2**61)
    assert far.start_time.ToJsonString() == "9999-12-31T23:59:59Z"
    assert far.end_time.ToNanoseconds() == 2**61
    assert not absent.HasField("start_time")
