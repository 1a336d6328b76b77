"""`bartizan projects list|get|create|update`"""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import (
    Json,
    parse_span_of_time,
)
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bartizan.client import Bartizan
    from bartizan.v1 import admin_pb2

app = typer.Typer(
    name="projects",
    help="""Make, list and change projects. Needs a key of scope admin.

    Examples:

      bartizan projects create checkout --name "Checkout" --retention 90d

      bartizan projects update organizations/default/projects/checkout --max-spans-per-second 5000
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)

ProjectName = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Its id, or its full name as 'projects list' says."),
]
DisplayName = Annotated[str | None, typer.Option("--name", metavar="TEXT", help="For people.")]
Retention = Annotated[
    timedelta | None,
    typer.Option(
        parser=parse_span_of_time, metavar="TIME", help="How long spans are kept: 1d to 3650d."
    ),
]
MaxSpans = Annotated[
    int | None, typer.Option(min=0, help="So many spans a second are taken in; 0 is no limit.")
]


def _full_name(client: "Bartizan", name: str) -> str:
    """Returns the name of a project of the key's organization, if only its id is told."""
    if "/" in name:
        return name
    organization = client.admin.who_am_i().project.partition("/projects/")[0]
    return f"{organization}/projects/{name}"


@app.command("list")
@grouped
def list_(
    json: Json = False,
    *,
    server: Server,
) -> None:
    """List the projects of the key's organization, by name."""
    with connect(server) as client:
        _print(client.admin.list_projects(), json)


@app.command()
@grouped
def get(
    name: ProjectName,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Show one project."""
    with connect(server) as client:
        _print([client.admin.get_project(_full_name(client, name))], json)


@app.command()
@grouped
def create(
    id: Annotated[
        str,
        typer.Argument(metavar="ID", help="Lower-case letters, digits and hyphens: checkout."),
    ],
    name: DisplayName = None,
    retention: Retention = None,
    max_spans_per_second: MaxSpans = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Make a project in the key's organization."""
    project, _ = _project(name, retention, max_spans_per_second)
    with connect(server) as client:
        _print([client.admin.create_project(id, project)], json)


@app.command()
@grouped
def update(
    name: ProjectName,
    display_name: DisplayName = None,
    retention: Retention = None,
    max_spans_per_second: MaxSpans = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Change what is given and leave the rest."""
    project, fields = _project(display_name, retention, max_spans_per_second)
    if not fields:
        raise typer.BadParameter("Nothing to change: give --name, --retention or another option.")
    with connect(server) as client:
        project.name = _full_name(client, name)
        _print([client.admin.update_project(project, fields)], json)


def _project(
    display_name: str | None, retention: timedelta | None, max_spans_per_second: int | None
) -> tuple["admin_pb2.Project", list[str]]:
    from bartizan.v1 import admin_pb2

    project = admin_pb2.Project(
        display_name=display_name or "", max_spans_per_second=max_spans_per_second or 0
    )
    if retention is not None:
        project.retention.FromTimedelta(retention)
    given = {
        "display_name": display_name,
        "retention": retention,
        "max_spans_per_second": max_spans_per_second,
    }
    return project, [field for field, value in given.items() if value is not None]


def _print(found: "Iterable[admin_pb2.Project]", json: bool) -> None:
    from bartizan.server.cli.output import print_messages, print_table

    if json:
        print_messages(found)
        return
    titles = ("Name", "For", "Retention", "Spans a second")
    print_table(titles, map(_row, found), "There are no projects.")


def _row(project: "admin_pb2.Project") -> tuple[str, ...]:
    limit = project.max_spans_per_second
    days = project.retention.ToTimedelta() / timedelta(days=1)
    return project.name, project.display_name, f"{days:g} d", f"{limit:,}" if limit else "no limit"
