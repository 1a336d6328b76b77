"""What is worth telling about single traces. From what is stored, and without content."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bartizan.client import TraceView
from bartizan.v1 import common_pb2, trace_pb2

LOOP_CALLS = 15
"""An agent that calls one tool so often in one trace does not get on."""
LONG_SPANS = 2 * LOOP_CALLS
QUIET_S = 3.0
"""News of one sort come no faster; nobody could read them."""
QUIET_MINOR_S = 15.0
PINNED_S = 60.0
"""A loop stays on top so long."""
KEPT = 30
USUAL_TRACES = 30
"""What is costly can be told after so many."""

NAMES = {
    "pii.credit_card": "card number",
    "pii.iban_code": "bank account",
    "pii.ip_address": "IP address",
    "pii.email_address": "e-mail",
    "pii.phone_number": "telephone",
}
"""In the order in which they are told if several were found."""
MINOR = ("pii.ip_address", "pii.email_address", "pii.phone_number")
"""So frequent that they are hardly news."""
DONE = {
    common_pb2.ACTION_REDACT: "masked",
    common_pb2.ACTION_FLAG: "flagged",
    common_pb2.ACTION_BLOCK: "blocked",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of news.

    Attributes:
        at_s: when, in seconds since the demo began.
        sort: loop, failed, found, minor, retried or costly.
        text: for a person.
        agent: who did it.
        trace_id: where to look.
    """

    at_s: float
    sort: str
    text: str
    agent: str
    trace_id: str


class News:
    """The latest news, newest first.

    Args:
        elapsed_s: returns the seconds since the demo began.
    """

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self._items: deque[Item] = deque(maxlen=KEPT)
        self._seen = 0
        self._highest_usd = 0.0

    def latest(self, limit: int) -> list[Item]:
        """Returns at most so many, newest first, but loops of the last minute before all others."""
        now_s = self._elapsed_s()
        items = sorted(
            self._items, key=lambda item: item.sort != "loop" or now_s - item.at_s > PINNED_S
        )
        return items[:limit]

    def last_of(self, *sorts: str) -> Item | None:
        """Returns the newest of the first of these sorts that there is any of."""
        for sort in sorts:
            for item in self._items:
                if item.sort == sort:
                    return item
        return None

    def saw(self, trace: trace_pb2.Trace) -> None:
        """Looks at the summary of a finished trace."""
        self._seen += 1
        if trace.cost_usd <= self._highest_usd * 1.1:
            return
        self._highest_usd = trace.cost_usd
        if self._seen > USUAL_TRACES:
            self._tell("costly", f"costliest so far: ${trace.cost_usd:.3f}", trace)

    def looked_into(self, view: TraceView) -> None:
        """Looks at the spans and findings of a trace."""
        tool, calls = _most_called(view.spans)
        if calls >= LOOP_CALLS:
            self._loop(f"{tool} called {calls} times: a loop", view)
        elif view.trace.status == common_pb2.STATUS_CODE_ERROR:
            self._tell("failed", f"failed: {_root_error(view)}", view.trace)
        elif view.trace.error_count:
            self._tell("retried", f"{_errors(view.spans)}, then recovered", view.trace)
        elif view.findings:
            minor = all(finding.category in MINOR for finding in view.findings)
            self._tell("minor" if minor else "found", _found(view.findings), view.trace)

    def _loop(self, text: str, view: TraceView) -> None:
        # One line that counts up, not one for each look.
        for item in list(self._items):
            if item.trace_id == view.trace.trace_id and item.sort == "loop":
                self._items.remove(item)
        if view.trace.root_seen:
            text += f", ended by {_root_error(view)}"
        self._items.appendleft(self._item("loop", text, view.trace))

    def _tell(self, sort: str, text: str, trace: trace_pb2.Trace) -> None:
        last = self.last_of(sort)
        quiet_s = QUIET_MINOR_S if sort == "minor" else QUIET_S
        if last is None or self._elapsed_s() - last.at_s >= quiet_s:
            self._items.appendleft(self._item(sort, text, trace))

    def _item(self, sort: str, text: str, trace: trace_pb2.Trace) -> Item:
        return Item(self._elapsed_s(), sort, text, ", ".join(trace.agents), trace.trace_id)


def _most_called(spans: Iterable[common_pb2.Span]) -> tuple[str, int]:
    tools = Counter(span.tool_name for span in spans if span.tool_name)
    return tools.most_common(1)[0] if tools else ("", 0)


def _root_error(view: TraceView) -> str:
    roots = [span.error_type for span in view.spans if not span.parent_span_id]
    return roots[0] if roots else "an error"


def _errors(spans: Iterable[common_pb2.Span]) -> str:
    errors = Counter(span.error_type for span in spans if span.error_type)
    return ", ".join(kind if n == 1 else f"{kind} {n} times" for kind, n in errors.items())


def _found(findings: Sequence[common_pb2.Finding]) -> str:
    first = min(findings, key=lambda finding: _rank(finding.category))
    what = f"{name_of(first.category)} {DONE.get(first.action, 'found')}"
    others = sum(finding.category != first.category for finding in findings)
    return what + (f", and {others} more finding{'s' if others > 1 else ''}" if others else "")


def _rank(category: str) -> int:
    # What has no name here is rare, so it is told before everything else.
    return list(NAMES).index(category) if category in NAMES else -1


SPACES = str.maketrans("._", "  ")


def name_of(category: str) -> str:
    """Returns what people call a category: "card number" for pii.credit_card."""
    return NAMES.get(category) or category.removeprefix("pii.").translate(SPACES)
