"""The native door takes what is right and refuses what is wrong, one span at a time."""

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.spans import make_span

from bartizan.server.ingest.checks import Rejection
from bartizan.server.ingest.native import NativeConverter
from bartizan.server.ingest.span import SpanRecord
from bartizan.v1 import common_pb2, trace_pb2

NOW_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
Reason = trace_pb2.RejectReason


def span_at(**fields: object) -> common_pb2.Span:
    return make_span(random.Random(1), start_ns=NOW_NS - SECOND_NS, **fields)


def record_of(span: common_pb2.Span) -> SpanRecord:
    return NativeConverter().record(span, NOW_NS)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def set_times(start_s: int, end_s: int) -> Callable[[common_pb2.Span], None]:
    def change(span: common_pb2.Span) -> None:
        span.start_time.seconds = start_s
        span.end_time.seconds = end_s

    return change


def many_attributes(span: common_pb2.Span) -> None:
    for number in range(10_000):
        span.attributes.add(key=f"k{number}", int_value=number)


def change(**fields: object) -> Callable[[common_pb2.Span], None]:
    def set_fields(span: common_pb2.Span) -> None:
        for name, value in fields.items():
            setattr(span, name, value)

    return set_fields


BAD = [
    (change(trace_id=""), "MISSING", "trace_id"),
    (change(trace_id="0" * 32), "MISSING", "trace_id"),
    (change(trace_id="g" * 32), "MALFORMED", "trace_id"),
    (change(trace_id="ab " * 10 + "ab"), "MALFORMED", "trace_id"),
    (change(span_id=""), "MISSING", "span_id"),
    (change(span_id="0" * 16), "MISSING", "span_id"),
    (change(parent_span_id="xyz"), "MALFORMED", "parent_span_id"),
    (lambda s: s.ClearField("start_time"), "MISSING", "start_time"),
    (lambda s: s.ClearField("end_time"), "MISSING", "end_time"),
    (set_times(NOW_NS // SECOND_NS, NOW_NS // SECOND_NS - 9), "OUT_OF_RANGE", "end_time"),
    (set_times(-11_676_096_000, -11_676_095_000), "OUT_OF_RANGE", "start_time"),
    (set_times(19_880_899_200, 19_880_899_300), "OUT_OF_RANGE", "start_time"),
    (set_times(NOW_NS // SECOND_NS - 40 * 86_400, NOW_NS // SECOND_NS), "OUT_OF_RANGE", "end_time"),
    (lambda s: setattr(s.cost, "amount", math.nan), "MALFORMED", "cost.amount"),
    (lambda s: setattr(s.cost, "amount", math.inf), "MALFORMED", "cost.amount"),
    (lambda s: setattr(s.cost, "amount", -0.1), "OUT_OF_RANGE", "cost.amount"),
    (lambda s: setattr(s.cost, "currency", "usd"), "MALFORMED", "cost.currency"),
    (lambda s: setattr(s.cost, "source", 9), "UNKNOWN_ENUM", "cost.source"),
    (lambda s: setattr(s.usage, "input", -1), "OUT_OF_RANGE", "usage.input"),
    (lambda s: setattr(s.usage, "output", 2_000_000_000), "OUT_OF_RANGE", "usage.output"),
    (lambda s: setattr(s.usage, "cache_read", 1), "OUT_OF_RANGE", "usage.cache_read"),
    (change(name="a\0b"), "BAD_TEXT", "name"),
    (change(agent="a\0b"), "BAD_TEXT", "agent"),
    (lambda s: s.input.add(role=2, content="a\0b"), "BAD_TEXT", "input[1].content"),
    (lambda s: s.input.add(role=77, content="a"), "UNKNOWN_ENUM", "input[1].role"),
    (change(kind=99), "UNKNOWN_ENUM", "kind"),
    (change(status=99), "UNKNOWN_ENUM", "status"),
    (change(name="n" * 257), "TOO_LARGE", "name"),
    (change(user_id="n" * 257), "TOO_LARGE", "user_id"),
    (lambda s: s.tags.extend(str(n) for n in range(33)), "TOO_LARGE", "tags"),
    (many_attributes, "TOO_LARGE", "attributes"),
    (
        lambda s: s.attributes.add(key="deep", json_value=nested(40)),
        "TOO_LARGE",
        "attributes[0].json_value",
    ),
    (
        lambda s: s.attributes.add(key="odd", json_value="{"),
        "MALFORMED",
        "attributes[0].json_value",
    ),
    (
        lambda s: s.attributes.add(key="nan", double_value=math.nan),
        "MALFORMED",
        "attributes[0].double_value",
    ),
    (lambda s: s.events.add(name=""), "MISSING", "events[0].name"),
    (lambda s: s.links.add(trace_id="1"), "MALFORMED", "links[0].trace_id"),
    (change(time_to_first_token_ns=-1), "OUT_OF_RANGE", "time_to_first_token_ns"),
]


@pytest.mark.parametrize(("spoil", "reason", "field"), BAD)
def test_bad_span_is_refused_with_reason_and_field(
    spoil: Callable[[common_pb2.Span], object], reason: str, field: str
) -> None:
    span = span_at()
    spoil(span)
    with pytest.raises(Rejection) as refusal:
        record_of(span)
    assert Reason.Name(refusal.value.reason) == f"REJECT_REASON_{reason}"
    assert refusal.value.field == field


def test_bad_span_leaves_its_neighbours_alone() -> None:
    spans = [span_at() for _ in range(600)]
    spans[3].trace_id = ""
    spans[500].name = "\0"
    records, indexes, refused = [], [], []
    for part in NativeConverter().slices(spans, NOW_NS):
        records += part[0]
        indexes += part[1]
        refused += part[2]
    assert [r.index for r in refused] == [3, 500]
    assert indexes == [n for n in range(600) if n not in (3, 500)]
    assert len(records) == 598


def test_detail_holds_no_content() -> None:
    span = span_at(name="secret-name" * 40)
    with pytest.raises(Rejection) as refusal:
        record_of(span)
    assert "secret" not in str(refusal.value)


def test_dimensions_that_were_refused_once_are_refused_again() -> None:
    converter = NativeConverter()
    span = span_at(agent="a" * 129)
    for _ in range(2):
        with pytest.raises(Rejection, match="agent"):
            converter.record(span, NOW_NS)


def test_roles_default_by_direction() -> None:
    span = span_at()
    span.ClearField("input")
    span.ClearField("output")
    span.input.add(content="q")
    span.output.add(content="a")
    record = record_of(span)
    assert record.input[0].role == common_pb2.ROLE_USER
    assert record.output[0].role == common_pb2.ROLE_ASSISTANT


@given(
    st.floats(0, 1_000_000, allow_nan=False),
    st.sampled_from(["", "USD", "EUR"]),
)
def test_only_dollars_count_as_money(amount: float, currency: str) -> None:
    span = span_at(cost=common_pb2.Cost(amount=amount, currency=currency))
    record = record_of(span)
    expected = 0 if currency == "EUR" else round(amount * 1_000_000_000)
    assert record.cost_nano_usd == expected
    assert record.cost_amount == amount


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
        max_size=32,
    )
)
def test_tags_are_sorted_and_once_each(tags: list[str]) -> None:
    assert record_of(span_at(tags=tags)).tags == sorted({tag for tag in tags if tag})
