"""`bartizan tail`"""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.connection import connect
from bartizan.server.cli.filters import LiveFilter
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from collections.abc import Callable

    from bartizan.v1 import trace_pb2

LONGEST_WAIT_S = 2.0
"""Between attempts to reach a server that went away: a person looks on."""


@grouped
def tail(
    wanted: LiveFilter,
    all: Annotated[
        bool, typer.Option("--all", help="A line for every commit, unfinished traces included.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="End after so many lines.")
    ] = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Show traces live, as they are stored, until Ctrl-C.

    A trace gets a line when it is finished, which is when its root span has come, and another one
    if it then turns out to have failed or a finding is added. When the server restarts, it is
    waited for. With --json, prints one trace a line.

    Examples:

      bartizan tail

      bartizan tail --agent support-bot --status error

      bartizan tail --json --limit 10
    """
    from bartizan.client import Backoff
    from bartizan.server.cli.following import News, follow

    news = News()
    left = limit
    with connect(server) as client:
        show = _printer(json)
        found = follow(client, wanted.query(), _say, backoff=Backoff(longest_s=LONGEST_WAIT_S))
        for trace in found:
            if not all and not news.worth_showing(trace):
                continue
            show(trace)
            left = left and left - 1
            if left == 0:
                found.close()
                return


def _printer(json: bool) -> "Callable[[trace_pb2.Trace], None]":
    from bartizan.server.cli.output import as_json, console, print_json
    from bartizan.server.cli.trace_line import trace_line

    out = console()

    def show(trace: "trace_pb2.Trace") -> None:
        if json:
            print_json(as_json(trace))
        else:
            out.print(trace_line(trace, out.width), soft_wrap=True)
        sys.stdout.flush()

    return show


def _say(sentence: str) -> None:
    print(f"bartizan: {sentence}", file=sys.stderr)  # noqa: T201
