"""Values that people type: times, durations, files."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from bartizan.plugins.durations import parse_duration


@dataclass(frozen=True, slots=True)
class When:
    """A moment, or how long ago it was."""

    value: datetime | timedelta


def parse_when(text: str) -> When:
    """Returns what "24h" or "2026-03-01T12:00:00Z" says; raises BadParameter for anything else."""
    try:
        return When(parse_duration(text))
    except ValueError:
        pass
    try:
        return When(datetime.fromisoformat(text))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a time ago such as 30m, 24h or 7d "
            "nor a time such as 2026-03-01 or 2026-03-01T12:00:00Z."
        ) from None


def parse_span_of_time(text: str) -> timedelta:
    """Returns what "2s" says; raises BadParameter for anything that is no duration."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} {error}.") from None


Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Limit = Annotated[
    int, typer.Option(min=1, max=1_000_000, metavar="N", help="Print at most so many.")
]
Since = Annotated[
    When | None,
    typer.Option(
        parser=parse_when, metavar="AGO|TIME", help="From then on: 30m, 24h, 7d, or 2026-03-01."
    ),
]
Until = Annotated[
    When | None, typer.Option(parser=parse_when, metavar="AGO|TIME", help="Before then.")
]
