"""`bartizan traces` and `bartizan trace ID`"""

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import (
    CaFile,
    Endpoint,
    Json,
    Key,
    Limit,
    Since,
    Until,
    parse_span_of_time,
)
from bartizan.server.cli.connection import connect

if TYPE_CHECKING:
    from bartizan.client import TraceQuery


class Status(StrEnum):
    """How a trace ended."""

    OK = "ok"
    ERROR = "error"


def traces(
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="This agent worked in it.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Of this user.")] = None,
    session: Annotated[str | None, typer.Option(metavar="NAME", help="Of this session.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="This model answered in it.")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="It ended so.")] = None,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="It ran in this environment.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="It ran on this computer.")
    ] = None,
    workspace: Annotated[
        str | None, typer.Option(metavar="NAME", help="It ran in this workspace.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="It carries this tag; repeat for more.")
    ] = None,
    since: Since = None,
    until: Until = None,
    min_duration: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_span_of_time, metavar="TIME", help="At least so long: 2s, 500ms."
        ),
    ] = None,
    min_cost: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="At least so many US dollars.")
    ] = None,
    finding: Annotated[
        str | None,
        typer.Option(metavar="CATEGORY", help="A rule found this: pii, pii.email_address, or *."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Its redacted texts hold these words.")
    ] = None,
    limit: Limit = 20,
    json: Json = False,
    endpoint: Endpoint = None,
    api_key: Key = None,
    ca_file: CaFile = None,
) -> None:
    """List traces, newest first.

    Every filter that is given must hold. With --json, prints one trace a line.

    Examples:

      bartizan traces --since 24h --status error

      bartizan traces --agent support-bot --finding pii --limit 100

      bartizan traces --min-cost 0.05 --json
    """
    given = {
        "agent": agent, "user_id": user, "session_id": session, "model": model, "status": status,
        "environment": env, "machine": machine, "workspace": workspace, "tags": tag or None,
        "since": since and since.value, "until": until and until.value,
        "min_duration": min_duration, "min_cost_usd": min_cost,
        "finding": finding, "text": text,
    }  # fmt: skip
    query: TraceQuery = {key: value for key, value in given.items() if value is not None}  # type: ignore[assignment]
    with connect(endpoint, api_key, ca_file) as client:
        found = client.list_traces(limit, **query)
        if json:
            from bartizan.server.cli.output import print_messages

            print_messages(found)
        else:
            from bartizan.server.cli.trace_view import print_traces

            print_traces(found)


def trace(
    id: Annotated[str, typer.Argument(metavar="ID", help="A trace id or a trace's full name.")],
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show texts too, redacted and shortened.")
    ] = False,
    json: Json = False,
    endpoint: Endpoint = None,
    api_key: Key = None,
    ca_file: CaFile = None,
) -> None:
    """Show one trace with its spans and what was found in them.

    With --json, prints one document with "trace", "spans" and "findings", whole and not shortened.

    Examples:

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736 -v

      bartizan trace 4bf92f3577b34da6a3ce929d0e0e4736 --json
    """
    with connect(endpoint, api_key, ca_file) as client:
        view = client.get_trace(id, omit_content=not (verbose or json))
    if json:
        from bartizan.server.cli.output import as_json, print_json

        print_json(
            {
                "trace": as_json(view.trace),
                "spans": [as_json(span) for span in view.spans],
                "findings": [as_json(finding) for finding in view.findings],
            }
        )
    else:
        from bartizan.server.cli.trace_view import print_trace

        print_trace(view, verbose)
