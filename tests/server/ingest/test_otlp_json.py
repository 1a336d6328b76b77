"""OTLP JSON says the same as OTLP protobuf."""

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.ingest import otlp, otlp_json, otlp_wire
from bartizan.v1 import trace_pb2

START_NS = 1_790_000_000_000_000_000
IDS = ("traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id")


TEXT = st.text(max_size=20)
VALUES: st.SearchStrategy[AnyValue] = st.recursive(
    st.builds(AnyValue)
    | st.builds(AnyValue, string_value=TEXT)
    | st.builds(AnyValue, bool_value=st.booleans())
    | st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1))
    | st.builds(AnyValue, double_value=st.floats(allow_nan=False))
    | st.builds(AnyValue, bytes_value=st.binary(max_size=8)),
    lambda inner: (
        st.builds(AnyValue, array_value=st.fixed_dictionaries({"values": st.lists(inner)}))
        | st.builds(
            AnyValue,
            kvlist_value=st.fixed_dictionaries(
                {"values": st.lists(st.fixed_dictionaries({"key": TEXT, "value": inner}))}
            ),
        )
    ),
    max_leaves=8,
)
ATTRIBUTES = st.lists(st.fixed_dictionaries({"key": TEXT, "value": VALUES}), max_size=4)
NUMBERS = st.integers(0, 2**64 - 1)
SPANS = st.fixed_dictionaries(
    {
        "trace_id": st.binary(max_size=16),
        "span_id": st.binary(max_size=8),
        "parent_span_id": st.binary(max_size=8),
        "trace_state": TEXT,
        "name": TEXT,
        "kind": st.integers(0, 5),
        "start_time_unix_nano": NUMBERS,
        "end_time_unix_nano": NUMBERS,
        "attributes": ATTRIBUTES,
        "dropped_attributes_count": st.integers(0, 2**32 - 1),
        "events": st.lists(
            st.fixed_dictionaries(
                {"name": TEXT, "time_unix_nano": NUMBERS, "attributes": ATTRIBUTES}
            ),
            max_size=2,
        ),
        "links": st.lists(
            st.fixed_dictionaries({"trace_id": st.binary(max_size=16), "attributes": ATTRIBUTES}),
            max_size=2,
        ),
        "status": st.fixed_dictionaries({"code": st.integers(0, 2), "message": TEXT}),
        "flags": st.integers(0, 2**32 - 1),
    }
)


def _hexed(value: Any) -> Any:
    """Returns protobuf's JSON with the ids as OTLP wants them."""
    if isinstance(value, list):
        return [_hexed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64decode(item).hex() if key in IDS else _hexed(item)
        for key, item in value.items()
    }


@given(st.lists(SPANS, max_size=3), ATTRIBUTES, st.booleans())
def test_what_is_written_as_json_is_read_back(
    spans: list[dict[str, Any]], attributes: list[dict[str, Any]], snake: bool
) -> None:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add(schema_url="u")
    for attribute in attributes:
        resource_spans.resource.attributes.add(**attribute)
    for span in spans:
        resource_spans.scope_spans.add(scope={"name": "s", "attributes": attributes}).spans.add(
            **span
        )
    written = _hexed(json_format.MessageToDict(request, preserving_proto_field_name=snake))

    read = otlp_json.parse_json(json.dumps(written).encode())

    assert ExportTraceServiceRequest.FromString(read.SerializeToString()) == request


def _body(span: dict[str, Any]) -> bytes:
    good = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "eee19b7ec3c1b174",
        "startTimeUnixNano": str(START_NS),
        "endTimeUnixNano": START_NS + 5,
    }
    spans = [good | span, good | {"spanId": "eee19b7ec3c1b175"}]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def _convert(span: dict[str, Any]) -> Any:
    return otlp.convert(otlp_json.parse_json(_body(span)), START_NS + 10)


