"""A trace as one line, for those who watch them come in."""

from datetime import UTC

from rich.text import Text

from bartizan.server.cli.output import counted, duration, money, plain, shorten, tokens
from bartizan.v1 import common_pb2, trace_pb2

NAME_COLUMNS = 20
AGENT_COLUMNS = 14
WIDE_COLUMNS = 140
"""Narrower than this, tokens and user are left out, so that a line stays one."""
MARKS = {
    common_pb2.STATUS_CODE_OK: ("ok", "green"),
    common_pb2.STATUS_CODE_ERROR: ("error", "bold red"),
}


def trace_line(trace: trace_pb2.Trace, columns: int) -> Text:
    """Returns when a trace ended, how, what it was, what it took and its id."""
    mark, style = MARKS.get(trace.status, ("", ""))
    if not trace.root_seen:
        mark, style = "…", "dim"
    wide = columns >= WIDE_COLUMNS
    line = Text()
    line.append(_clock(trace), "dim")
    line.append(f" {mark:<5} ", style)
    line.append(_column(", ".join(trace.agents), AGENT_COLUMNS), "blue")
    line.append(f" {_column(trace.display_name, NAME_COLUMNS)}", "bold")
    line.append(f" {duration(_seconds(trace)):>8} {counted(trace.span_count, 'span'):>8}")
    line.append(f" {tokens(trace.usage):>15}" if wide else "")
    line.append(f" {money(trace.cost_usd):>9}")
    found = counted(trace.finding_count, "finding") if trace.finding_count else ""
    line.append(f" {found:<11}", "yellow")
    line.append(f" {trace.trace_id}", "dim")
    return line.append(f" {plain(trace.user_id)}" if wide and trace.user_id else "")


def _column(text: str, width: int) -> str:
    cell = Text(shorten(text, 256))
    cell.truncate(width, overflow="ellipsis", pad=True)
    return cell.plain


def _clock(trace: trace_pb2.Trace) -> str:
    return f"{trace.end_time.ToDatetime(UTC).astimezone():%H:%M:%S}"


def _seconds(trace: trace_pb2.Trace) -> float:
    return (trace.end_time.ToNanoseconds() - trace.start_time.ToNanoseconds()) / 1e9
