"""`bartizan login` and `bartizan logout`"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.options import Server, complete_profile, grouped

if TYPE_CHECKING:
    from bartizan.server.cli.profile_file import Profile
    from bartizan.v1 import admin_pb2

DEFAULT_ENDPOINT = "localhost:4317"
DEFAULT_PROFILE = "default"
MAX_KEY_CHARACTERS = 4096
"""Far more than a key has; a file that was piped in by mistake is not read whole."""


@grouped
def login(json: Json = False, *, server: Server) -> None:
    """Store a server and a key as a profile, and use it from now on.

    Asks for what the options do not say. The key is not shown while it is typed; where there is
    no terminal, it is read from standard input. It is stored only when the server knows it, in a
    file that only you can read.

    Examples:

      bartizan login

      bartizan login --profile prod --endpoint https://traces.example.com:4317 < key.txt

      bartizan login --profile lab --endpoint lab:4317 --ca-file ca.pem
    """
    from bartizan.server.cli import profile_file
    from bartizan.server.cli.connection import dial

    profiles = profile_file.load()
    name = server.profile or os.environ.get("BARTIZAN_PROFILE") or DEFAULT_PROFILE
    known = profiles.by_name.get(profile_file.check_name(name))
    profile = _ask(server, known.endpoint if known else "")
    with dial(profile) as client:
        who = client.admin.who_am_i()
    profiles.by_name[name] = profile
    profiles.current = name
    path = profile_file.save(profiles)
    _tell(name, profile, who, path, json)


def logout(
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_profile,
            help="This one. [default: the current one]",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Forget a profile and its key. The key itself stays valid.

    Examples:

      bartizan logout

      bartizan logout --profile prod
    """
    from bartizan.plugins.errors import ConfigError
    from bartizan.server.cli import profile_file
    from bartizan.server.cli.output import print_json

    profiles = profile_file.load()
    name = profile or os.environ.get("BARTIZAN_PROFILE") or profiles.current
    if not name:
        raise ConfigError("PROFILE_NONE", "No profile is current; name one with --profile.")
    profiles.get(name)
    del profiles.by_name[name]
    if profiles.current == name:
        profiles.current = ""
    profile_file.save(profiles)
    if json:
        print_json({"profile": name, "current": profiles.current})
    else:
        print(  # noqa: T201
            f"Forgot the profile {name}. Its key stays valid; 'bartizan keys revoke' ends a key."
        )


def _ask(server: Server, known_endpoint: str) -> "Profile":
    from bartizan.server.cli.profile_file import Profile

    suggestion = known_endpoint or os.environ.get("BARTIZAN_ENDPOINT") or DEFAULT_ENDPOINT
    endpoint = server.endpoint or ""
    if not endpoint:
        endpoint = _prompt("Endpoint", suggestion) if sys.stdin.isatty() else suggestion
    files = {
        name: _absolute(getattr(server, name)) for name in ("ca_file", "cert_file", "key_file")
    }
    profile = Profile(endpoint, **files)
    key = server.api_key or (_prompt_hidden("API key") if sys.stdin.isatty() else _read_key())
    return replace(profile, api_key=key)


def _prompt(what: str, default: str) -> str:
    # typer.prompt would write to standard output, which is for the answer alone.
    print(f"{what} [{default}]: ", end="", file=sys.stderr, flush=True)  # noqa: T201
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip() or default


def _prompt_hidden(what: str) -> str:
    from getpass import getpass

    try:
        key = getpass(f"{what}: ", stream=sys.stderr).strip()
    except EOFError:
        raise typer.Abort from None
    if not key:
        raise typer.BadParameter("No key was typed.")
    return key


def _read_key() -> str:
    try:
        lines = sys.stdin.read(MAX_KEY_CHARACTERS).split()
    except UnicodeDecodeError:
        lines = []
    if len(lines) != 1:
        raise typer.BadParameter("Standard input must hold the key, and nothing else.")
    return lines[0]


def _absolute(file: str | None) -> str:
    """Returns a path that holds wherever later commands are run."""
    return str(Path(file).expanduser().absolute()) if file else ""


def _tell(
    name: str, profile: "Profile", who: "admin_pb2.WhoAmIResponse", path: Path, json: bool
) -> None:
    from bartizan.server.cli.output import print_json
    from bartizan.v1 import admin_pb2

    scopes = [
        admin_pb2.Scope.Name(one).removeprefix("SCOPE_").lower() for one in who.api_key.scopes
    ]
    if json:
        print_json(
            {
                "profile": name,
                "endpoint": profile.endpoint,
                "project": who.project,
                "key": who.api_key.name,
                "scopes": scopes,
                "server_version": who.server_version,
                "config_file": str(path),
            }
        )
    else:
        print(  # noqa: T201
            f"The key of {who.project}, for {', '.join(scopes) or 'nothing'}; "
            f"the server is Bartizan {who.server_version or 'of unknown version'}.\n"
            f"Stored as profile {name} in {path}; it is the current one now."
        )
    for variable in ("BARTIZAN_API_KEY", "BARTIZAN_ENDPOINT"):
        if os.environ.get(variable):
            print(  # noqa: T201
                f"bartizan: {variable} is set and wins over the profile; unset it, "
                f"or use --profile {name}.",
                file=sys.stderr,
            )
