"""`bartizan traces` and `bartizan trace ID`"""

from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json, Limit
from bartizan.server.cli.connection import connect
from bartizan.server.cli.filters import StoredFilter
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.client import TraceView


@grouped
def traces(wanted: StoredFilter, limit: Limit = 20, json: Json = False, *, server: Server) -> None:
    """List traces, newest first.

    Every filter that is given must hold. With --json, prints one trace a line.

    Examples:

      bartizan traces --since 24h --status error

      bartizan traces --agent support-bot --finding pii --limit 100

      bartizan traces --min-cost 0.05 --json
    """
    with connect(server) as client:
        found = client.list_traces(limit, **wanted.query())
        if json:
            from bartizan.server.cli.output import print_messages

            print_messages(found)
        else:
            from bartizan.server.cli.trace_view import print_traces

            print_traces(found)


@grouped
def trace(
    id: Annotated[str, typer.Argument(metavar="ID", help="A trace id or a trace's full name.")],
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show texts too, redacted and shortened.")
    ] = False,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Show one trace with its spans and what was found in them.

    On a terminal of 100 columns or more, bars show when each span ran. With --json, prints one
    document with "trace", "spans" and "findings", whole and not shortened.

    Examples:

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736 -v

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736 --json
    """
    with connect(server) as client:
        view = client.get_trace(id, omit_content=not (verbose or json))
    if json:
        _print_json(view)
        return
    from bartizan.server.cli.output import console

    out = console()
    if out.is_terminal and out.width >= WATERFALL_COLUMNS:
        from bartizan.server.cli.waterfall import print_waterfall

        print_waterfall(out, view, verbose)
    else:
        from bartizan.server.cli.trace_view import print_trace

        print_trace(view, verbose)


def _print_json(view: "TraceView") -> None:
    from bartizan.server.cli.output import as_json, print_json

    print_json(
        {
            "trace": as_json(view.trace),
            "spans": [as_json(span) for span in view.spans],
            "findings": [as_json(finding) for finding in view.findings],
        }
    )


WATERFALL_COLUMNS = 100
"""Narrower than this, bars would leave too little of the names."""
