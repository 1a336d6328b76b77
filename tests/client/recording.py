"""A recorder without a network: what ends is decoded again."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bartizan.client import Source, Span
from bartizan.client._record import Record
from bartizan.client._recording.recorder import Recorder
from bartizan.client._recording.redaction import Redaction, make_redactor
from bartizan.client._recording.trace import Tracing
from bartizan.v1 import common_pb2

F = TypeVar("F", bound=Callable[..., Any])

SECOND_NS = 10**9
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Ticks:
    """Ids that count, and clocks that go on by a second whenever they are read."""

    def __init__(self) -> None:
        self.count = 0
        self.now_ns = 1_700_000_000 * SECOND_NS

    def random_bytes(self, size: int) -> bytes:
        self.count += 1
        return self.count.to_bytes(size, "big")

    def clock(self) -> int:
        self.now_ns += SECOND_NS
        return self.now_ns

    @property
    def source(self) -> Source:
        return Source(self.random_bytes, self.clock, self.clock)


class Recording:
    """Stands where a client would send. `span` and `trace` are those of `Bartizan`."""

    def __init__(self, *, redact: Redaction | None = None, **settings: Any) -> None:
        self.records: list[Record] = []
        settings.setdefault("shared", {})
        self.ticks = Ticks()
        self.recorder = Recorder(
            self.records.append, self.ticks.source, redact=make_redactor(redact), **settings
        )

    @property
    def sent(self) -> list[common_pb2.Span]:
        return [common_pb2.Span.FromString(record.encode()) for record in self.records]

    @property
    def only(self) -> common_pb2.Span:
        (span,) = self.sent
        return span

    def span(self, name: str, kind: str = "", **fields: str) -> Span:
        return Span(self.recorder, name, kind, fields)

    def trace(self, target: F) -> F:
        return self.tracing()(target)

    def tracing(self, *, name: str = "", kind: str = "", capture: bool = True) -> Callable[[F], F]:
        return Tracing(self._start, name, kind, {}, capture, capture).apply

    def _start(self, name: str, kind: str, fields: Mapping[str, str]) -> Span:
        return Span(self.recorder, name, kind, fields)


def attributes(span: common_pb2.Span) -> dict[str, Any]:
    """Returns a span's attributes by their keys."""
    return {one.key: value_of(one) for one in span.attributes}


def value_of(one: common_pb2.Attribute) -> Any:
    """Returns an attribute's value, or None."""
    kind = one.WhichOneof("value")
    return getattr(one, kind) if kind else None
