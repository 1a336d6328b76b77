"""`bartizan send FILE`"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import CaFile, Endpoint, Json, Key
from bartizan.server.cli.connection import connect

if TYPE_CHECKING:
    from bartizan.client import Bartizan
    from bartizan.server.cli.delivery import Report

SHOWN = 20
"""Refused lines that are told one by one."""


def send(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="NDJSON or OTLP JSON; '-' is standard input.")
    ],
    now: Annotated[
        bool, typer.Option("--now", help="Move all times so that the last span ends now.")
    ] = False,
    json: Json = False,
    endpoint: Endpoint = None,
    api_key: Key = None,
    ca_file: CaFile = None,
) -> None:
    """Send the spans of a file and wait until they are stored.

    The file holds one span a line, as proto3 JSON of bartizan.v1.Span, or OTLP JSON with
    "resourceSpans", one request a line or one in the whole file; which of them is found out.

    Sending a file again is harmless: ids stay as they are, so every span counts as a duplicate
    and changes nothing. That holds with --now too, which moves times and not ids.

    Ends with code 1 if any line was refused; the others are stored all the same.

    Examples:

      bartizan send examples/sample-traces.ndjson --now

      zcat old-traces.ndjson.gz | bartizan send - --json
    """
    from bartizan.client import BartizanError
    from bartizan.server.cli.delivery import Report

    report = Report()
    with ExitStack() as stack:
        source, size = stack.enter_context(_open(file))
        client = stack.enter_context(connect(endpoint, api_key, ca_file))
        advance = stack.enter_context(_progress(size, report))
        try:
            _deliver(client, _watched(source, advance), report, now, advance)
        except BartizanError:
            # What is stored stays stored; sending the whole file again completes it.
            print(f"{_counts(report)} before it failed", file=sys.stderr)  # noqa: T201
            raise
    _tell(report, json)
    if report.rejected:
        raise typer.Exit(1)


def _deliver(
    client: "Bartizan",
    source: Iterator[bytes],
    report: "Report",
    now: bool,
    advance: Callable[[int], None],
) -> None:
    from bartizan.server.cli import delivery, span_file, timeshift

    def tick() -> None:
        advance(0)

    is_otlp, lines = span_file.recognise(span_file.numbered(source))
    if is_otlp:
        requests = list(span_file.read_otlp(lines)) if now else span_file.read_otlp(lines)
        if isinstance(requests, list):
            known = [one.request for one in requests if isinstance(one, span_file.OtlpLine)]
            timeshift.shift_otlp(known, time.time_ns())
        delivery.deliver_otlp(client, requests, report, tick)
    else:
        spans = list(span_file.read_spans(lines)) if now else span_file.read_spans(lines)
        if isinstance(spans, list):
            read = [one.span for one in spans if isinstance(one, span_file.SpanLine)]
            timeshift.shift_spans(read, time.time_ns())
        delivery.deliver_spans(client, spans, report, tick)


@contextmanager
def _open(name: str) -> Iterator[tuple[IO[bytes], int | None]]:
    if name == "-":
        yield sys.stdin.buffer, None
        return
    path = Path(name)
    try:
        source = path.open("rb")
        size = path.stat().st_size
    except OSError as error:
        raise typer.BadParameter(f"The file {name} cannot be read: {error.strerror}.") from None
    with source:
        yield source, size


def _watched(source: IO[bytes], advance: Callable[[int], None]) -> Iterator[bytes]:
    for line in source:
        advance(len(line))
        yield line


@contextmanager
def _progress(size: int | None, report: "Report") -> Iterator[Callable[[int], None]]:
    """Shows how far it is, where somebody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("sending", total=size)

        def advance(count: int) -> None:
            progress.update(task, advance=count, description=_counts(report))

        yield advance


def _counts(report: "Report") -> str:
    parts = [f"{report.sent:,} spans sent"]
    counts = {
        "stored": report.stored,
        "accepted": report.accepted,
        "duplicate": report.duplicate,
        "quarantined": report.quarantined,
        "refused": report.refused,
    }
    parts += [f"{count:,} {name}" for name, count in counts.items() if count]
    return ", ".join(parts)


def _tell(report: "Report", json: bool) -> None:
    if json:
        from dataclasses import asdict

        from bartizan.server.cli.output import print_json

        print_json(asdict(report))
        return
    for one in report.rejected[:SHOWN]:
        print(f"line {one['line']}: {one['why']}", file=sys.stderr)  # noqa: T201
    if len(report.rejected) > SHOWN:
        print(f"and {len(report.rejected) - SHOWN} more lines", file=sys.stderr)  # noqa: T201
    print(_counts(report))  # noqa: T201
