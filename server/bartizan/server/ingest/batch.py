"""What a door hands to the ingest, and what it gets back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bartizan.plugins.decision import Decision
from bartizan.server.ingest.span import SpanRecord
from bartizan.v1 import trace_pb2


@dataclass(frozen=True, slots=True)
class Refused:
    """One span that was not taken in."""

    index: int
    reason: "trace_pb2.RejectReason.ValueType"
    field: str
    detail: str


@dataclass(slots=True)
class Batch:
    """Spans of one request: those that passed the checks, and why the others did not."""

    project_id: int
    records: list[SpanRecord]
    indexes: Sequence[int]
    """The place of each record in the request."""
    refused: list[Refused] = field(default_factory=list)
    stream_key: str = ""
    """A hash of the stream's name; empty when the batch came by no stream."""
    seq: int = 0
    decisions: dict[int, list[Decision]] = field(default_factory=dict)
    """What the rules decided, by position in `records`."""
    deferred: dict[int, set[str]] = field(default_factory=dict)
    """Ids of the rules that are to look again after the write, by position in `records`."""


class Prepared(NamedTuple):
    """One span that only needs to be written."""

    key: bytes
    """What the span is known by: trace id, span id, project."""
    project_id: int
    record: SpanRecord
    """Without its texts, which are in the rows: what waits must be small."""
    decisions: Sequence[Decision]
    span_row: bytes
    payload_row: bytes | None
    deferred: Sequence[str]
    """Ids of the rules that are to look at it after the write."""


@dataclass(slots=True)
class Outcome:
    """What became of a batch, after the commit."""

    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0
