"""Options that many commands share, each group as one dataclass."""

import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer

Command = Callable[..., None]


def complete_profile(incomplete: str) -> list[str]:
    """Returns the profiles whose names begin so, for a shell; never fails."""
    from bartizan.server.cli.profile_file import names

    return [name for name in names() if name.startswith(incomplete)]


@dataclass(frozen=True, slots=True)
class Server:
    """Which server, as whom and how secured, as far as options say it."""

    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=complete_profile,
            help="Server and key as 'bartizan login' stored them. [env var: BARTIZAN_PROFILE]",
        ),
    ] = None
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The server's gRPC door; https://HOST:PORT for TLS. [env var: BARTIZAN_ENDPOINT] "
            "[default: localhost:4317]",
        ),
    ] = None
    api_key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Your project's key. [env var: BARTIZAN_API_KEY]"),
    ] = None
    ca_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Who signs the server's certificate, PEM. Turns TLS on."),
    ] = None
    cert_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Your own certificate for mutual TLS, PEM."),
    ] = None
    key_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="The key of --cert-file, PEM.")
    ] = None


def grouped(command: Command) -> Command:
    """Returns the command with every parameter that is a dataclass as one option for each field."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

    @functools.wraps(command)
    def spread(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{one.name: values.pop(one.name) for one in fields(group)})
        command(**values)

    parameters = [
        one
        for parameter in inspect.signature(command).parameters.values()
        for one in (
            _of(groups[parameter.name])
            if parameter.name in groups
            else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        )
    ]
    spread.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spread.__annotations__ = {one.name: one.annotation for one in parameters}
    return spread


def _of(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        default = inspect.Parameter.empty if one.default is MISSING else one.default
        yield inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=default,
            annotation=hints[one.name],
        )
