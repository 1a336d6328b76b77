"""`bartizan profiles` and `bartizan profiles use NAME`"""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.options import complete_profile

if TYPE_CHECKING:
    from bartizan.server.cli.profile_file import Profile

app = typer.Typer(
    name="profiles",
    help="""List profiles, or choose the one that commands use. Keys are never shown.

    Examples:

      bartizan profiles

      bartizan profiles use prod
    """,
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def profiles(context: typer.Context, json: Json = False) -> None:
    """Lists profiles unless a command follows."""
    if context.invoked_subcommand is not None:
        return
    from bartizan.server.cli import profile_file
    from bartizan.server.cli.output import print_json, print_table

    known = profile_file.load()
    current = os.environ.get("BARTIZAN_PROFILE") or known.current
    if json:
        for name, profile in sorted(known.by_name.items()):
            print_json(
                {
                    "name": name,
                    "current": name == current,
                    "endpoint": profile.endpoint,
                    "tls": _security(profile),
                }
            )
        return
    rows = (
        ("*" if name == current else "", name, profile.endpoint, _security(profile))
        for name, profile in sorted(known.by_name.items())
    )
    empty = "There are no profiles; 'bartizan login' makes one."
    print_table(("", "Name", "Server", "TLS"), rows, empty)


@app.command()
def use(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=complete_profile, help="Of the profile.")
    ],
    json: Json = False,
) -> None:
    """Make a profile the one that commands use."""
    from bartizan.server.cli import profile_file
    from bartizan.server.cli.output import print_json

    known = profile_file.load()
    profile = known.get(name)
    known.current = name
    profile_file.save(known)
    if json:
        print_json({"name": name, "current": True, "endpoint": profile.endpoint})
    else:
        print(f"{name} is the current profile now: {profile.endpoint}.")  # noqa: T201


def _security(profile: "Profile") -> str:
    """Returns "mutual", "yes" or "no"."""
    if profile.cert_file:
        return "mutual"
    return "yes" if profile.ca_file or profile.endpoint.startswith("https://") else "no"
