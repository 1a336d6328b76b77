"""`bartizan version`"""

from bartizan.server.cli.arguments import Json


def version(json: Json = False) -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    number = installed("bartizan")
    if json:
        from bartizan.server.cli.output import print_json

        print_json({"version": number})
    else:
        print(number)  # noqa: T201