def test_ids_numbers_and_names_in_their_many_forms() -> None:
    records, _, refused = _convert(
        {
            "kind": "SPAN_KIND_CLIENT",
            "status": {"code": "STATUS_CODE_ERROR"},
            "unknownField": {"x": 1},
            "attributes": [
                {"key": "a", "value": {"intValue": 5}},
                {"key": "b", "value": {"int_value": "-6"}},
                {"key": "c", "value": {"doubleValue": "2.5"}},
                {"key": "d", "value": {"bytesValue": "aGk="}},
                {"key": "e", "value": None},
            ],
        }
    )
    assert refused == []
    assert records[0].trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert records[0].dims.status == 2
    assert records[0].attributes == {
        "a": 5,
        "b": -6,
        "c": 2.5,
        "d": "aGk=",
        "e": None,
        "otel.span.kind": "client",
    }


def _nested(depth: int) -> Any:
    value: Any = {"stringValue": "x"}
    for _ in range(depth - 1):
        value = {"arrayValue": {"values": [value]}}
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"stringValue": "\ud800"}, trace_pb2.REJECT_REASON_BAD_TEXT),
        ({"doubleValue": "NaN"}, trace_pb2.REJECT_REASON_MALFORMED),
        ({"doubleValue": math.nan}, trace_pb2.REJECT_REASON_MALFORMED),
        ({"doubleValue": "-Infinity"}, trace_pb2.REJECT_REASON_MALFORMED),
        (_nested(40), trace_pb2.REJECT_REASON_TOO_LARGE),
        (_nested(200), trace_pb2.REJECT_REASON_TOO_LARGE),
    ],
)
def test_a_bad_value_costs_its_span_only(value: Any, reason: int) -> None:
    _, indexes, refused = _convert({"attributes": [{"key": "k", "value": value}]})
    assert indexes == [1]
    assert [(r.index, r.reason, r.field) for r in refused] == [(0, reason, "attributes[0]")]


def test_a_lone_surrogate_in_a_name_costs_its_span_only() -> None:
    _, indexes, refused = _convert({"name": "\ud800"})
    assert (indexes, refused[0].field) == ([1], "name")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "no JSON"),
        (b"[1]", "must be an object"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b'{"resourceSpans": {}}', "resourceSpans must be a list"),
        (b'{"resourceSpans": [3]}', r"resourceSpans\[0\] must be an object"),
        (_body({"traceId": "W47/95gDgQPSabYzgT/GDA=="}), r"spans\[0\].traceId"),
        (_body({"startTimeUnixNano": "soon"}), "startTimeUnixNano"),
        (_body({"startTimeUnixNano": -1}), "startTimeUnixNano"),
        (_body({"startTimeUnixNano": 2**64}), "startTimeUnixNano"),
        (_body({"kind": "SPAN_KIND_ODD"}), "kind"),
        (_body({"kind": 2**40}), "kind"),
        (_body({"name": 3}), "name"),
        (_body({"attributes": ["x"]}), r"attributes\[0\]"),
        (_body({"attributes": [{"key": 3}]}), r"attributes\[0\]"),
        (_body({"attributes": [{"value": {"boolValue": "yes"}}]}), r"attributes\[0\]"),
        (_body({"attributes": [{"value": {"intValue": True}}]}), r"attributes\[0\]"),
        (_body({"attributes": [{"value": {"intValue": 2**63}}]}), r"attributes\[0\]"),
        (_body({"attributes": [{"value": {"bytesValue": "?"}}]}), r"attributes\[0\]"),
    ],
)
def test_what_is_not_otlp_is_refused_and_says_where(body: bytes, where: str) -> None:
    with pytest.raises(InvalidArgument, match=where):
        otlp_json.parse_json(body)


@given(
    st.recursive(
        st.none() | st.integers() | TEXT,
        lambda i: (
            st.lists(i)
            | st.dictionaries(
                st.sampled_from(
                    ["resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "k"]
                ),
                i,
            )
        ),
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    try:
        request = otlp_json.parse_json(json.dumps(value).encode())
    except InvalidArgument:
        return
    assert isinstance(request, otlp_wire.Request)


def test_responses() -> None:
    response = ExportTraceServiceResponse()
    assert otlp_json.response_json(response) == b"{}"
    response.partial_success.rejected_spans = 2
    response.partial_success.error_message = "why"
    assert json.loads(otlp_json.response_json(response)) == {
        "partialSuccess": {"rejectedSpans": "2", "errorMessage": "why"}
    }
