"""`bartizan export`"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.connection import choose, dial
from bartizan.server.cli.filters import StoredFilter
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.client import Bartizan, TraceQuery
    from bartizan.server.cli.span_writer import Progress, SpanWriter


@grouped
def export(
    wanted: StoredFilter,
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Where to; '-' is standard output."),
    ] = "-",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an export to this file that broke off.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many traces.")
    ] = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Write the spans of traces as NDJSON that 'bartizan send' takes.

    Traces come newest first, each with all its spans. A file is written as FILE.part and gets its
    name when it is whole. When that breaks off, the same command with --resume goes on from the
    last whole trace. With --json, the counts at the end are JSON.

    Examples:

      bartizan export --since 24h -o yesterday.ndjson

      bartizan export --agent support-bot -o support.ndjson --resume

      bartizan export --session chat-1042 | gzip > chat-1042.ndjson.gz
    """
    if output == "-" and resume:
        raise typer.BadParameter("--resume needs a file; give one with -o FILE.")
    where = choose(server)
    with dial(where) as client:
        asked = {"limit": limit, "server": where.endpoint, **_named(wanted)}
        with _writer(client, output, asked, resume) as writer, _progress(writer.progress) as tick:
            try:
                _copy(client, wanted.query(), writer, limit, tick)
            except BaseException:
                # Whatever it was, Ctrl-C included: the next command must be told.
                if output != "-":
                    said = f"{_counts(writer.progress)} written before it broke off"
                    _say(f"{said}; the same command with --resume goes on from there")
                raise
    _tell(writer.progress, output, json)


def _named(wanted: StoredFilter) -> dict[str, str]:
    return {name: str(value) for name, value in wanted.named().items() if value is not None}


@contextmanager
def _writer(
    client: "Bartizan", output: str, asked: dict[str, Any], resume: bool
) -> "Iterator[SpanWriter]":
    from bartizan.server.cli.span_writer import Progress, SpanWriter, to_file

    now = datetime.now(UTC)
    if output == "-":
        yield SpanWriter(sys.stdout.buffer, Progress(now.isoformat()))
        return
    asked = {**asked, "project": client.admin.who_am_i().project}
    with to_file(output, asked, resume, now, time.monotonic) as writer:
        yield writer


def _copy(
    client: "Bartizan",
    query: "TraceQuery",
    writer: "SpanWriter",
    limit: int | None,
    tick: Callable[[], None],
) -> None:
    from bartizan.client import NotFound

    progress = writer.progress
    for trace in client.list_traces(**progress.narrow(query)):
        if limit is not None and progress.traces >= limit:
            return
        if not progress.comes_next(trace):
            continue
        with suppress(NotFound):  # its retention ended between the two calls
            writer.write(trace, client.get_trace(trace.name).spans)
        tick()


@contextmanager
def _progress(done: "Progress") -> Iterator[Callable[[], None]]:
    """Shows how far it is, where somebody watches."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    console = Console(stderr=True)
    begun_s, before = time.monotonic(), done.spans
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("reading", total=None)

        def tick() -> None:
            rate = (done.spans - before) / max(time.monotonic() - begun_s, 0.001)
            progress.update(task, description=f"{_counts(done)}, {rate:,.0f} spans/s")

        yield tick


def _counts(done: "Progress") -> str:
    from bartizan.server.cli.output import counted

    return f"{counted(done.traces, 'trace')}, {counted(done.spans, 'span')}"


def _tell(done: "Progress", output: str, json: bool) -> None:
    import json as encoder

    said = f"{_counts(done)} written"
    if json:
        said = encoder.dumps({"traces": done.traces, "spans": done.spans, "file": output})
    if output == "-":
        _say(said)
    else:
        print(said)  # noqa: T201


def _say(sentence: str) -> None:
    """Tells what must not get into an export on standard output."""
    print(sentence, file=sys.stderr)  # noqa: T201
