"""`bartizan keys list|create|revoke|rotate`"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import (
    Json,
    parse_span_of_time,
)
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.v1 import admin_pb2

app = typer.Typer(
    name="keys",
    help="""Make, list and end API keys. Needs a key of scope admin.

    Examples:

      bartizan keys create --scope ingest --name "checkout service"

      bartizan keys rotate organizations/default/projects/default/apiKeys/7 --overlap 1h
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)

KeyName = Annotated[
    str, typer.Argument(metavar="NAME", help="The key's full name, as 'bartizan keys list' says.")
]
ProjectName = Annotated[
    str,
    typer.Option(metavar="NAME", help="The project's full name. [default: the key's own project]"),
]


class Scope(StrEnum):
    """What a key may do."""

    INGEST = "ingest"
    READ = "read"
    CHECK = "check"
    RULES = "rules"
    REVEAL = "reveal"
    ADMIN = "admin"


@app.command("list")
@grouped
def list_(
    project: ProjectName = "",
    json: Json = False,
    *,
    server: Server,
) -> None:
    """List keys, newest first, revoked ones included. Secrets are never shown again."""
    from bartizan.server.cli.output import print_messages, print_table

    with connect(server) as client:
        found = client.admin.list_keys(project)
        if json:
            print_messages(found)
        else:
            titles = ("Name", "Prefix", "For", "Scopes", "Last used", "State")
            print_table(titles, map(_row, found), "There are no keys.")


@app.command()
@grouped
def create(
    scope: Annotated[list[Scope], typer.Option(help="What it may do; repeat for more.")],
    name: Annotated[str, typer.Option(metavar="TEXT", help="What it is for.")] = "",
    expires_in: Annotated[
        timedelta | None,
        typer.Option(parser=parse_span_of_time, metavar="TIME", help="It ends then: 90d."),
    ] = None,
    project: ProjectName = "",
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Make a key and show its secret, this once."""
    expires = datetime.now(UTC) + expires_in if expires_in is not None else None
    with connect(server) as client:
        made = client.admin.create_key(
            [str(one) for one in scope], display_name=name, project=project, expires=expires
        )
    _print_secret(made.api_key, made.secret, json)


@app.command()
@grouped
def revoke(
    name: KeyName,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """End a key at once."""
    from bartizan.server.cli.output import console, print_messages

    with connect(server) as client:
        ended = client.admin.revoke_key(name)
    if json:
        print_messages([ended])
    else:
        console().print(f"Revoked {ended.name}.")


@app.command()
@grouped
def rotate(
    name: KeyName,
    overlap: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_span_of_time,
            metavar="TIME",
            help="The old key goes on working so long, at most 30d. [default: 24h]",
        ),
    ] = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Make a key in place of another and show its secret, this once."""
    with connect(server) as client:
        made = client.admin.rotate_key(name, overlap)
    _print_secret(made.api_key, made.secret, json)


def _print_secret(key: "admin_pb2.ApiKey", secret: str, json: bool) -> None:
    from bartizan.server.cli.output import as_json, console, print_json

    if json:
        print_json({"api_key": as_json(key), "secret": secret})
    else:
        out = console()
        out.print(f"{key.name}\n{secret}", soft_wrap=True)
        out.print("Keep the secret now; it is not shown again.")


def _row(key: "admin_pb2.ApiKey") -> tuple[str, ...]:
    from bartizan.server.cli.trace_view import local_time
    from bartizan.v1 import admin_pb2

    scopes = (admin_pb2.Scope.Name(one).removeprefix("SCOPE_").lower() for one in key.scopes)
    used = local_time(key.last_used_time) if key.HasField("last_used_time") else "never"
    state = "valid"
    if key.HasField("revoke_time"):
        state = f"revoked {local_time(key.revoke_time)}"
    elif key.HasField("expire_time"):
        state = f"until {local_time(key.expire_time)}"
    return key.name, key.prefix, key.display_name, ", ".join(scopes), used, state
