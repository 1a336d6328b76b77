"""Instrumented libraries without a network to Bartizan: what ends is decoded again."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from tests.client.recording import Recording

from bartizan.client._otel.instrument import process
from bartizan.client._record import SPAN, Record
from bartizan.client._recording import context
from bartizan.client._recording.scopes import Session
from bartizan.v1 import common_pb2

OK, ERROR = 1, 2


@dataclass(frozen=True)
class Seen:
    """A span as it leaves, of ours or of OpenTelemetry's, with its ids as hexadecimal digits."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    status: int
    message: str
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    library: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.attributes[key]


class Watched(Recording):
    """A recorder whose spans of both kinds can be looked at."""

    def session(self, id: str, *, user: str, tags: list[str], metadata: dict[str, Any]) -> Session:
        """Does what `Bartizan.session` does."""
        shared = {"session_id": id, "user_id": user}
        return Session(id, context.Scope(shared, tuple(tags), metadata))

    @property
    def raw(self) -> bytes:
        """All that would be sent."""
        return b"".join(record.encode() for record in self.records)

    @property
    def seen(self) -> list[Seen]:
        """All spans, in the order of their ends."""
        return [span for record in self.records for span in decode(record)]

    @property
    def one(self) -> Seen:
        """The only span."""
        (span,) = self.seen
        return span

    def named(self, name: str) -> Seen:
        """Returns the only span of this name."""
        (span,) = [span for span in self.seen if span.name == name]
        return span

    def tree(self) -> dict[str, str]:
        """Returns the name of the parent, by the name of the span; the latter must be unique."""
        spans = self.seen
        names = {span.span_id: span.name for span in spans} | {"": ""}
        assert len(names) == len(spans) + 1
        return {span.name: names[span.parent_id] for span in spans}


@contextmanager
def instrumented(*names: str, **settings: Any) -> Iterator[Watched]:
    """Instruments libraries for the block, for a recorder with these settings."""
    watched = Watched(**settings)
    process.switch_on(names, watched.recorder)
    try:
        yield watched
    finally:
        process.switch_off(watched.recorder)
        context.bridge = None


def decode(record: Record) -> list[Seen]:
    """Returns the spans in a record."""
    if record.kind == SPAN:
        return [_native(common_pb2.Span.FromString(record.encode()))]
    request = ExportTraceServiceRequest.FromString(record.encode())
    return [
        _seen(span, scope.scope.name)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _native(span: common_pb2.Span) -> Seen:
    ids = (span.trace_id, span.span_id, span.parent_span_id)
    return Seen(span.name, *ids, span.status, span.status_message, {}, [])


def _seen(span: Any, library: str) -> Seen:
    return Seen(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.status.code,
        span.status.message,
        _attributes(span.attributes),
        [(event.name, _attributes(event.attributes)) for event in span.events],
        library,
    )


def _attributes(attributes: Any) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind) if kind else None
