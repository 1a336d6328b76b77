"""What is said at the end: what was stored, and what to do next."""

import os
import shutil
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bartizan.server.demo.figures import Figures
from bartizan.server.demo.news import name_of
from bartizan.server.demo.serving import KEY
from bartizan.server.demo.view import ACCENT, agents_table, clock

TABLE_COLUMNS = 100


def print_summary(console: Console, figures: Figures, elapsed_s: float) -> None:
    """Prints what was stored."""
    ledger, total = figures.ledger, figures.total
    console.print()
    console.print(
        Text.assemble(
            (f"{ledger.stored:,} spans", "bold"),
            f" of {total.traces:,} traces stored in {clock(elapsed_s)}, "
            f"{ledger.rejected:,} rejected.",
        )
    )
    console.print()
    console.print(agents_table(figures), width=min(console.width, TABLE_COLUMNS))
    console.print()
    _print_counts(console, "Redacted before storing", figures.kinds, names=True)
    _print_counts(console, "Errors", figures.errors, names=False)


def print_next(console: Console, kept: Path | None) -> None:
    """Prints what to do now."""
    bartizan = command()
    console.print()
    if kept is None:
        console.print(
            f"Nothing is left running, and the data is gone; '{bartizan} demo --keep' keeps it."
        )
        console.print(
            "Next: 'make run' starts a server that stays; README.md says how to send to it."
        )
        return
    console.print("Nothing is left running. The data is kept; start on it again, and look at it:")
    for line in (
        f"{bartizan} serve --data-dir {kept}",
        f"export BARTIZAN_API_KEY=$(cat {kept / KEY})",
        f"{bartizan} traces --finding pii",
    ):
        console.print(Text(f"    {line}", ACCENT), soft_wrap=True)


def command() -> str:
    """Returns what to type for `bartizan` here."""
    beside = Path(sys.executable).with_name("bartizan")
    if shutil.which("bartizan") is not None or not beside.exists():
        return "bartizan"
    return os.path.relpath(beside)


def _print_counts(console: Console, title: str, counts: dict[str, int], *, names: bool) -> None:
    if counts:
        told = sorted(counts.items(), key=lambda pair: -pair[1])
        text = ", ".join(f"{name_of(kind) if names else kind} {number:,}" for kind, number in told)
        console.print(Text.assemble((f"{title}: ", "bold"), text))
