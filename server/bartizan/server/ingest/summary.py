"""What a group of new spans adds to traces, sessions and rollups."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bartizan.plugins.decision import Decision
from bartizan.server.ingest.batch import Prepared
from bartizan.server.ingest.latency import bucket_of
from bartizan.server.ingest.span import NANOS, Dims, SpanRecord
from bartizan.server.store.clock import to_ns
from bartizan.v1 import common_pb2

MINUTE_NS = 60 * NANOS
ERROR = common_pb2.STATUS_CODE_ERROR


TOTALS = (
    "span_count", "error_count", "finding_count", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nano_usd",
)  # fmt: skip
"""The counts of traces and sessions, in the order of their columns."""


class Totals:
    """Counts that only ever grow."""

    __slots__ = TOTALS

    def __init__(self) -> None:
        self.span_count = self.error_count = self.finding_count = 0
        self.input_tokens = self.output_tokens = 0
        self.cache_read_tokens = self.cache_write_tokens = self.reasoning_tokens = 0
        self.cost_nano_usd = 0

    @classmethod
    def of(cls, values: Sequence[int]) -> "Totals":
        """Returns the counts of a row, in the order of TOTALS."""
        totals = cls()
        for name, value in zip(TOTALS, values, strict=True):
            setattr(totals, name, value)
        return totals

    def values(self) -> tuple[int, ...]:
        """Returns the counts in the order of TOTALS."""
        return tuple(getattr(self, name) for name in TOTALS)

    def add_tokens(self, record: SpanRecord) -> None:
        """Adds what a model call used and cost."""
        self.input_tokens += record.input_tokens
        self.output_tokens += record.output_tokens
        self.cache_read_tokens += record.cache_read_tokens
        self.cache_write_tokens += record.cache_write_tokens
        self.reasoning_tokens += record.reasoning_tokens
        self.cost_nano_usd += record.cost_nano_usd

    def add(self, other: "Totals") -> None:
        """Adds the counts of another."""
        for name in TOTALS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Known(NamedTuple):
    """What the database knew of a trace before this group."""

    session_id: str
    start: datetime
    end: datetime
    user_id: str
    environment: str
    agents: Sequence[str]
    totals: Totals


class TraceDelta(Totals):
    """What a group adds to one trace."""

    __slots__ = (
        "agents", "categories", "dims", "display_name", "end_ns", "models", "root_status",
        "session_id", "start_ns", "tags", "user_id",
    )  # fmt: skip

    def __init__(self, record: SpanRecord) -> None:
        super().__init__()
        self.start_ns = record.start_ns
        self.end_ns = record.end_ns
        self.display_name = record.name
        self.root_status = -1
        self.user_id = record.user_id
        self.session_id = record.session_id
        self.dims = record.dims
        self.agents: set[str] = set()
        self.models: set[str] = set()
        self.tags: set[str] = set()
        self.categories: set[str] = set()

    def add_span(self, record: SpanRecord, decisions: Sequence[Decision]) -> None:
        """Adds one span of the trace."""
        dims = record.dims
        self.span_count += 1
        if dims.status == ERROR:
            self.error_count += 1
        if record.input_tokens or record.output_tokens or record.cost_nano_usd:
            self.add_tokens(record)
        if record.end_ns > self.end_ns:
            self.end_ns = record.end_ns
        if not record.parent_span_id:
            self.root_status = dims.status
            self.display_name = record.name
            self.dims = dims
        elif record.start_ns < self.start_ns and self.root_status < 0:
            self.display_name = record.name
        if record.start_ns < self.start_ns:
            self.start_ns = record.start_ns
        self._add_labels(record, decisions)

    def _add_labels(self, record: SpanRecord, decisions: Sequence[Decision]) -> None:
        if record.dims.agent:
            self.agents.add(record.dims.agent)
        if record.dims.model:
            self.models.add(record.dims.model)
        if record.tags:
            self.tags.update(record.tags)
        if not self.user_id:
            self.user_id = record.user_id
        if not self.session_id:
            self.session_id = record.session_id
        if decisions:
            self.finding_count += len(decisions)
            self.categories.update(decision.finding.category for decision in decisions)


class SessionDelta(Totals):
    """What a group adds to one session."""

    __slots__ = ("agents", "end_ns", "environment", "start_ns", "trace_count", "user_id")

    def __init__(self, trace: TraceDelta) -> None:
        super().__init__()
        self.start_ns = trace.start_ns
        self.end_ns = trace.end_ns
        self.user_id = trace.user_id
        self.environment = trace.dims.environment
        self.agents: set[str] = set()
        self.trace_count = 0

    def add_trace(self, trace: TraceDelta) -> None:
        """Adds what the group adds to one trace of the session."""
        self.add(trace)
        self.start_ns = min(self.start_ns, trace.start_ns)
        self.end_ns = max(self.end_ns, trace.end_ns)
        self.user_id = self.user_id or trace.user_id
        self.environment = self.environment or trace.dims.environment
        self.agents |= trace.agents

    def add_known(self, trace: Known) -> None:
        """Adds what one trace had before it came to the session."""
        self.add(trace.totals)
        self.start_ns = min(self.start_ns, to_ns(trace.start))
        self.end_ns = max(self.end_ns, to_ns(trace.end))
        self.user_id = self.user_id or trace.user_id
        self.environment = self.environment or trace.environment
        self.agents.update(trace.agents)


class RollupDelta(Totals):
    """What a group adds to one minute of one set of dimensions."""

    __slots__ = ("duration_ns", "latency", "root_count")

    def __init__(self) -> None:
        super().__init__()
        self.duration_ns = 0
        self.root_count = 0
        self.latency: dict[int, int] = {}

    def add_span(self, record: SpanRecord, decisions: Sequence[Decision]) -> None:
        """Adds one span."""
        self.span_count += 1
        duration = record.end_ns - record.start_ns
        self.duration_ns += duration
        bucket = bucket_of(duration)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1
        if not record.parent_span_id:
            self.root_count += 1
        if record.input_tokens or record.output_tokens or record.cost_nano_usd:
            self.add_tokens(record)
        self.finding_count += len(decisions)


TraceKey = tuple[int, bytes]
SessionKey = tuple[int, str]
RollupKey = tuple[int, int, Dims]
"""Project, minutes since 1970, dimensions."""


class Summary:
    """The deltas of a group of new spans."""

    def __init__(self, spans: Iterable[Prepared]) -> None:
        self.traces: dict[TraceKey, TraceDelta] = {}
        self.rollups: dict[RollupKey, RollupDelta] = {}
        for _, project_id, record, decisions, _, _ in spans:
            trace = self.traces.get((project_id, record.trace_id))
            if trace is None:
                trace = self.traces[project_id, record.trace_id] = TraceDelta(record)
            trace.add_span(record, decisions)
            key = (project_id, record.start_ns // MINUTE_NS, record.dims)
            rollup = self.rollups.get(key)
            if rollup is None:
                rollup = self.rollups[key] = RollupDelta()
            rollup.add_span(record, decisions)

    def sessions(self, known: Mapping[TraceKey, Known]) -> dict[SessionKey, SessionDelta]:
        """Returns what the group adds to sessions.

        A trace stays in the session it was first in. One that was in none until now brings along
        what it had before.
        """
        result: dict[SessionKey, SessionDelta] = {}
        for (project_id, trace_id), trace in self.traces.items():
            before = known.get((project_id, trace_id))
            session_id = (before.session_id if before else "") or trace.session_id
            if not session_id:
                continue
            key = (project_id, session_id)
            session = result.get(key)
            if session is None:
                session = result[key] = SessionDelta(trace)
            session.add_trace(trace)
            if before is None or not before.session_id:
                session.trace_count += 1
            if before is not None and not before.session_id:
                session.add_known(before)
        return result
