"""`bartizan send FILE`"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.connection import choose, dial
from bartizan.server.cli.errors import Failed
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.client import Bartizan
    from bartizan.server.cli.delivery import Report
    from bartizan.server.cli.send_state import SendState
    from bartizan.server.cli.source import Source

SHOWN = 20
"""Refused lines that are told one by one."""


@grouped
def send(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="NDJSON or OTLP JSON, also packed by gzip; '-' is standard input."
        ),
    ],
    now: Annotated[
        bool, typer.Option("--now", help="Move all times so that the last span ends now.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last line that an earlier run sent.")
    ] = False,
    rejects: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write every refused line's number and reason there."),
    ] = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Send the spans of a file and wait until they are stored.

    The file holds one span a line, as proto3 JSON of bartizan.v1.Span, or OTLP JSON with
    "resourceSpans", one request a line or one in the whole file; which of them is found out.

    Sending a file again is harmless: ids stay as they are, so every span counts as a duplicate
    and changes nothing. That holds with --now too, which moves times and not ids. To save time
    after an interruption, --resume goes on from what FILE.sent says; standard input and --now
    begin at the first line.

    Ends with code 1 if any line was refused; the others are stored all the same.

    Examples:

      bartizan send examples/sample-traces.ndjson --now

      bartizan send old-traces.ndjson.gz --resume --rejects refused.ndjson

      generate-spans | bartizan send - --json
    """
    lasting = Path(file).is_file()
    _check(file, lasting, now, resume, rejects)
    from bartizan.server.cli import source
    from bartizan.server.cli.delivery import Report
    from bartizan.server.cli.send_state import SendState

    report = Report()
    where = choose(server)
    with ExitStack() as stack:
        origin = stack.enter_context(source.opened(file))
        client = stack.enter_context(dial(where))
        # A wrong key or address is told at once; once it sends, it waits longer for a server.
        project = client.admin.who_am_i().project
        state = None
        if lasting and not now:
            state = SendState(Path(file), where.endpoint, report, time.monotonic)
            state.project = project
            if resume:
                _resume(state, report)
        report.on_reject = stack.enter_context(source.rejects(rejects, report.line))
        tick = stack.enter_context(_progress(origin, report))
        _deliver(client, origin, report, state, now, tick)
    _tell(report, json)
    if report.refused:
        raise typer.Exit(1)


def _check(file: str, lasting: bool, now: bool, resume: bool, rejects: str | None) -> None:
    if resume and now:
        raise typer.BadParameter("--resume does not go with --now, which needs all lines.")
    if resume and not lasting and (file == "-" or Path(file).exists()):
        raise typer.BadParameter("--resume needs a file that is still there: no pipe, no terminal.")
    if rejects and lasting and Path(rejects).exists() and Path(rejects).samefile(file):
        raise typer.BadParameter("--rejects must name another file than the one that is sent.")


def _resume(state: "SendState", report: "Report") -> None:
    if why := state.resume():
        _say(f"bartizan: Begins at the first line, as {why}.")
    else:
        _say(f"bartizan: Goes on after line {report.line:,}.")


def _deliver(
    client: "Bartizan",
    origin: "Source",
    report: "Report",
    state: "SendState | None",
    now: bool,
    tick: Callable[[], None],
) -> None:
    def settled() -> None:
        tick()
        if state is not None:
            state.keep_now_and_then()

    from bartizan.client import BartizanError

    try:
        _transfer(client, origin, report, state, now, settled)
    except (KeyboardInterrupt, BartizanError, Failed, OSError):
        # What is stored stays stored.
        _say(f"{_counts(report)} before it broke off{_way_on(report, state)}")
        raise
    if state is not None:
        state.forget()


def _transfer(
    client: "Bartizan",
    origin: "Source",
    report: "Report",
    state: "SendState | None",
    now: bool,
    settled: Callable[[], None],
) -> None:
    from bartizan.server.cli import delivery, span_file, timeshift

    lines = span_file.numbered(origin)
    is_otlp = state.otlp if state is not None else None
    if is_otlp is None:
        is_otlp, lines = span_file.recognise(lines)
    if state is not None:
        state.otlp = is_otlp
    done = report.line
    lines = dropwhile(lambda line: line[0] <= done, lines)
    if is_otlp:
        requests = list(span_file.read_otlp(lines)) if now else span_file.read_otlp(lines)
        if isinstance(requests, list):
            known = [one.request for one in requests if isinstance(one, span_file.OtlpLine)]
            timeshift.shift_otlp(known, time.time_ns())
        delivery.deliver_otlp(client, requests, report, settled)
    else:
        spans = list(span_file.read_spans(lines)) if now else span_file.read_spans(lines)
        if isinstance(spans, list):
            read = [one.span for one in spans if isinstance(one, span_file.SpanLine)]
            timeshift.shift_spans(read, time.time_ns())
        stream_id = state.stream_id if state is not None else None
        delivery.deliver_spans(client, spans, report, settled, stream_id)


def _way_on(report: "Report", state: "SendState | None") -> str:
    """Returns how to go on, which is what the next command must be told."""
    if state is None or not report.line:
        return "; sending all of it again is harmless"
    state.keep()
    if state.problem:
        return f" (where it was cannot be kept: {state.problem}); sending it again is harmless"
    return f", up to line {report.line:,}; the same command with --resume goes on from there"


@contextmanager
def _progress(origin: "Source", report: "Report") -> Iterator[Callable[[], None]]:
    """Shows how far it is, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    begun_s, before = time.monotonic(), report.sent
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("sending", total=origin.size)

        def tick() -> None:
            rate = (report.sent - before) / max(time.monotonic() - begun_s, 0.001)
            said = f"{_counts(report)}, {rate:,.0f} spans/s"
            progress.update(task, completed=origin.position(), description=said)

        yield tick


def _counts(report: "Report") -> str:
    parts = [f"{report.sent:,} spans sent"]
    names = ("stored", "accepted", "duplicate", "quarantined", "refused")
    parts += [f"{report.counts[name]:,} {name}" for name in names if report.counts[name]]
    return ", ".join(parts)


def _tell(report: "Report", json: bool) -> None:
    if json:
        from bartizan.server.cli.output import print_json

        print_json({**report.counts, "rejected": report.rejected})
        return
    for one in report.rejected[:SHOWN]:
        _say(f"line {one['line']}: {one['why']}")
    if (more := report.refused_lines - SHOWN) > 0:
        _say(f"and {more} more lines")
    print(_counts(report))  # noqa: T201


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)  # noqa: T201
