"""`bartizan traces` and `bartizan trace ID`"""

from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json, Limit
from bartizan.server.cli.connection import connect
from bartizan.server.cli.filters import StoredFilter
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.client import Bartizan, TraceView
    from bartizan.v1 import evaluation_pb2


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
    """Show one trace with its spans, what was found in them and what people think of it.

    On a terminal of 100 columns or more, bars show when each span ran. With --json, prints one
    document with "trace", "spans", "findings" and "feedback", whole and not shortened.

    Examples:

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736 -v

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736 --json
    """
    with connect(server) as client:
        view = client.get_trace(id, omit_content=not (verbose or json))
        feedback = _feedback(client, view.trace.trace_id)
    if json:
        _print_json(view, feedback)
        return
    from bartizan.server.cli.output import console
    from bartizan.server.cli.trace_view import feedback_line

    out = console()
    if out.is_terminal and out.width >= WATERFALL_COLUMNS:
        from bartizan.server.cli.waterfall import print_waterfall

        print_waterfall(out, view, verbose)
    else:
        from bartizan.server.cli.trace_view import print_trace

        print_trace(view, verbose)
    for one in feedback:
        out.print(feedback_line(one))


def _feedback(client: "Bartizan", trace_id: str) -> "list[evaluation_pb2.Feedback]":
    from bartizan.client import Unimplemented

    try:
        return list(client.list_feedback(FEEDBACK_SHOWN, trace_id=trace_id))
    except Unimplemented:
        # An older server, which knows none.
        return []


def _print_json(view: "TraceView", feedback: "list[evaluation_pb2.Feedback]") -> None:
    from bartizan.server.cli.output import as_json, print_json

    print_json(
        {
            "trace": as_json(view.trace),
            "spans": [as_json(span) for span in view.spans],
            "findings": [as_json(finding) for finding in view.findings],
            "feedback": [as_json(one) for one in feedback],
        }
    )


FEEDBACK_SHOWN = 20
WATERFALL_COLUMNS = 100
"""Narrower than this, bars would leave too little of the names."""
