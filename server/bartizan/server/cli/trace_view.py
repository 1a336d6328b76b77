"""Traces as people read them: a table of many, a tree of one."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC

from rich.console import Group
from rich.text import Text
from rich.tree import Tree

from bartizan.client import TraceView
from bartizan.server.cli.output import (
    console,
    counted,
    duration,
    money,
    plain,
    print_table,
    shorten,
    tokens,
)
from bartizan.v1 import common_pb2, evaluation_pb2, trace_pb2

TEXT_LIMIT = 160
TITLES = (
    "Started", "Trace", "Name", "Agents", "Status", "Time", "Spans", "Tokens", "Cost", "Findings"
)  # fmt: skip


NARROW = ("Started", "Trace", "Name", "Status")


def print_traces(traces: Iterable[trace_pb2.Trace]) -> None:
    """Prints a line for each trace."""
    print_table(TITLES, map(_row, traces), "No traces match.", NARROW)


def print_trace(view: TraceView, verbose: bool) -> None:
    """Prints a trace as a tree of its spans, with their texts if verbose."""
    found = defaultdict(list)
    for finding in view.findings:
        found[finding.span_id].append(finding)
    children = find_children(view)
    tree = Tree(Text(headline(view.trace), style="bold"), guide_style="dim")
    # A list instead of recursion: a trace may be thousands of spans deep.
    waiting = [(tree, "")]
    while waiting:
        branch, parent = waiting.pop()
        for span in children.pop(parent, ()):
            label = Group(*_lines(span, view.trace, found[span.span_id], verbose))
            waiting.append((branch.add(label), span.span_id))
    console().print(tree)


def feedback_line(one: evaluation_pb2.Feedback) -> Text:
    """Returns what somebody thinks of a trace, on one line."""
    said = {
        "thumbs_up": "thumbs up" if one.thumbs_up else "thumbs down",
        "rating": f"{one.rating:g} of 100",
        "label": one.label,
    }
    parts = [said.get(one.WhichOneof("value") or "", ""), one.comment]
    if one.correction:
        parts.append(f"should be: {one.correction}")
    who = f" by {one.user_id}" if one.user_id else ""
    what = shorten(", ".join(filter(None, parts)), TEXT_LIMIT)
    return Text(plain(f"* {one.name}{who}: {what}"), style="cyan")


def _row(trace: trace_pb2.Trace) -> tuple[str, ...]:
    return (
        local_time(trace.start_time),
        trace.trace_id,
        trace.display_name,
        ", ".join(trace.agents),
        status(trace.status),
        duration(_seconds(trace)),
        f"{trace.span_count:,}",
        tokens(trace.usage),
        money(trace.cost_usd),
        f"{trace.finding_count:,}",
    )


def find_children(view: TraceView) -> defaultdict[str, list[common_pb2.Span]]:
    """Returns spans by the id of their parent, which is empty where the parent is not there."""
    known = {span.span_id for span in view.spans}
    children = defaultdict(list)
    for span in view.spans:
        parent = span.parent_span_id
        children[parent if parent in known and parent != span.span_id else ""].append(span)
    return children


def headline(trace: trace_pb2.Trace) -> str:
    """Returns what a trace is, when it was and what it took, on one line."""
    parts = [
        trace.display_name or trace.trace_id,
        trace.trace_id,
        local_time(trace.start_time),
        duration(_seconds(trace)),
        f"{used} tokens" if (used := tokens(trace.usage)) else "",
        money(trace.cost_usd),
        counted(trace.finding_count, "finding"),
    ]
    return plain("  ".join(part for part in parts if part))


def _lines(
    span: common_pb2.Span,
    trace: trace_pb2.Trace,
    findings: list[common_pb2.Finding],
    verbose: bool,
) -> Iterable[Text]:
    failed = span.status == common_pb2.STATUS_CODE_ERROR
    yield Text(plain("  ".join(_facts(span, trace))), style="red" if failed else "")
    yield from remarks(span, findings, verbose)


def remarks(
    span: common_pb2.Span, findings: list[common_pb2.Finding], verbose: bool
) -> Iterable[Text]:
    """Yields lines about a span: why it failed, what was found, and its texts if verbose."""
    if span.status == common_pb2.STATUS_CODE_ERROR:
        why = f": {shorten(span.status_message, TEXT_LIMIT)}" if span.status_message else ""
        yield Text(f"error {plain(span.error_type)}{why}", style="red")
    for finding in findings:
        yield Text(_finding(finding), style="yellow")
    if verbose:
        for mark, messages in (("←", span.input), ("→", span.output)):
            for message in messages:
                yield Text(
                    f"{mark} {_role(message)}: {shorten(message.content, TEXT_LIMIT)}", "dim"
                )


def _facts(span: common_pb2.Span, trace: trace_pb2.Trace) -> Iterable[str]:
    offset = _ns(span.start_time) - _ns(trace.start_time)
    yield span.name
    yield kind_name(span)
    yield f"+{duration(max(0, offset) / 1e9)}"
    yield duration((_ns(span.end_time) - _ns(span.start_time)) / 1e9)
    if span.model:
        yield span.model
    if span.usage.input or span.usage.output:
        yield f"{tokens(span.usage)} tokens"
    if span.HasField("cost"):
        yield dollars(span)


def kind_name(span: common_pb2.Span) -> str:
    """Returns llm, tool, agent …"""
    return common_pb2.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower()


def dollars(span: common_pb2.Span) -> str:
    """Returns the price of a span in its currency, nothing if it is unknown or free."""
    if span.cost.currency in ("", "USD"):
        return money(span.cost.amount)
    return f"{span.cost.amount} {span.cost.currency}"


def _finding(finding: common_pb2.Finding) -> str:
    action = common_pb2.Action.Name(finding.action).removeprefix("ACTION_").lower()
    shadow = " (shadow)" if finding.shadow else ""
    return plain(
        f"! {finding.category} in {finding.field}, score {finding.score:.2f}: "
        f"{action}{shadow} by {finding.rule}"
    )


def _role(message: common_pb2.Message) -> str:
    return common_pb2.Role.Name(message.role).removeprefix("ROLE_").lower()


def status(code: common_pb2.StatusCode.ValueType) -> str:
    """Returns ok, error or nothing."""
    name = common_pb2.StatusCode.Name(code).removeprefix("STATUS_CODE_").lower()
    return "" if name == "unspecified" else name


def local_time(value: object) -> str:
    """Returns a Timestamp in the reader's own time zone, to the second."""
    when = value.ToDatetime(UTC)  # type: ignore[attr-defined]
    return str(when.astimezone().replace(microsecond=0, tzinfo=None))


def _seconds(trace: trace_pb2.Trace) -> float:
    return (_ns(trace.end_time) - _ns(trace.start_time)) / 1e9


def _ns(value: object) -> int:
    return int(value.ToNanoseconds())  # type: ignore[attr-defined]
