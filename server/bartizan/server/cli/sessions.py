"""`bartizan sessions [ID]`"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bartizan.server.cli.arguments import Json, Limit, Since, Until
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.v1 import trace_pb2


NARROW = ("Last active", "Session", "User", "Traces", "Cost")


@grouped
def sessions(
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show this session and its traces.")
    ] = None,
    agent: Annotated[
        str | None, typer.Option(metavar="NAME", help="This agent worked in it.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Of this user.")] = None,
    env: Annotated[
        str | None, typer.Option(metavar="NAME", help="It ran in this environment.")
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """List sessions, last active first, or show one with its traces.

    With --json, prints one session a line; for one session its traces follow it.

    Examples:

      bartizan sessions --since 24h --agent support-bot

      bartizan sessions chat-1042
    """
    from bartizan.server.cli.output import print_messages

    given: dict[str, Any] = {
        "agent": agent, "user_id": user, "environment": env, "since": since and since.value,
        "until": until and until.value,
    }  # fmt: skip
    query = {key: value for key, value in given.items() if value is not None}
    with connect(server) as client:
        if id is None:
            found = client.list_sessions(limit, **query)
            print_messages(found) if json else _print_sessions(found)
            return
        session = client.get_session(id)
        traces = client.list_traces(limit, session_id=session.session_id)
        if json:
            print_messages([session])
            print_messages(traces)
        else:
            from bartizan.server.cli.trace_view import print_traces

            _print_sessions([session])
            print_traces(traces)


def _print_sessions(found: Iterable["trace_pb2.Session"]) -> None:
    from bartizan.server.cli.output import duration, money, print_table, tokens
    from bartizan.server.cli.trace_view import local_time

    def row(one: "trace_pb2.Session") -> tuple[str, ...]:
        length_ns = one.end_time.ToNanoseconds() - one.start_time.ToNanoseconds()
        return (
            local_time(one.end_time),
            one.session_id,
            one.user_id,
            ", ".join(one.agents),
            duration(length_ns / 1e9),
            f"{one.trace_count:,}",
            f"{one.error_count:,}",
            tokens(one.usage),
            money(one.cost_usd),
            f"{one.finding_count:,}",
        )

    titles = (
        "Last active", "Session", "User", "Agents", "Time", "Traces", "Errors", "Tokens", "Cost",
        "Findings",
    )  # fmt: skip
    print_table(titles, map(row, found), "No sessions match.", NARROW)
