"""`bartizan demo`"""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_DIR = Path("bartizan-demo")


def demo(
    seconds: Annotated[
        float, typer.Option(min=0, metavar="N", help="End after so many; 0 is never.")
    ] = 300,
    rate: Annotated[float, typer.Option(min=0.1, max=50, metavar="N", help="Traces a second.")] = 5,
    keep: Annotated[
        bool, typer.Option("--keep", help=f"Keep the data, in ./{DEFAULT_DIR}.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the data there.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Make the traffic that this number makes.")
    ] = None,
) -> None:
    """Show what it looks like: agents at work, on a server of its own.

    Starts a server with an embedded database on free ports of 127.0.0.1, lets made-up agents work
    that send their traces to it, and shows what it stores, finds and counts. Ends after five
    minutes, with q, or with Ctrl-C, and leaves nothing running. The data is gone then, too, unless
    it is kept.

    Needs no key and no model: the answers are made up. So are the people.

    Examples:

      bartizan demo

      bartizan demo --seconds 0 --rate 20

      bartizan demo --keep
    """
    import secrets

    from bartizan.server.demo.run import Options, run

    kept = data_dir or (DEFAULT_DIR if keep else None)
    chosen = secrets.randbits(32) if seed is None else seed
    code = run(Options(kept, seconds, rate, chosen))
    if code:
        raise typer.Exit(code)
