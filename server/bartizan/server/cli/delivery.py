"""Sends what a file holds and keeps count of what became of it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from bartizan.client import Bartizan
from bartizan.server.cli.span_file import BadLine, OtlpLine, SpanLine
from bartizan.server.cli.timeshift import otlp_spans
from bartizan.v1 import common_pb2, trace_pb2

BATCH_SPANS = 500
BATCH_BYTES = 4 * 1024 * 1024
STREAM_ATTEMPTS = 8
"""About ten seconds of a server that is away."""
OTLP_EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService/Export"


@dataclass
class Report:
    """What became of the spans of a file.

    Attributes:
        sent: spans that were read and sent.
        accepted: OTLP spans that the server took; OTLP does not tell new ones from duplicates.
        rejected: a line, how many spans of it, and why; never content.
    """

    sent: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    accepted: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)

    def reject(self, line: int, why: str, count: int = 1) -> None:
        """Notes spans that were refused."""
        self.rejected.append({"line": line, "count": count, "why": why})

    @property
    def refused(self) -> int:
        """How many spans were refused, here or by the server."""
        return sum(one["count"] for one in self.rejected)


def deliver_spans(
    client: Bartizan, lines: Iterable[SpanLine | BadLine], report: Report, tick: Callable[[], None]
) -> None:
    """Streams native spans; calls `tick` after each ack. Raises the client's errors."""
    waiting: deque[list[int]] = deque()

    def batches() -> Iterator[list[common_pb2.Span]]:
        for batch in _batches(lines, report):
            waiting.append([line.number for line in batch])
            report.sent += len(batch)
            yield [line.span for line in batch]

    with client.stream(max_attempts=STREAM_ATTEMPTS) as stream:
        for ack in stream.acks(batches()):
            _count(report, ack, waiting.popleft())
            tick()


def deliver_otlp(
    client: Bartizan, lines: Iterable[OtlpLine | BadLine], report: Report, tick: Callable[[], None]
) -> None:
    """Exports OTLP requests one by one; calls `tick` after each. Raises the client's errors."""
    for line in lines:
        if isinstance(line, BadLine):
            report.reject(line.number, line.why)
            continue
        count = sum(1 for _ in otlp_spans(line.request))
        report.sent += count
        answer = client.call(OTLP_EXPORT, line.request.SerializeToString())
        partial = trace_service_pb2.ExportTraceServiceResponse.FromString(answer).partial_success
        report.accepted += count - partial.rejected_spans
        if partial.rejected_spans:
            report.reject(line.number, partial.error_message, partial.rejected_spans)
        tick()


def _batches(lines: Iterable[SpanLine | BadLine], report: Report) -> Iterator[list[SpanLine]]:
    batch: list[SpanLine] = []
    size = 0
    for line in lines:
        if isinstance(line, BadLine):
            report.reject(line.number, line.why)
            continue
        size += line.span.ByteSize()
        batch.append(line)
        if len(batch) == BATCH_SPANS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _count(report: Report, ack: trace_pb2.Ack, numbers: list[int]) -> None:
    report.stored += ack.stored
    report.duplicate += ack.duplicate
    report.quarantined += ack.quarantined
    for refused in ack.rejected:
        report.reject(numbers[refused.index], f"{refused.field} {refused.detail}")
