"""The OpenTelemetry SDK as a user sets it up, and what its spans ought to look like afterwards."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.support.serving import Serving

from bartizan.v1 import common_pb2

RESOURCE = {
    "service.name": "shop",
    "service.version": "1.2",
    "deployment.environment.name": "staging",
    "host.name": "till-4",
}
TYPED_RESOURCE = ("deployment.environment.name", "host.name")
"""Attributes of the resource that are fields of a span, and nothing else of it."""


def provider(serving: Serving, protocol: str, patch: pytest.MonkeyPatch) -> TracerProvider:
    """Returns a provider that exports to a server by the two environment variables of the README.

    `protocol` is "grpc" or "http". `shutdown` sends what is left.
    """
    door, exporter = (
        (serving.grpc, GrpcExporter) if protocol == "grpc" else (serving.http, HttpExporter)
    )
    patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{door}")
    patch.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{serving.key}")
    made = TracerProvider(resource=Resource.create(RESOURCE))
    made.add_span_processor(BatchSpanProcessor(exporter()))
    return made


def messages(role: str, *texts: str) -> str:
    """Returns messages in the form of the GenAI semantic conventions."""
    parts = [{"type": "text", "content": text} for text in texts]
    return json.dumps([{"role": role, "parts": parts}])


def expected(span: ReadableSpan, kept: Iterable[str], **typed: Any) -> common_pb2.Span:
    """Returns a span of the contract for one of the SDK.

    Args:
        kept: keys of those attributes that fill no field and so stay attributes.
        typed: the fields that the other attributes fill, and further attributes.
    """
    assert span.attributes is not None
    attributes = {
        f"resource.{key}": value
        for key, value in span.resource.attributes.items()
        if key not in TYPED_RESOURCE and (key, value) != ("service.name", typed.get("agent"))
    }
    scope = span.instrumentation_scope
    assert scope is not None
    attributes |= {"otel.scope.name": scope.name, "otel.scope.version": scope.version or ""}
    attributes |= {f"scope.{key}": value for key, value in (scope.attributes or {}).items()}
    attributes |= {key: span.attributes[key] for key in kept} | typed.pop("attributes", {})
    made = common_pb2.Span(
        trace_id=f"{span.context.trace_id:032x}",
        span_id=f"{span.context.span_id:016x}",
        parent_span_id=f"{span.parent.span_id:016x}" if span.parent else "",
        name=span.name,
        environment="staging",
        machine="till-4",
        attributes=_attributes(attributes),
        **{"usage": common_pb2.TokenUsage(), **typed},
    )
    assert span.start_time is not None
    assert span.end_time is not None
    made.start_time.FromNanoseconds(span.start_time)
    made.end_time.FromNanoseconds(span.end_time)
    _add_events_and_links(made, span)
    return in_order(made)


def in_order(span: common_pb2.Span) -> common_pb2.Span:
    """Returns a copy whose attributes are sorted by key: their order says nothing."""
    copy = common_pb2.Span()
    copy.CopyFrom(span)
    copy.attributes.sort(key=lambda attribute: attribute.key)
    return copy


def _add_events_and_links(made: common_pb2.Span, span: ReadableSpan) -> None:
    for event in span.events:
        added = made.events.add(name=event.name, attributes=_attributes(event.attributes or {}))
        added.time.FromNanoseconds(event.timestamp)
    for link in span.links:
        made.links.add(
            trace_id=f"{link.context.trace_id:032x}",
            span_id=f"{link.context.span_id:016x}",
            attributes=_attributes(link.attributes or {}),
        )


def _attributes(values: Mapping[str, Any]) -> list[common_pb2.Attribute]:
    return [_attribute(key, value) for key, value in values.items()]


def _attribute(key: str, value: Any) -> common_pb2.Attribute:
    match value:
        case bool():
            return common_pb2.Attribute(key=key, bool_value=value)
        case int():
            return common_pb2.Attribute(key=key, int_value=value)
        case float():
            return common_pb2.Attribute(key=key, double_value=value)
        case str():
            return common_pb2.Attribute(key=key, string_value=value)
    plain = json.dumps(list(value), separators=(",", ":"), ensure_ascii=False)
    return common_pb2.Attribute(key=key, json_value=plain)
