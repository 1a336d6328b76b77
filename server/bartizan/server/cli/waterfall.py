"""A trace as a tree of spans beside bars that show when each of them ran."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from bartizan.client import TraceView
from bartizan.server.cli.output import counted, duration, money, plain, tokens
from bartizan.server.cli.trace_view import (
    dollars,
    find_children,
    headline,
    kind_name,
    remarks,
)
from bartizan.v1 import common_pb2

NAME_SHARE = 0.4
"""Of the width: what the tree gets."""
DURATION_COLUMNS, TOKEN_COLUMNS, PRICE_COLUMNS, GAP = 10, 16, 10, "  "
GUIDE_COLUMNS = 3
DEEPEST = 8
"""Levels that are indented; a chain of thousands stays readable."""
STYLES = {
    common_pb2.SPAN_KIND_LLM: "magenta",
    common_pb2.SPAN_KIND_TOOL: "cyan",
    common_pb2.SPAN_KIND_AGENT: "blue",
    common_pb2.SPAN_KIND_WORKFLOW: "blue",
    common_pb2.SPAN_KIND_RETRIEVER: "green",
    common_pb2.SPAN_KIND_RERANKER: "green",
    common_pb2.SPAN_KIND_EMBEDDING: "green",
    common_pb2.SPAN_KIND_GUARDRAIL: "yellow",
    common_pb2.SPAN_KIND_EVALUATOR: "yellow",
}
EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class _Row:
    span: common_pb2.Span
    above: str
    """The guides before its own line."""
    below: str
    """The guides before lines about it."""


def print_waterfall(out: Console, view: TraceView, verbose: bool) -> None:
    """Prints a trace as wide as the console, with texts if verbose."""
    found = defaultdict(list)
    for finding in view.findings:
        found[finding.span_id].append(finding)
    scale = _Scale.of(view)
    out.print(Text(headline(view.trace), "bold"), soft_wrap=True)
    for row in _rows(view):
        out.print(_line(row, scale, out.width), no_wrap=True, overflow="crop")
        for remark in remarks(row.span, found[row.span.span_id], verbose):
            out.print(
                Text().append(row.below, "dim").append_text(remark),
                no_wrap=True,
                overflow="ellipsis",
            )
    out.print(_totals(view), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Scale:
    """The time that the bars span, in nanoseconds."""

    start_ns: int
    length_ns: int

    @classmethod
    def of(cls, view: TraceView) -> "_Scale":
        start_ns = min((_ns(span.start_time) for span in view.spans), default=0)
        end_ns = max((_ns(span.end_time) for span in view.spans), default=0)
        return cls(start_ns, max(1, end_ns - start_ns))

    def bar(self, span: common_pb2.Span, columns: int) -> tuple[int, str]:
        """Returns where a span's bar begins and the bar itself, at least one sliver of it."""
        per_column = self.length_ns / columns
        begin = (_ns(span.start_time) - self.start_ns) / per_column
        length = (_ns(span.end_time) - _ns(span.start_time)) / per_column
        first = min(int(begin), columns - 1)
        eighths = max(1, round(length * 8))
        whole, rest = divmod(eighths, 8)
        bar = EIGHTHS[8] * whole + (EIGHTHS[rest] if rest else "")
        return first, bar[: columns - first]


def _rows(view: TraceView) -> Iterator[_Row]:
    """Yields the spans in the order of the tree."""
    children = find_children(view)
    # A list instead of recursion: a trace may be thousands of spans deep.
    waiting = [(span, "", last) for span, last in _siblings(children.pop("", []))]
    while waiting:
        span, guides, last = waiting.pop()
        inner = _indent(guides + ("   " if last else "│  "))
        under = children.pop(span.span_id, [])
        yield _Row(span, guides + ("└─ " if last else "├─ "), inner + ("│  " if under else "   "))
        waiting += [(child, inner, last) for child, last in _siblings(under)]


def _siblings(spans: list[common_pb2.Span]) -> Iterator[tuple[common_pb2.Span, bool]]:
    """Yields spans last first, and whether each is the last."""
    return ((span, number == 0) for number, span in enumerate(reversed(spans)))


def _indent(guides: str) -> str:
    return guides[-DEEPEST * GUIDE_COLUMNS :]


def _line(row: _Row, scale: _Scale, width: int) -> Text:
    span = row.span
    failed = span.status == common_pb2.STATUS_CODE_ERROR
    style = "bold red" if failed else STYLES.get(span.kind, "")
    line = Text().append(row.above, "dim").append(plain(span.name), style)
    line.append(f"  {kind_name(span)}", "dim")
    if span.model:
        line.append(f"  {plain(span.model)}", "dim")
    line.truncate(round(width * NAME_SHARE), overflow="ellipsis", pad=True)
    length_s = (_ns(span.end_time) - _ns(span.start_time)) / 1e9
    line.append(_cell(duration(length_s), DURATION_COLUMNS))
    line.append(_cell(tokens(span.usage), TOKEN_COLUMNS))
    line.append(_cell(dollars(span), PRICE_COLUMNS)).append(GAP)
    first, bar = scale.bar(span, max(1, width - line.cell_len))
    return line.append(" " * first).append(bar, "red" if failed else style or "white")


def _cell(text: str, width: int) -> str:
    return f" {text:>{width - 1}}"


def _totals(view: TraceView) -> Text:
    kinds = Counter(kind_name(span) for span in view.spans)
    trace = view.trace
    used = tokens(trace.usage)
    parts = [
        counted(len(view.spans), "span"),
        ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()),
        f"{used} tokens" if used else "",
        money(trace.cost_usd),
        counted(trace.finding_count, "finding") if trace.finding_count else "",
    ]
    line = Text("  ".join(part for part in parts if part))
    if trace.error_count:
        line.append(f"  {counted(trace.error_count, 'error')}", "red")
    return line


def _ns(value: object) -> int:
    return int(value.ToNanoseconds())  # type: ignore[attr-defined]
