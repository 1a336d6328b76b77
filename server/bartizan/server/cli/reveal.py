"""`bartizan reveal TOKEN`"""

from typing import Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

UNREADABLE = 1


@grouped
def reveal(
    tokens: Annotated[
        list[str],
        typer.Argument(metavar="TOKEN", help="Pseudonyms as they stand in traces; 100 at most."),
    ],
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Turn pseudonyms back into what they stand for.

    Each call is logged by the server. Needs a key of scope reveal. Ends with 1 if a token is none
    that this project's vault can read.

    Examples:

      bartizan reveal '[EMAIL_ADDRESS:v1.OQ4XI3DPN5WGK43UNFXGO]'
    """
    from bartizan.server.cli.output import print_messages, print_table

    with connect(server) as client:
        found = client.rules.reveal(tokens)
    if json:
        print_messages(found)
    else:
        rows = [(one.token, one.text if one.readable else "(not readable)") for one in found]
        print_table(("Pseudonym", "Stands for"), rows, "")
    if not all(one.readable for one in found):
        raise typer.Exit(UNREADABLE)
