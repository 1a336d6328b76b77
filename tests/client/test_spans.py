"""Spans recorded by hand."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.recording import SECOND_NS, Recording, attributes

from bartizan.client import Source, Span
from bartizan.client._recording.recorder import Recorder
from bartizan.v1 import common_pb2

Kind = common_pb2.SpanKind


@pytest.fixture
def bz() -> Recording:
    return Recording()


def test_the_first_span(bz: Recording) -> None:
    with bz.span("answer", agent="support-bot", model="gpt-4o") as span:
        span.set_input("Where is my order?").set_output("On its way.")
        span.set_usage(12, 5, cache_read=4).set_cost(0.001, price_table="2026-11").add_tags(
            "b", "a", "b"
        )
    sent = bz.only
    assert (sent.name, sent.agent, sent.model) == ("answer", "support-bot", "gpt-4o")
    assert (sent.kind, sent.status) == (Kind.SPAN_KIND_LLM, common_pb2.STATUS_CODE_OK)
    assert [(one.role, one.content) for one in sent.input] == [
        (common_pb2.ROLE_USER, "Where is my order?")
    ]
    assert [(one.role, one.content) for one in sent.output] == [
        (common_pb2.ROLE_ASSISTANT, "On its way.")
    ]
    assert (sent.usage.input, sent.usage.output, sent.usage.cache_read) == (12, 5, 4)
    assert (sent.cost.amount, sent.cost.currency) == (0.001, "USD")
    assert (sent.cost.source, sent.cost.price_table) == (common_pb2.COST_SOURCE_LOCAL, "2026-11")
    assert list(sent.tags) == ["a", "b"]
    assert (sent.trace_id, sent.span_id) == (f"{2:032x}", f"{1:016x}")
    assert sent.end_time.seconds > sent.start_time.seconds


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "CHAIN"),
        ({"model": "m"}, "LLM"),
        ({"tool_name": "t"}, "TOOL"),
        ({"agent": "a"}, "AGENT"),
        ({"kind": "retriever"}, "RETRIEVER"),
        ({"kind": "Workflow"}, "WORKFLOW"),
        ({"kind": "robot"}, "UNSPECIFIED"),
    ],
)
def test_the_kind_follows_from_what_is_known(
    bz: Recording, fields: dict[str, str], kind: str
) -> None:
    bz.span("x", **fields).end()
    assert Kind.Name(bz.only.kind) == f"SPAN_KIND_{kind}"


def test_a_tool_is_named_after_its_span(bz: Recording) -> None:
    bz.span("search", kind="tool").set_input({"q": "x"}).set_output(["a"]).end()
    sent = bz.only
    assert sent.tool_name == "search"
    assert (sent.input[0].role, sent.output[0].role) == (
        common_pb2.ROLE_TOOL_CALL,
        common_pb2.ROLE_TOOL_RESULT,
    )
    assert (sent.input[0].content, sent.input[0].mime_type) == ('{"q": "x"}', "application/json")


def test_spans_nest(bz: Recording) -> None:
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
    assert (alone.trace_id != root.trace_id, alone.parent_span_id, alone.agent) == (True, "", "")
    assert alone.kind == Kind.SPAN_KIND_CHAIN


def test_a_span_without_a_block_is_nobody_s_parent(bz: Recording) -> None:
    first = bz.span("first")
    bz.span("second").end()
    first.end()
    assert [one.parent_span_id for one in bz.sent] == ["", ""]


def test_an_exception_is_recorded_and_goes_on(bz: Recording) -> None:
    error = ValueError("no such order")
    with pytest.raises(ValueError, match="no such order") as raised, bz.span("answer"):
        raise error
    assert raised.value is error
    sent = bz.only
    assert sent.status == common_pb2.STATUS_CODE_ERROR
    assert (sent.error_type, sent.status_message) == ("ValueError", "no such order")
    (event,) = sent.events
    assert event.name == "exception"
    assert "test_spans.py" in event.attributes[1].string_value


def test_a_failure_without_an_exception(bz: Recording) -> None:
    bz.span("answer").set_error("rate_limit", "asked too often").end()
    assert (bz.only.error_type, bz.only.status_message) == ("rate_limit", "asked too often")


def test_an_exception_that_cannot_be_printed(bz: Recording) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text either")

    with pytest.raises(Odd), bz.span("answer"):
        raise Odd
    assert (bz.only.error_type, bz.only.status_message) == ("Odd", "")


def test_attributes_keep_their_types(bz: Recording) -> None:
    nan = float("nan")
    values = {"b": True, "i": 3, "f": 0.5, "s": "x", "j": {"a": [1]}, "n": None, "nan": nan}
    bz.span("answer").set_attributes({**values, "huge": 2**70}).end()
    assert attributes(bz.only) == {
        "b": True, "i": 3, "f": 0.5, "s": "x", "j": '{"a": [1]}', "n": None, "nan": "nan",
        "huge": str(2**70),
    }  # fmt: skip


def test_events_and_the_first_token(bz: Recording) -> None:
    span = bz.span("answer")
    span.first_token().first_token().add_event("retry", attempt=2).end()
    sent = bz.only
    assert sent.time_to_first_token_ns > 0
    (event,) = sent.events
    assert (event.name, event.attributes[0].int_value) == ("retry", 2)
    assert event.time.seconds > sent.start_time.seconds


def test_times_can_be_told() -> None:
    recording = Recording()
    span = Span(recording.recorder, "old", "", {}, 5 * SECOND_NS)
    span.end(7 * SECOND_NS)
    assert (recording.only.start_time.seconds, recording.only.end_time.seconds) == (5, 7)


def test_a_clock_that_is_set_back_ends_no_span_before_its_start() -> None:
    records: list[Span] = []
    elapsed = iter([20, 10])
    source = Source(now_ns=lambda: 2 * SECOND_NS, elapsed_ns=lambda: next(elapsed))
    with Span(Recorder(records.append, source, {}), "answer", "", {}):  # type: ignore[arg-type]
        pass
    assert records[0].end_ns == records[0].start_ns


def test_nothing_changes_after_the_end(bz: Recording) -> None:
    span = bz.span("answer").set_output("first").end()
    span.set_output("second").set_input("late").set_attribute("a", 1).set_error("late").end()
    assert len(bz.records) == 1
    assert bz.only.output[0].content == "first"
    assert (bz.only.status, len(bz.only.attributes)) == (common_pb2.STATUS_CODE_OK, 0)


def test_numbers_that_the_server_would_refuse_are_mended(bz: Recording) -> None:
    span = bz.span("answer")
    span.set_usage("many", -3, cache_read=9, reasoning=float("nan"))  # type: ignore[arg-type]
    span.set_cost(float("inf")).end()
    sent = bz.only
    assert (sent.usage.input, sent.usage.output, sent.usage.cache_read) == (0, 0, 0)
    assert not sent.HasField("cost")


def test_what_is_too_long_is_cut(bz: Recording) -> None:
    span = bz.span("n" * 1_000, agent="a" * 1_000, user_id="u" * 1_000)
    span.add_tags(*(f"{number:0200}" for number in range(50))).set_output("o" * 50_000_000)
    span.set_attributes({f"key {number}": number for number in range(1_000)}).end()
    sent = bz.only
    assert (len(sent.name), len(sent.agent), len(sent.user_id)) == (256, 128, 256)
    assert (len(sent.tags), len(sent.attributes)) == (1, 512)
    assert "characters cut" in sent.output[0].content
    assert len(sent.output[0].content) < 300_000


@pytest.mark.parametrize("value", [None, 7, b"x", object(), SimpleNamespace(a=1)])
def test_a_name_that_is_no_text_does_no_harm(bz: Recording, value: object) -> None:
    span = bz.span(value)  # type: ignore[arg-type]
    span.add_tags(value).set_error(value, value).end()  # type: ignore[arg-type]
    assert bz.only.name


@given(st.text(st.characters(categories=None)))
def test_any_text_can_be_sent(text: str) -> None:
    bz = Recording()
    bz.span(text, user_id=text).set_input(text).set_attribute(text, text).add_tags(text).end()
    bz.only.SerializeToString()
    for content in [one.content for one in bz.only.input]:
        assert "\0" not in content
        assert len(content) == len(text)


def test_content_can_be_left_out() -> None:
    bz = Recording(capture_content=False)
    with pytest.raises(ValueError), bz.span("answer") as span:
        span.set_input("private").set_output("private").set_usage(1, 2)
        raise ValueError("private")
    assert "private" not in str(bz.only)
    assert (bz.only.error_type, bz.only.usage.input) == ("ValueError", 1)


def test_what_everything_has_in_common() -> None:
    bz = Recording(shared={"agent": "bot", "environment": "test"}, tags=("beta",))
    with bz.span("outer"), bz.span("inner", agent="other"):
        pass
    inner, outer = bz.sent
    assert (inner.agent, inner.environment, list(inner.tags)) == ("other", "test", [])
    assert (outer.agent, outer.environment, list(outer.tags)) == ("bot", "test", ["beta"])
    assert outer.kind == Kind.SPAN_KIND_CHAIN


def test_a_conversation_becomes_messages(bz: Recording) -> None:
    arguments = json.dumps({"order": "A-1"})
    bz.span("chat", model="m").set_input(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Where?"}, {"type": "image"}]},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "function": {"name": "find", "arguments": arguments}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "Oslo"},
        ]
    ).set_output({"role": "assistant", "content": "In Oslo."}).end()
    told = [
        (common_pb2.Role.Name(one.role)[5:], one.content, one.name, one.tool_call_id)
        for one in bz.only.input
    ]
    assert told == [
        ("SYSTEM", "Be brief.", "", ""),
        ("USER", "Where?", "", ""),
        ("USER", '{"type": "image"}', "", ""),
        ("TOOL_CALL", arguments, "find", "c1"),
        ("TOOL_RESULT", "Oslo", "", "c1"),
    ]
    assert [(one.role, one.content) for one in bz.only.output] == [
        (common_pb2.ROLE_ASSISTANT, "In Oslo.")
    ]


def test_anthropic_s_parts_become_messages(bz: Recording) -> None:
    bz.span("chat", model="m").set_input(
        [
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "t1", "name": "find", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "Oslo"}]},
        ]
    ).end()  # fmt: skip
    call, result = bz.only.input
    assert (call.role, call.name, call.content) == (common_pb2.ROLE_TOOL_CALL, "find", '{"a": 1}')
    assert (result.role, result.tool_call_id) == (common_pb2.ROLE_TOOL_RESULT, "t1")


def test_documents_become_messages(bz: Recording) -> None:
    found = [{"page_content": "a passage", "id": "d1"}, "another", {"score": 1}]
    bz.span("search", kind="retriever").set_output(found).end()
    assert [(one.content, one.name) for one in bz.only.output] == [
        ("a passage", "d1"), ("another", ""), ('{"score": 1}', ""),
    ]  # fmt: skip
    assert {one.role for one in bz.only.output} == {common_pb2.ROLE_RETRIEVED}


def test_a_role_can_be_told(bz: Recording) -> None:
    bz.span("x").set_input("rules", role="system").set_output("text", role="nobody").end()
    assert bz.only.input[0].role == common_pb2.ROLE_SYSTEM
    assert bz.only.output[0].role == common_pb2.ROLE_ASSISTANT
