"""Spans recorded by hand."""

import logging
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.client import Bartizan, InvalidArgument, Source, Span, Unauthenticated
from bartizan.v1 import common_pb2, trace_pb2

Kind = common_pb2.SpanKind


class Ticks:
    """Ids that count and a clock that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.count = 0
        self.now_ns = 1_700_000_000_000_000_000

    def random_bytes(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size, "big")

    def clock(self) -> int:
        self.now_ns += 1_000_000_000
        return self.now_ns


class Recorder:
    """Stands where a client would send; `bz.span` has the arguments of `Bartizan.span`."""

    def __init__(self) -> None:
        self.sent: list[common_pb2.Span] = []
        ticks = Ticks()
        self.source = Source(ticks.random_bytes, ticks.clock)

    def export(self, spans: Iterable[common_pb2.Span]) -> trace_pb2.Ack:
        self.sent.extend(spans)
        return trace_pb2.Ack(stored=1)

    def span(self, name: str, kind: str = "", **fields: str) -> Span:
        return Span(self.export, self.source, name, kind, fields)


@pytest.fixture
def bz() -> Recorder:
    return Recorder()


def test_the_first_span(bz: Recorder) -> None:
    with bz.span("answer", agent="support-bot", model="gpt-4o") as span:
        span.input("Where is my order?").output("On its way.")
        span.usage(12, 5, cache_read=4).cost(0.001).tag("a", "b")
    (sent,) = bz.sent
    assert (sent.name, sent.agent, sent.model) == ("answer", "support-bot", "gpt-4o")
    assert (sent.kind, sent.status) == (Kind.SPAN_KIND_LLM, common_pb2.STATUS_CODE_OK)
    assert [(m.role, m.content) for m in sent.input] == [
        (common_pb2.ROLE_USER, "Where is my order?")
    ]
    assert [(m.role, m.content) for m in sent.output] == [
        (common_pb2.ROLE_ASSISTANT, "On its way.")
    ]
    assert (sent.usage.input, sent.usage.output, sent.usage.cache_read) == (12, 5, 4)
    assert (sent.trace_id, sent.span_id) == (f"{2:032x}", f"{1:016x}")
    assert sent.end_time.seconds - sent.start_time.seconds == 1


def test_spans_nest(bz: Recorder) -> None:
    with bz.span("run", kind="agent", agent="planner", session_id="s-1") as outer:
        with bz.span("look up", tool_name="search") as inner:
            pass
        with bz.span("hand over", agent="writer"):
            pass
    with bz.span("another"):
        pass
    tool, other, root, alone = bz.sent
    assert tool.parent_span_id == other.parent_span_id == root.span_id == outer.span_id
    assert tool.trace_id == root.trace_id == inner.trace_id
    assert (tool.kind, tool.agent, tool.session_id) == (Kind.SPAN_KIND_TOOL, "planner", "s-1")
    assert other.agent == "writer"
    assert (alone.trace_id != root.trace_id, alone.parent_span_id) == (True, "")
    assert alone.kind == Kind.SPAN_KIND_CHAIN


def test_an_exception_is_recorded_and_goes_on(bz: Recorder) -> None:
    with pytest.raises(ValueError, match="no such order"), bz.span("answer"):
        raise ValueError("no such order")
    (sent,) = bz.sent
    assert sent.status == common_pb2.STATUS_CODE_ERROR
    assert (sent.error_type, sent.status_message) == ("ValueError", "no such order")


def test_attributes_keep_their_types(bz: Recorder) -> None:
    values = {"b": True, "i": 3, "f": 0.5, "s": "x", "j": {"a": [1]}, "n": None, "huge": 2**70}
    with bz.span("answer") as span:
        for key, value in values.items():
            span.attribute(key, value)
    kinds = {one.key: one.WhichOneof("value") for one in bz.sent[0].attributes}
    assert kinds == {
        "b": "bool_value", "i": "int_value", "f": "double_value", "s": "string_value",
        "j": "json_value", "n": "json_value", "huge": "json_value",
    }  # fmt: skip


def test_a_clock_that_is_set_back_ends_no_span_before_its_start(bz: Recorder) -> None:
    times = iter([2_000_000_000, 1_000_000_000])
    bz.source = Source(now_ns=lambda: next(times))
    with bz.span("answer"):
        pass
    assert bz.sent[0].end_time == bz.sent[0].start_time


def test_wrong_words_are_told(bz: Recorder) -> None:
    with pytest.raises(InvalidArgument, match="kind 'robot'"):
        bz.span("answer", kind="robot")
    with pytest.raises(InvalidArgument, match="role 'nobody'"), bz.span("answer") as span:
        span.input("x", role="nobody")


@given(st.text(st.characters(categories=None)))
def test_any_text_can_be_sent(text: str) -> None:
    bz = Recorder()
    with bz.span(text) as span:
        span.input(text)
    content = bz.sent[0].input[0].content
    assert "\0" not in content
    assert len(content) == len(text)
    bz.sent[0].SerializeToString()


def test_a_refused_span_is_told() -> None:
    refused = trace_pb2.RejectedSpan(
        reason=trace_pb2.REJECT_REASON_TOO_LARGE, field="name", detail="has 300 characters"
    )
    span = Span(lambda _: trace_pb2.Ack(rejected=[refused]), Source(), "x", "", {})
    with pytest.raises(InvalidArgument, match="name has 300 characters") as raised, span:
        pass
    assert raised.value.reason == "REJECT_REASON_TOO_LARGE"


def test_the_application_s_exception_wins(endpoint: str, caplog: pytest.LogCaptureFixture) -> None:
    def work(client: Bartizan) -> None:
        with client.span("answer") as span:
            span.input("private words")
            raise KeyError("mine")

    with Bartizan("btz_wrong", endpoint) as client:
        with pytest.raises(Unauthenticated), client.span("answer"):
            pass
        with caplog.at_level(logging.WARNING, "bartizan.client"), pytest.raises(KeyError):
            work(client)
    assert "Unauthenticated" in caplog.text
    assert "private words" not in caplog.text
