"""The filters of `traces`, `tail` and `export`."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bartizan.server.cli.arguments import Since, Until, parse_span_of_time

if TYPE_CHECKING:
    from bartizan.client import TraceQuery


class Status(StrEnum):
    """How a trace ended."""

    OK = "ok"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class LiveFilter:
    """Which traces, of those that come in from now on."""

    agent: Annotated[str | None, typer.Option(metavar="NAME", help="This agent worked in it.")] = (
        None
    )
    user: Annotated[str | None, typer.Option(metavar="NAME", help="Of this user.")] = None
    session: Annotated[str | None, typer.Option(metavar="NAME", help="Of this session.")] = None
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="This model answered in it.")
    ] = None
    status: Annotated[Status | None, typer.Option(help="It ended so.")] = None
    env: Annotated[str | None, typer.Option(metavar="NAME", help="It ran in this environment.")] = (
        None
    )
    machine: Annotated[
        str | None, typer.Option(metavar="NAME", help="It ran on this computer.")
    ] = None
    workspace: Annotated[
        str | None, typer.Option(metavar="NAME", help="It ran in this workspace.")
    ] = None
    tag: Annotated[
        list[str] | None, typer.Option(metavar="TAG", help="It carries this tag; repeat for more.")
    ] = None
    min_duration: Annotated[
        timedelta | None,
        typer.Option(
            parser=parse_span_of_time, metavar="TIME", help="At least so long: 2s, 500ms."
        ),
    ] = None
    min_cost: Annotated[
        float | None, typer.Option(min=0, metavar="USD", help="At least so many US dollars.")
    ] = None
    finding: Annotated[
        str | None,
        typer.Option(metavar="CATEGORY", help="A rule found this: pii, pii.email_address, or *."),
    ] = None

    def query(self) -> "TraceQuery":
        """Returns what is given, as the client takes it."""
        given = {name: value for name, value in self.named().items() if value is not None}
        return cast("TraceQuery", given)

    def named(self) -> dict[str, Any]:
        """Returns every filter by the client's name for it."""
        return {
            "agent": self.agent, "user_id": self.user, "session_id": self.session,
            "model": self.model, "status": self.status, "environment": self.env,
            "machine": self.machine, "workspace": self.workspace, "tags": self.tag or None,
            "min_duration": self.min_duration, "min_cost_usd": self.min_cost,
            "finding": self.finding,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredFilter(LiveFilter):
    """Which traces, of those that are stored."""

    text: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Its redacted texts hold these words.")
    ] = None
    since: Since = None
    until: Until = None

    def named(self) -> dict[str, Any]:
        """Returns every filter by the client's name for it."""
        return {
            **LiveFilter.named(self),
            "text": self.text,
            "since": self.since and self.since.value,
            "until": self.until and self.until.value,
        }
