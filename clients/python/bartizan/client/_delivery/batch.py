"""What is sent together, and its form on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bartizan.client._calls.outbox import MAX_BATCH_BYTES, MAX_BATCH_SPANS
from bartizan.client._delivery.stats import Outcome
from bartizan.client._record import FEEDBACK, OTLP, SPAN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bartizan.client._delivery.buffer import Item, Source
    from bartizan.v1 import trace_pb2

MAX_FEEDBACK = 1_000
"""The server's limit for one request."""
STREAM_FIELD = 2
"""The number of `spans` in SpanBatch."""
REQUEST_FIELD = 1
"""The number of `spans` in ExportTracesRequest, and of `feedback` in RecordFeedbackRequest."""
METHODS = {
    SPAN: "/bartizan.v1.IngestService/ExportTraces",
    OTLP: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    FEEDBACK: "/bartizan.v1.EvaluationService/RecordFeedback",
}


@dataclass(eq=False)
class Batch:
    """Items of one kind and one source, encoded.

    Attributes:
        refusals: how often the server has refused exactly this batch.
    """

    kind: int
    source: Source
    items: list[Item]
    refusals: int = 0

    @property
    def spans(self) -> int:
        """For how many spans it counts."""
        return sum(item.spans for item in self.items)

    def request(self) -> bytes:
        """Returns the message for the method of its kind."""
        if self.kind == OTLP:
            # Messages that are put one after the other are read as one, their lists joined.
            return b"".join(item.content for item in self.items)
        return framed(REQUEST_FIELD, (item.content for item in self.items))

    def halves(self) -> tuple[Batch, Batch]:
        """Returns both halves of a batch of two items or more."""
        middle = len(self.items) // 2
        first, second = self.items[:middle], self.items[middle:]
        return Batch(self.kind, self.source, first), Batch(self.kind, self.source, second)


def encode(items: Iterable[Item]) -> tuple[list[Item], dict[str, list[Item]]]:
    """Returns the items with their bytes, and by reason those that cannot be sent."""
    good: list[Item] = []
    bad: dict[str, list[Item]] = {}
    for item in items:
        content = item.content
        try:
            body = content if isinstance(content, bytes) else content.encode()
        except Exception:  # what a caller's object or pattern does is the caller's
            bad.setdefault("encode", []).append(item)
            continue
        if len(body) > MAX_BATCH_BYTES:
            bad.setdefault("too_large", []).append(item)
        else:
            good.append(item._replace(content=body))
    return good, bad


def pack(source: Source, items: Iterable[Item], max_spans: int, max_bytes: int) -> list[Batch]:
    """Puts encoded items into batches of one kind each, in their order."""
    full: list[Batch] = []
    open_batches: dict[int, Batch] = {}
    room: dict[int, tuple[int, int]] = {}
    for item in items:
        spans, size = room.get(item.kind, (0, 0))
        if spans < item.spans or size < len(item.content):
            batch = open_batches[item.kind] = Batch(item.kind, source, [])
            full.append(batch)
            spans, size = _most(item.kind, max_spans), min(max_bytes, MAX_BATCH_BYTES)
        open_batches[item.kind].items.append(item)
        # A length of more than four bytes does not occur, nor does a field number above 15.
        room[item.kind] = (spans - item.spans, size - len(item.content) - 5)
    return full


def _most(kind: int, max_spans: int) -> int:
    return min(max_spans, MAX_FEEDBACK if kind == FEEDBACK else MAX_BATCH_SPANS)


def framed(field: int, bodies: Iterable[bytes]) -> bytes:
    """Returns the encoding of a message that has the bodies as elements of a repeated field."""
    parts: list[bytes] = []
    for body in bodies:
        parts += (_prefix(field, len(body)), body)
    return b"".join(parts)


def _prefix(field: int, length: int) -> bytes:
    out = bytearray([field << 3 | 2])
    while length > 127:
        out.append(length & 127 | 128)
        length >>= 7
    out.append(length)
    return bytes(out)


def outcome(kind: int, response: bytes) -> Outcome:
    """Returns what the server made of a batch; raises ValueError if it is no answer to it."""
    if kind == OTLP:
        return Outcome(rejected=_rejected_spans(response))
    from google.protobuf.message import DecodeError

    try:
        return _answer(kind, response)
    except DecodeError as error:
        raise ValueError from error


def _answer(kind: int, response: bytes) -> Outcome:
    if kind == FEEDBACK:
        from bartizan.v1 import evaluation_pb2

        answer = evaluation_pb2.RecordFeedbackResponse.FromString(response)
        return Outcome(answer.duplicate, len(answer.rejected), why=_why(answer.rejected))
    from bartizan.v1 import trace_pb2

    return of_ack(trace_pb2.ExportTracesResponse.FromString(response).ack)


def of_ack(ack: trace_pb2.Ack) -> Outcome:
    """Returns what an ack says."""
    return Outcome(ack.duplicate, len(ack.rejected), ack.quarantined, _why(ack.rejected))


def _why(rejected: Sequence[Any]) -> str:
    return f"{rejected[0].field} {rejected[0].detail}" if rejected else ""


def _rejected_spans(response: bytes) -> int:
    """Reads `partial_success.rejected_spans` of an ExportTraceServiceResponse."""
    partial = _fields(response).get(1, b"")
    rejected = _fields(partial).get(1, 0) if isinstance(partial, bytes) else 0
    return rejected if isinstance(rejected, int) and rejected < 2**63 else 0


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Returns numbers and bytes of a message by field; raises ValueError if it is none."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, at = _varint(message, at)
        if tag & 7 == 2:
            found[tag >> 3] = message[at : at + number]
            at += number
        elif tag & 7 == 0:
            found[tag >> 3] = number
        else:
            raise ValueError
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
    raise ValueError
