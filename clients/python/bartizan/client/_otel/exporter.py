"""Sends what OpenTelemetry records the way our own spans go: acked, bounded, redacted, spooled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable

from bartizan.client._record import OTLP

try:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import export
except ImportError as error:
    raise ImportError(
        'OpenTelemetry is not installed: pip install "bartizan-client[otel]".'
    ) from error

from bartizan.client._otel import bridge
from bartizan.client._otel.clean import Cleaner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from bartizan.client._record import Record
    from bartizan.client._recording.recorder import Recorder

log = logging.getLogger("bartizan.client")

MAX_SPANS = 512
"""Of one request."""
SHUTDOWN_TIMEOUT_S = 5.0
SPAN_SIZE = 400
"""About what a span without attributes holds, in bytes."""
ATTRIBUTE_SIZE = 16


class OtlpRecord:
    """Finished OpenTelemetry spans on their way to the server.

    Args:
        finished: at least one, at most MAX_SPANS.
        redact: takes out of a text what must not leave the process; never raises.
        capture_content: whether messages, documents and error texts are sent.
    """

    kind = OTLP

    def __init__(
        self,
        finished: Sequence[ReadableSpan],
        redact: Callable[[str], str] | None,
        capture_content: bool,
    ) -> None:
        self._finished = finished
        self._cleaner = Cleaner(redact, capture_content)
        self.spans = len(finished)
        self.size = sum(map(_size, finished))

    def encode(self) -> bytes:
        """Returns a serialized ExportTraceServiceRequest, redacted.

        Requests may be joined end to end: that is one request with the spans of all.
        """
        request = encode_spans([self._cleaner.copy(span) for span in self._finished])
        encoded: bytes = request.SerializeToString()
        return encoded


class SpanExporter(export.SpanExporter):
    """An exporter for the OpenTelemetry SDK; `Bartizan.span_exporter` makes it.

    It returns at once: what waits, waits in the client's bounded queue.

    Args:
        put: takes a record; never raises, never blocks.
        flush: waits so many seconds until all is stored, and returns whether it is.
        redact: takes out of a text what must not leave the process; never raises.
        capture_content: whether messages, documents and error texts are sent.
    """

    def __init__(
        self,
        put: Callable[[Record], None],
        flush: Callable[[float], bool],
        *,
        redact: Callable[[str], str] | None = None,
        capture_content: bool = True,
    ) -> None:
        self._put = put
        self._flush = flush
        self._redact = redact
        self._capture_content = capture_content

    def export(self, spans: Sequence[ReadableSpan]) -> export.SpanExportResult:
        """Hands spans over for sending; never raises."""
        try:
            for part in _parts(spans):
                self._put(OtlpRecord(part, self._redact, self._capture_content))
        except Exception as error:
            log.debug("exporting spans failed with %s", type(error).__name__)
            return export.SpanExportResult.FAILURE
        return export.SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Waits until all is stored; returns False when the time, in milliseconds, is over."""
        try:
            return self._flush(timeout_millis / 1000)
        except Exception as error:
            log.debug("flushing spans failed with %s", type(error).__name__)
            return False

    def shutdown(self) -> None:
        """Sends what is left, for some seconds; the client stays open."""
        self.force_flush(int(SHUTDOWN_TIMEOUT_S * 1000))


def exporter(recorder: Recorder, flush: Callable[[float], bool]) -> SpanExporter:
    """Returns an exporter to a client, and lets our spans and OpenTelemetry's nest."""
    bridge.install()
    return SpanExporter(
        recorder.put, flush, redact=recorder.redact, capture_content=recorder.capture_content
    )


def _parts(spans: Sequence[ReadableSpan]) -> Iterable[Sequence[ReadableSpan]]:
    return (spans[first : first + MAX_SPANS] for first in range(0, len(spans), MAX_SPANS))


def _size(span: ReadableSpan) -> int:
    size = SPAN_SIZE + _texts(span.attributes)
    for event in span.events:
        size += ATTRIBUTE_SIZE + _texts(event.attributes)
    return size


def _texts(attributes: Any) -> int:
    size = 0
    for key, value in (attributes or {}).items():
        size += len(key) + ATTRIBUTE_SIZE
        if isinstance(value, (str, bytes)):
            size += len(value)
        elif isinstance(value, (tuple, list)):
            size += sum(len(one) if isinstance(one, str) else 8 for one in value)
    return size
