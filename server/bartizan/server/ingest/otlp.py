"""Turns an OTLP trace export into span records."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from bartizan.server.ingest.batch import Refused
from bartizan.server.ingest.checks import Rejection
from bartizan.server.ingest.otlp_origin import Origin
from bartizan.server.ingest.otlp_span import record
from bartizan.server.ingest.otlp_wire import loose, not_traces
from bartizan.server.ingest.span import SpanRecord

SLICE = 256
"""How many spans are turned between two looks at the event loop: a few milliseconds of work."""


class Converted(NamedTuple):
    """Some spans of a request: records, their places in the request, and refusals."""

    records: list[SpanRecord]
    indexes: list[int]
    refused: list[Refused]

    @property
    def spans(self) -> int:
        """How many spans they were."""
        return len(self.records) + len(self.refused)

    def extend(self, more: "Converted") -> None:
        """Adds the spans that follow."""
        self.records.extend(more.records)
        self.indexes.extend(more.indexes)
        self.refused.extend(more.refused)


def convert(request: Any, now_ns: int) -> tuple[list[SpanRecord], list[int], list[Refused]]:
    """Returns the records of a request, their flat places in it, and refusals.

    `request` is an `ExportTraceServiceRequest` of either class (see `otlp_wire`). Raises
    InvalidArgument when it holds logs or metrics instead of spans.
    """
    whole = Converted([], [], [])
    for part in slices(request, now_ns):
        whole.extend(part)
    refuse_other_signals(request, whole)
    return whole


def slices(request: Any, now_ns: int, slice_spans: int = SLICE) -> Iterator[Converted]:
    """Yields the same a slice of spans at a time, without the look for logs and metrics.

    A slice may be empty: requests can be made of resources without spans.
    """
    part = Converted([], [], [])
    first = 0
    for steps, (spans, origin) in enumerate(_groups(loose(request)), 1):
        done = 0
        while done < len(spans):
            some = spans[done : done + slice_spans - part.spans]
            _convert(some, first + done, origin, now_ns, part)
            done += len(some)
            if part.spans >= slice_spans:
                yield part
                part = Converted([], [], [])
        first += done
        if steps % slice_spans == 0:
            yield part
            part = Converted([], [], [])
    yield part


def _convert(
    spans: Sequence[Any], first: int, origin: Origin | Rejection, now_ns: int, part: Converted
) -> None:
    records, indexes, _ = part
    for index, span in enumerate(spans, first):
        try:
            if isinstance(origin, Rejection):
                raise origin
            records.append(record(span, origin, now_ns))
            indexes.append(index)
        except Rejection as error:
            part.refused.append(Refused(index, error.reason, error.field, error.detail))


def _groups(request: Any) -> Iterator[tuple[Sequence[Any], Origin | Rejection]]:
    """Yields the spans of each scope with their origin; a resource without scopes has none."""
    for resource_spans in request.resource_spans:
        resource = _resource_origin(resource_spans.resource)
        yield (), resource
        for scope_spans in resource_spans.scope_spans:
            yield scope_spans.spans, _scope_origin(resource, scope_spans.scope)


def _resource_origin(resource: Any) -> Origin | Rejection:
    try:
        return Origin(resource)
    except Rejection as error:
        return error


def _scope_origin(origin: Origin | Rejection, scope: Any) -> Origin | Rejection:
    try:
        return origin if isinstance(origin, Rejection) else origin.of_scope(scope)
    except Rejection as error:
        return error


def refuse_other_signals(request: Any, converted: Converted) -> None:
    """Raises InvalidArgument when what was sent as traces reads better as logs or metrics.

    The messages have the same outer shape, so that logs and metrics decode as spans without ids.
    `converted` is what became of them: a single good span, or a fault of another kind, clears all.
    """
    if converted.records or not converted.refused:
        return
    if any(refused.field not in ("trace_id", "span_id") for refused in converted.refused):
        return
    body = request.SerializeToString()
    if _holds_logs(body):
        raise not_traces("logs", "/v1/logs")
    if _holds_metrics(body):
        raise not_traces("metrics", "/v1/metrics")


def _holds_logs(body: bytes) -> bool:
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError:
        return False
    return any(
        record.time_unix_nano or record.observed_time_unix_nano or record.HasField("body")
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


def _holds_metrics(body: bytes) -> bool:
    try:
        request = ExportMetricsServiceRequest.FromString(body)
    except DecodeError:
        return False
    return any(
        metric.WhichOneof("data")
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
