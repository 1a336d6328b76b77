"""The rules of the table: precedence, cut texts, and counts that must not be counted twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bartizan.server.ingest import otlp
from bartizan.server.ingest.semconv import table
from bartizan.server.ingest.span import Dims, SpanRecord

START_NS = 1_790_000_000_000_000_000
IDS = {"trace_id": b"t" * 16, "span_id": b"s" * 8}
TIMES = {"start_time_unix_nano": START_NS, "end_time_unix_nano": START_NS + 1}


def _put(attributes: Any, values: dict[str, Any]) -> None:
    for key, value in values.items():
        attribute = attributes.add(key=key)
        form = {str: "string", int: "int", float: "double", bool: "bool"}[type(value)]
        setattr(attribute.value, f"{form}_value", value)


def _request(attributes: dict[str, Any], resource: dict[str, Any]) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    _put(resource_spans.resource.attributes, resource)
    span = resource_spans.scope_spans.add().spans.add(**IDS, **TIMES)
    _put(span.attributes, attributes)
    return request


def convert(attributes: dict[str, Any], resource: dict[str, Any] | None = None) -> SpanRecord:
    """Returns the record of a span with these attributes."""
    records, _, refused = otlp.convert(_request(attributes, resource or {}), START_NS + 1)
    assert refused == []
    return records[0]


def test_fields_begin_in_the_order_of_dims() -> None:
    dims = list(range(table.FIELDS))[table.DIMS]
    assert dims == [getattr(table, field.upper()) for field in Dims._fields]
    assert set(table.ROWS) == set(range(table.FIELDS)) - {table.STATUS}
    assert len(table.UNKNOWN) == table.FIELDS


def test_the_better_source_wins_in_either_order() -> None:
    pair = {"gen_ai.request.model": "asked", "gen_ai.response.model": "answered"}
    for attributes in (pair, dict(reversed(pair.items()))):
        record = convert(attributes)
        assert record.dims.model == "answered"
        assert record.attributes == {"gen_ai.request.model": "asked"}


def test_sources_that_agree_are_not_kept_twice() -> None:
    record = convert({"llm.model_name": "m", "gen_ai.response.model": "m"})
    assert record.dims.model == "m"
    assert record.attributes == {}


def test_a_span_comes_before_its_resource() -> None:
    record = convert({"user.id": "a"}, {"user.id": "b", "service.name": "svc", "x": 1})
    assert (record.user_id, record.dims.agent) == ("a", "svc")
    assert record.attributes == {"resource.user.id": "b", "resource.x": 1}


def test_a_long_dimension_is_cut_and_the_whole_is_kept() -> None:
    record = convert({"gen_ai.request.model": "m" * 200})
    assert record.dims.model == "m" * 128
    assert record.attributes == {"gen_ai.request.model": "m" * 200}


def test_a_value_of_another_form_stays_an_attribute() -> None:
    record = convert({"gen_ai.usage.input_tokens": "many", "user.id": True})
    assert (record.input_tokens, record.user_id) == (0, "")
    assert record.attributes == {"gen_ai.usage.input_tokens": "many", "user.id": True}


def test_numbers_in_texts_count() -> None:
    record = convert({"gen_ai.usage.input_tokens": "12", "user.id": 7, "gen_ai.usage.cost": "0.5"})
    assert (record.input_tokens, record.user_id, record.cost_amount) == (12, "7", 0.5)


CACHED = {"gen_ai.usage.cache_read.input_tokens": 90, "gen_ai.usage.input_tokens": 100}


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (CACHED, (100, 0, 90, 0, 0)),
        (CACHED | {"gen_ai.usage.input_tokens": 10}, (100, 0, 90, 0, 0)),
        (CACHED | {"gen_ai.usage.cache_creation.input_tokens": 20}, (210, 0, 90, 20, 0)),
        (
            CACHED | {"gen_ai.usage.output_tokens": 5, "gen_ai.usage.total_tokens": 195},
            (190, 5, 90, 0, 0),
        ),
        (
            CACHED | {"gen_ai.usage.output_tokens": 5, "gen_ai.usage.total_tokens": 105},
            (100, 5, 90, 0, 0),
        ),
        (
            {"gen_ai.usage.output_tokens": 5, "gen_ai.usage.reasoning.output_tokens": 50},
            (0, 55, 0, 0, 50),
        ),
        (
            {"llm.token_count.prompt": 10, "llm.token_count.total": 30},
            (10, 20, 0, 0, 0),
        ),
    ],
    ids=["within", "larger", "larger together", "total says", "total denies", "reasoning", "half"],
)
def test_parts_are_never_counted_twice(
    attributes: dict[str, Any], expected: tuple[int, ...]
) -> None:
    assert convert(attributes)[11:16] == expected


def test_a_lone_total_stays_an_attribute() -> None:
    record = convert({"llm.usage.total_tokens": 30})
    assert record[11:16] == (0, 0, 0, 0, 0)
    assert record.attributes == {"llm.usage.total_tokens": 30}


COUNTS = st.none() | st.integers(0, 1000)


@given(st.lists(COUNTS, min_size=6, max_size=6))
def test_parts_are_within_their_whole(counts: list[int | None]) -> None:
    keys = (
        *("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.total_tokens"),
        *(
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.reasoning.output_tokens",
        ),
    )
    sent = {key: count for key, count in zip(keys, counts, strict=True) if count is not None}
    whole_in, whole_out, read, write, reasoning = convert(sent)[11:16]
    assert read + write <= whole_in
    assert reasoning <= whole_out
    assert whole_in >= (counts[0] or 0)
    assert whole_out >= (counts[1] or 0)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.usage.cost": 0.5}, (500_000_000, 0.5, "", 0)),
        (
            {"gen_ai.usage.cost.amount": 2.0, "gen_ai.usage.cost.currency": "eur"},
            (0, 2.0, "EUR", 0),
        ),
        ({"llm.cost.total": 0.0}, (0, 0.0, "USD", 0)),
        ({"llm.cost.prompt": 0.0}, (0, 0.0, "USD", 0)),
        ({"gen_ai.usage.cost.source": "local"}, (0, None, "", 0)),
    ],
)
def test_money(attributes: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert convert(attributes)[16:20] == expected


def test_tags_are_cut_to_what_fits() -> None:
    record = convert({"tag.tags": '["b", "a", "b"]'})
    assert (record.tags, record.attributes) == (["a", "b"], {})
    record = convert({"bartizan.tags": "x" * 200})
    assert record.tags == ["x" * 128]
    assert record.attributes == {"bartizan.tags": "x" * 200}


@pytest.mark.parametrize(
    "content",
    [
        '{"not": "closed"',
        "plain words",
        '[{"role": ["odd"], "content": {"a": 1}}]',
        '[{"role": "user", "parts": [{"type": {"x": 1}}]}]',
        '{"question": "q"}',
        "[[[1]]]",
    ],
)
def test_odd_messages_are_kept_in_one_form_or_another(content: str) -> None:
    record = convert({"gen_ai.input.messages": content})
    assert len(record.input) == 1
    assert record.attributes == {}


def test_a_source_that_says_nothing_gives_way_to_the_next() -> None:
    record = convert(
        {"gen_ai.input.messages": "[]", "input.value": "", "traceloop.entity.input": "hi"}
    )
    assert [message.content for message in record.input] == ["hi"]


def test_a_flattened_path_through_a_value_does_no_harm() -> None:
    record = convert(
        {
            "llm.input_messages.0.message": "x",
            "llm.input_messages.0.message.content": "hi",
            "llm.input_messages.0.message.content.text": "there",
        }
    )
    assert [message.content for message in record.input] == ["hi"]
    assert record.attributes == {
        "llm.input_messages.0.message": "x",
        "llm.input_messages.0.message.content.text": "there",
    }


def test_a_call_that_openinference_tells_twice_is_one() -> None:
    message = "llm.output_messages.0.message"
    call = {"tool_call.id": "t1", "tool_call.function.name": "find"}
    arguments = {"tool_call.function.arguments": '{"a": 1}'}
    parts = {
        f"{message}.contents.0.message_content.type": "text",
        f"{message}.contents.0.message_content.text": "Let me look.",
        f"{message}.contents.1.message_content.type": "tool_use",
    }
    inside = {f"{message}.contents.1.{key}": one for key, one in {**call, **arguments}.items()}
    beside = {f"{message}.tool_calls.0.{key}": one for key, one in {**call, **arguments}.items()}
    role = {f"{message}.role": "assistant"}
    for attributes in ({**role, **parts, **inside, **beside}, {**role, **parts, **inside}):
        record = convert(attributes)
        told = [(one.content, one.name, one.tool_call_id) for one in record.output]
        assert told == [("Let me look.", "", ""), ('{"a": 1}', "find", "t1")]


def test_the_first_token_of_an_event() -> None:
    request = _request({}, {})
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.end_time_unix_nano = START_NS + 10
    for name, after_ns in (("other", 2), ("First Token Stream Event", 5), ("another", 7)):
        span.events.add(name=name, time_unix_nano=START_NS + after_ns)
    (record,), _, refused = otlp.convert(request, START_NS + 10)
    assert (record.first_token_ns, refused) == (5, [])


def test_a_service_that_nobody_has_named_names_no_agent() -> None:
    assert convert({}, {"service.name": "unknown_service:python"}).dims.agent == ""
    assert convert({}, {"service.name": "shop"}).dims.agent == "shop"
