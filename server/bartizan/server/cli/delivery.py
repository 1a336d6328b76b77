"""Sends what a file holds and keeps count of what became of it."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from bartizan.client import Bartizan, Cancelled
from bartizan.server.cli.span_file import BadLine, OtlpLine, SpanLine
from bartizan.server.cli.timeshift import otlp_spans
from bartizan.v1 import common_pb2, trace_pb2

BATCH_SPANS = 500
BATCH_BYTES = 4 * 1024 * 1024
STREAM_ATTEMPTS = 14
"""About forty seconds of a server that is away; one that never was there is told at once."""
KEPT_REFUSALS = 1_000
"""Of which a report tells the lines; --rejects FILE gets them all."""
BAD_LINES_HELD = 100_000
"""Beyond this, bad lines are told before the batches ahead of them are acked."""
OTLP_EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService/Export"

Tick = Callable[[], None]


@dataclass
class Report:
    """What became of the spans of a file, as far as the server has answered.

    Attributes:
        line: up to this one, all is settled.
        sent: spans that were sent.
        accepted: OTLP spans that the server took; OTLP does not tell new ones from duplicates.
        refused: spans that were refused, here or by the server.
        refused_lines: lines that they stand in.
        rejected: the first of them: a line, how many spans of it, and why; never content.
        on_reject: gets each of them, too.
    """

    line: int = 0
    sent: int = 0
    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
    accepted: int = 0
    refused: int = 0
    refused_lines: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    on_reject: Callable[[dict[str, Any]], None] | None = None

    def reject(self, line: int, why: str, count: int = 1) -> None:
        """Notes spans that were refused."""
        one = {"line": line, "count": count, "why": why}
        self.refused += count
        self.refused_lines += 1
        if len(self.rejected) < KEPT_REFUSALS:
            self.rejected.append(one)
        if self.on_reject is not None:
            self.on_reject(one)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers alone."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


@dataclass(slots=True)
class _Batch:
    """Lines that are settled together: those that are sent, and the bad ones among them."""

    spans: list[SpanLine] = field(default_factory=list)
    bad: list[BadLine] = field(default_factory=list)
    size: int = 0

    @property
    def full(self) -> bool:
        return len(self.spans) == BATCH_SPANS or self.size >= BATCH_BYTES


def deliver_spans(
    client: Bartizan,
    lines: Iterable[SpanLine | BadLine],
    report: Report,
    tick: Tick,
    stream_id: str | None = None,
) -> None:
    """Streams native spans; calls `tick` after each ack. Raises the client's errors."""
    waiting: deque[_Batch] = deque()
    rest = _Batch()

    def batches() -> Iterator[list[common_pb2.Span]]:
        nonlocal rest
        for line in lines:
            if isinstance(line, BadLine):
                rest.bad.append(line)
                if len(rest.bad) == BAD_LINES_HELD and not rest.spans:
                    _refuse(report, rest.bad)
                    rest.bad.clear()
                continue
            rest.spans.append(line)
            rest.size += line.span.ByteSize()
            if rest.full:
                yield take()
        if rest.spans:
            yield take()

    def take() -> list[common_pb2.Span]:
        nonlocal rest
        batch, rest = rest, _Batch()
        waiting.append(batch)
        return [line.span for line in batch.spans]

    with client.stream(stream_id, max_attempts=STREAM_ATTEMPTS) as stream:
        try:
            for ack in stream.acks(batches()):
                _settle(report, ack, waiting.popleft())
                tick()
        except KeyboardInterrupt:
            # Whoever presses Ctrl-C does not want to wait for what is on its way.
            stream.abort(Cancelled("Sending was interrupted."))
            raise
    _settle(report, trace_pb2.Ack(), rest)
    tick()


def deliver_otlp(
    client: Bartizan, lines: Iterable[OtlpLine | BadLine], report: Report, tick: Tick
) -> None:
    """Exports OTLP requests one by one; calls `tick` after each. Raises the client's errors."""
    for line in lines:
        if isinstance(line, BadLine):
            report.reject(line.number, line.why)
        else:
            _export(client, line, report)
        report.line = line.number
        tick()


def _export(client: Bartizan, line: OtlpLine, report: Report) -> None:
    count = sum(1 for _ in otlp_spans(line.request))
    answer = client.call(OTLP_EXPORT, line.request.SerializeToString())
    partial = trace_service_pb2.ExportTraceServiceResponse.FromString(answer).partial_success
    report.sent += count
    report.accepted += count - partial.rejected_spans
    if partial.rejected_spans:
        report.reject(line.number, partial.error_message, partial.rejected_spans)


def _settle(report: Report, ack: trace_pb2.Ack, batch: _Batch) -> None:
    report.sent += len(batch.spans)
    report.stored += ack.stored
    report.duplicate += ack.duplicate
    report.quarantined += ack.quarantined
    refused = [
        BadLine(batch.spans[one.index].number, f"{one.field} {one.detail}") for one in ack.rejected
    ]
    _refuse(report, [*batch.bad, *refused])
    last: list[SpanLine | BadLine] = [*batch.spans[-1:], *batch.bad[-1:]]
    report.line = max([report.line, *(line.number for line in last)])


def _refuse(report: Report, lines: list[BadLine]) -> None:
    for line in sorted(lines, key=attrgetter("number")):
        report.reject(line.number, line.why)
