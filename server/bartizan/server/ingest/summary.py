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


USAGE = slice(
    SpanRecord._fields.index("input_tokens"), SpanRecord._fields.index("cost_nano_usd") + 1
)
"""The part of a record that says what a model call used and cost."""
NO_USAGE = (0,) * 6


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

    def add_usage(self, usage: tuple[int, ...]) -> None:
        """Adds what a model call used and cost: the part USAGE of its record."""
        total_in, total_out, cache_read, cache_write, reasoning, nano_usd = usage
        self.input_tokens += total_in
        self.output_tokens += total_out
        self.cost_nano_usd += nano_usd
        if cache_read or cache_write or reasoning:
            self.cache_read_tokens += cache_read
            self.cache_write_tokens += cache_write
            self.reasoning_tokens += reasoning

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

    def add_span(
        self, record: SpanRecord, usage: tuple[int, ...], decisions: Sequence[Decision]
    ) -> None:
        """Adds one span of the trace."""
        _, _, parent, start_ns, end_ns, name, dims, user_id, session_id, _, tags = record[:11]
        self.span_count += 1
        if usage != NO_USAGE:
            self.add_usage(usage)
        if end_ns > self.end_ns:
            self.end_ns = end_ns
        if not parent:
            self.root_status = dims.status
            self.display_name = name
            self.dims = dims
        elif start_ns < self.start_ns and self.root_status < 0:
            self.display_name = name
        if start_ns < self.start_ns:
            self.start_ns = start_ns
        if not self.user_id:
            self.user_id = user_id
        if not self.session_id:
            self.session_id = session_id
        if tags:
            self.tags.update(tags)
        self._add_labels(dims, decisions)

    def _add_labels(self, dims: Dims, decisions: Sequence[Decision]) -> None:
        agent, _, model, *_, status = dims
        if agent:
            self.agents.add(agent)
        if model:
            self.models.add(model)
        if status == ERROR:
            self.error_count += 1
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

    __slots__ = ("dims", "duration_ns", "latency", "root_count")

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.duration_ns = 0
        self.root_count = 0
        self.latency: dict[int, int] = {}

    def add_span(
        self, record: SpanRecord, usage: tuple[int, ...], decisions: Sequence[Decision]
    ) -> None:
        """Adds one span."""
        self.span_count += 1
        _, _, parent, start_ns, end_ns = record[:5]
        duration = end_ns - start_ns
        self.duration_ns += duration
        bucket = bucket_of(duration)
        self.latency[bucket] = self.latency.get(bucket, 0) + 1
        if not parent:
            self.root_count += 1
        if usage != NO_USAGE:
            self.add_usage(usage)
        if decisions:
            self.finding_count += len(decisions)


TraceKey = tuple[int, bytes]
SessionKey = tuple[int, str]
RollupKey = tuple[int, int, int]
"""Project, minutes since 1970, and which dimensions: by identity, as the same ones are mostly the
same object and hashing ten fields takes longer than all else here. Two rows for one set add up."""


class Summary:
    """The deltas of a group of new spans."""

    def __init__(self, spans: Iterable[Prepared]) -> None:
        self.traces: dict[TraceKey, TraceDelta] = {}
        self.rollups: dict[RollupKey, RollupDelta] = {}
        for _, project_id, record, decisions, _, _, _ in spans:
            usage: tuple[int, ...] = record[USAGE]  # type: ignore[assignment]  # a slice by name
            trace_key = (project_id, record[0])
            trace = self.traces.get(trace_key)
            if trace is None:
                trace = self.traces[trace_key] = TraceDelta(record)
            trace.add_span(record, usage, decisions)
            key = (project_id, record.start_ns // MINUTE_NS, id(record.dims))
            rollup = self.rollups.get(key)
            if rollup is None:
                rollup = self.rollups[key] = RollupDelta(record.dims)
            rollup.add_span(record, usage, decisions)

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
