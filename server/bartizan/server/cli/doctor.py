"""`bartizan doctor`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json

if TYPE_CHECKING:
    from bartizan.server.cli.checks import Finding

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def doctor(
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="As for 'bartizan serve'.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(metavar="URL", help="As for 'bartizan serve'.")
    ] = None,
    grpc_listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="As for 'bartizan serve'.")
    ] = None,
    http_listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="As for 'bartizan serve'.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="As for 'bartizan serve'.")
    ] = None,
    json: Json = False,
) -> None:
    """Check what a server needs: database, ports, disk, clock.

    Give it the options that 'bartizan serve' gets, and as the same user. It changes nothing, and
    ends with code 1 if something is wrong; a warning (!) is worth knowing and not wrong.

    Examples:

      bartizan doctor --data-dir ./data

      bartizan doctor --database-url postgresql://bartizan@db/bartizan --json
    """
    import asyncio

    from bartizan.server.cli.checks import State, run_all
    from bartizan.server.config_sources import load

    options = {
        "data_dir": data_dir,
        "database_url": database_url,
        "grpc_listen": grpc_listen,
        "http_listen": http_listen,
    }
    findings = asyncio.run(run_all(load(config, options)))
    well = all(finding.state != State.FAILED for finding in findings)
    _print(findings, well, json)
    if not well:
        raise typer.Exit(1)


def _print(findings: "list[Finding]", well: bool, json: bool) -> None:
    from dataclasses import asdict

    from bartizan.server.cli.output import console, print_json

    if json:
        print_json({"ok": well, "checks": [asdict(finding) for finding in findings]})
        return
    from rich.text import Text

    out = console()
    for finding in findings:
        mark, style = MARKS[finding.state]
        out.print(Text(f"{mark} ", style).append(f"{finding.name}: {finding.detail}", "default"))
