"""Moves recorded traffic in time, so that old samples look recent."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.message import Message

from bartizan.v1 import common_pb2


def shift_spans(spans: Sequence[common_pb2.Span], now_ns: int) -> None:
    """Moves spans together so that the last one ends at now_ns, in nanoseconds since 1970.

    Times that are absent, or would leave what a timestamp can hold, stay as they are.
    """
    by = now_ns - max((span.end_time.ToNanoseconds() for span in spans), default=now_ns)
    for span in spans:
        for time in (span.start_time, span.end_time, *(event.time for event in span.events)):
            if was_ns := time.ToNanoseconds():
                with suppress(ValueError):
                    time.FromNanoseconds(was_ns + by)


def shift_otlp(requests: Sequence[Message], now_ns: int) -> None:
    """Does the same for OTLP requests."""
    spans = [span for request in requests for span in otlp_spans(request)]
    by = now_ns - max((span.end_time_unix_nano for span in spans), default=now_ns)
    for span in spans:
        _shift(span, "start_time_unix_nano", by)
        _shift(span, "end_time_unix_nano", by)
        for event in span.events:
            _shift(event, "time_unix_nano", by)


def otlp_spans(request: Any) -> Iterator[Any]:
    """Yields the spans of an OTLP request."""
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            yield from scope.spans


def _shift(part: Any, name: str, by: int) -> None:
    if was_ns := getattr(part, name):
        with suppress(ValueError):
            setattr(part, name, was_ns + by)
