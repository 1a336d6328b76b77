"""`bartizan findings` and `bartizan label NAME`"""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bartizan.server.cli.arguments import Json, Limit, Since, Until
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from bartizan.v1 import guardrail_pb2

TITLES = (
    "Started", "Category", "Score", "Severity", "Action", "Rule", "Where", "Label", "Finding"
)  # fmt: skip
WIDE = 190
"""Columns for all of these, with ids that can be copied."""


class ActionName(StrEnum):
    """What was done about a finding, as people type it."""

    FLAG = "flag"
    REDACT = "redact"
    BLOCK = "block"


class SeverityName(StrEnum):
    """How bad a finding is, as people type it."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@grouped
def findings(
    rule: Annotated[str | None, typer.Option(metavar="ID", help="Of this rule.")] = None,
    category: Annotated[
        str | None,
        typer.Option(metavar="CATEGORY", help="Of this kind: pii.email_address, or pii for all."),
    ] = None,
    trace: Annotated[str | None, typer.Option(metavar="ID", help="In this trace.")] = None,
    action: Annotated[ActionName | None, typer.Option(help="This was done about it.")] = None,
    min_severity: Annotated[SeverityName | None, typer.Option(help="At least so bad.")] = None,
    shadow: Annotated[
        bool | None,
        typer.Option("--shadow/--enforced", help="Of rules that watch, or of rules that act."),
    ] = None,
    labelled: Annotated[
        bool | None,
        typer.Option("--labelled/--unlabelled", help="A person said something of it, or nobody."),
    ] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """List what rules found in stored spans, newest first.

    Every filter that is given must hold. With --json, prints one finding a line. Findings quote no
    text: 'bartizan trace ID -v' shows where they are.

    Examples:

      bartizan findings --since 24h --category pii

      bartizan findings --rule injection --shadow --unlabelled
    """
    given: dict[str, Any] = {
        "rule": rule, "category": category, "trace_id": trace, "action": action,
        "min_severity": min_severity, "shadow": shadow, "labelled": labelled,
        "since": since and since.value, "until": until and until.value,
    }  # fmt: skip
    query = {key: value for key, value in given.items() if value is not None}
    with connect(server) as client:
        _print(client.rules.findings(limit, **query), json)


@grouped
def label(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME", help="Findings, as 'bartizan findings' names them."),
    ],
    right: Annotated[
        bool | None, typer.Option("--right/--wrong", help="It is right, or a false alarm.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Take back what was said.")] = False,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Say whether findings are right. Backtests estimate false alarms by it.

    The last word counts. Needs a key of scope rules.

    Examples:

      bartizan label f-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1c2d3e4f --wrong

      bartizan findings --rule cards --json | jq -r .name | xargs bartizan label --right
    """
    if (right is None) != clear:
        raise typer.BadParameter("Say one of --right, --wrong and --clear.")
    with connect(server) as client:
        _print((client.rules.label(name, right) for name in names), json)


def _print(found: "Iterable[guardrail_pb2.StoredFinding]", json: bool) -> None:
    from bartizan.server.cli.output import console, print_messages, print_table

    if json:
        print_messages(found)
        return
    out = console()
    nothing = "No findings match."
    if out.width >= WIDE:
        print_table(TITLES, map(_row, found), nothing)
    elif not _print_lines(out, found):
        out.print(nothing)


def _print_lines(out: "Console", found: "Iterable[guardrail_pb2.StoredFinding]") -> bool:
    """Prints two lines for each finding; returns False if there is none."""
    from rich.text import Text

    from bartizan.server.cli.output import plain

    some = False
    for one in found:
        some = True
        started, category, score, severity, action, rule, where, said, name = _row(one)
        line = Text(plain(f"{started}  {category} {score} {severity}  {action} by {rule}"))
        out.print(line.append(f"  {said}" if said else "", "bold"), soft_wrap=True)
        out.print(Text(plain(f"  {name}  {where}"), "dim"), soft_wrap=True)
    return some


def _row(one: "guardrail_pb2.StoredFinding") -> tuple[str, ...]:
    from bartizan.server.cli.trace_view import local_time
    from bartizan.v1 import common_pb2

    found = one.finding
    action = common_pb2.Action.Name(found.action).removeprefix("ACTION_").lower()
    severity = common_pb2.Severity.Name(found.severity).removeprefix("SEVERITY_").lower()
    said = ("right" if one.label.right else "wrong") if one.HasField("label") else ""
    return (
        local_time(one.start_time),
        found.category,
        f"{found.score:.2f}",
        "" if severity == "unspecified" else severity,
        f"{action} (shadow)" if found.shadow else action,
        found.rule,
        f"{found.field} {found.start}-{found.end}",
        said,
        one.name.rpartition("/")[2],
    )
