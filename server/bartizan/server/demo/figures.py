"""What is known of the traffic, added up from what the server says about it. Holds no content."""

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

from bartizan.client import TraceView
from bartizan.v1 import common_pb2, trace_pb2

REMEMBERED_TRACES = 10_000
"""A trace that was not added to for so many others will not be any more."""
RATE_SECONDS = 60


@dataclass(slots=True)
class Sums:
    """Of one agent, or of all."""

    traces: int = 0
    spans: int = 0
    failed: int = 0
    errors: int = 0
    findings: int = 0
    tokens: int = 0
    cost_usd: float = 0.0

    def add(self, trace: trace_pb2.Trace, sign: int) -> None:
        """Adds a trace, or with -1 takes it out again."""
        self.traces += sign
        self.spans += sign * trace.span_count
        self.failed += sign * (trace.status == common_pb2.STATUS_CODE_ERROR)
        self.errors += sign * trace.error_count
        self.findings += sign * trace.finding_count
        self.tokens += sign * (trace.usage.input + trace.usage.output)
        self.cost_usd += sign * trace.cost_usd


@dataclass(slots=True)
class Ledger:
    """The server's own counters of spans."""

    stored: int = 0
    duplicate: int = 0
    rejected: int = 0
    quarantined: int = 0


@dataclass(slots=True)
class Figures:
    """Everything that the view shows, but for the news."""

    agents: dict[str, Sums] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)
    per_second: deque[int] = field(default_factory=lambda: deque(maxlen=RATE_SECONDS))
    _details: dict[str, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    _traces: OrderedDict[str, trace_pb2.Trace] = field(default_factory=OrderedDict)

    @property
    def total(self) -> Sums:
        """All agents together."""
        total = Sums()
        for sums in self.agents.values():
            for name in Sums.__slots__:
                setattr(total, name, getattr(total, name) + getattr(sums, name))
        return total

    @property
    def rate(self) -> float:
        """Spans stored a second, over the last few seconds."""
        latest = list(self.per_second)[-5:]
        return sum(latest) / len(latest) if latest else 0.0

    def saw(self, trace: trace_pb2.Trace) -> None:
        """Takes in the latest state of a trace."""
        known = self._traces.pop(trace.trace_id, None)
        if known is not None:
            self._sums(known).add(known, -1)
        self._sums(trace).add(trace, 1)
        self._traces[trace.trace_id] = trace
        if len(self._traces) > REMEMBERED_TRACES:
            forgotten, _ = self._traces.popitem(last=False)
            self._details.pop(forgotten, None)

    def looked_into(self, view: TraceView) -> None:
        """Takes in the redactions and errors of a trace, in place of those it had before."""
        before = self._details.get(view.trace.trace_id, (Counter(), Counter()))
        kinds = Counter(finding.category for finding in view.findings if redacted(finding))
        errors = Counter(span.error_type for span in view.spans if span.error_type)
        self.kinds += kinds
        self.kinds -= before[0]
        self.errors += errors
        self.errors -= before[1]
        self._details[view.trace.trace_id] = (kinds, errors)

    def counted(self, ledger: Ledger, seconds: float) -> None:
        """Takes in the server's counters, so many seconds after the last time."""
        if seconds > 0:
            self.per_second.append(round((ledger.stored - self.ledger.stored) / seconds))
        self.ledger = ledger

    def _sums(self, trace: trace_pb2.Trace) -> Sums:
        return self.agents.setdefault(", ".join(trace.agents) or "no agent", Sums())


def redacted(finding: common_pb2.Finding) -> bool:
    """Returns whether what was found was taken out of the text."""
    return finding.action == common_pb2.ACTION_REDACT and not finding.shadow
