"""`bartizan apply -f FILE`"""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.server.cli.rule_files import Written
    from bartizan.v1 import guardrail_pb2

WOULD_CHANGE = 3
IN_FORCE = "Applied; in force on every server process within 2 seconds."
KINDS = {
    "CREATED": ("+", "green"),
    "UPDATED": ("~", "yellow"),
    "DELETED": ("-", "red"),
    "UNCHANGED": ("=", "dim"),
}


@grouped
def apply(
    file: Annotated[
        list[str],
        typer.Option(
            "--file",
            "-f",
            metavar="FILE|FOLDER",
            help="Rules as YAML, or a folder of such files; '-' is standard input. Repeatable.",
        ),
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Likewise, and end with code 3 if anything would change."),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete the project's rules that are not in the files.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Make the project's rules those of files, after showing the difference.

    All of it is applied or nothing, and only if the rules are still those that the difference was
    made from. Rules that are in no file stay, unless --prune is given. A paused rule stays paused.
    In a folder every .yaml and .yml file counts, also in folders below. Needs a key of scope rules.

    Where there is no terminal to ask on, and with --json, --yes is needed. --check is for CI.

    Examples:

      bartizan apply -f rules/ --dry-run

      bartizan apply -f rules/ --prune --yes

      bartizan apply -f rules/ --check || echo "the rules are not as the files say"
    """
    only_look = dry_run or check
    if not (only_look or yes) and (json or not sys.stdin.isatty()):
        raise typer.BadParameter("Nobody can be asked here: give --yes, or --dry-run to only look.")
    from bartizan.server.cli.rule_files import read_all

    written = read_all(file)
    documents = [one.document for one in written]
    with connect(server) as client:
        with _placed(written):
            plan = client.rules.apply(documents, prune=prune, dry_run=True)
        counts = _counts(plan)
        changes = any(count for kind, count in counts.items() if kind != "UNCHANGED")
        if not json:
            _show(plan, counts)
        applies = changes and not only_look and (yes or _confirmed())
        if applies:
            plan = client.rules.apply(documents, prune=prune, expected_state=plan.state)
    _tell(plan, json, applied=applies, only_look=only_look, changes=changes)
    if changes and not applies and (check or not only_look):
        raise typer.Exit(WOULD_CHANGE if check else 1)


@contextmanager
def _placed(written: "Sequence[Written]") -> Iterator[None]:
    """Says where the rule is written that the server finds wrong."""
    from bartizan.client import InvalidArgument

    try:
        yield
    except InvalidArgument as error:
        where = next((one.where for one in written if one.is_meant(error.message)), "")
        if not where:
            raise
        raise InvalidArgument(f"{where}: {error.message}", reason=error.reason) from None


def _confirmed() -> bool:
    print("Apply this? [y/N]: ", end="", file=sys.stderr, flush=True)  # noqa: T201
    line = sys.stdin.readline()
    if not line:
        raise typer.Abort
    return line.strip().lower() in ("y", "yes")


def _counts(plan: "guardrail_pb2.ApplyRulesResponse") -> Counter[str]:
    return Counter(_kind(change) for change in plan.changes)


def _kind(change: "guardrail_pb2.RuleChange") -> str:
    from bartizan.v1 import guardrail_pb2

    return guardrail_pb2.RuleChangeKind.Name(change.kind).removeprefix("RULE_CHANGE_KIND_")


def _show(plan: "guardrail_pb2.ApplyRulesResponse", counts: Counter[str]) -> None:
    from bartizan.server.cli.output import console

    for change in plan.changes:
        if _kind(change) != "UNCHANGED":
            _show_change(change)
    parts = [f"{counts[kind]} {kind.lower()}" for kind in KINDS if counts[kind]]
    console().print(f"{', '.join(parts) or 'There are no rules'}.")


def _show_change(change: "guardrail_pb2.RuleChange") -> None:
    from rich.text import Text

    from bartizan.server.cli.output import console, plain
    from bartizan.server.cli.rule_text import difference
    from bartizan.v1 import guardrail_pb2

    out = console()
    kind = _kind(change)
    mark, style = KINDS[kind]
    rule = change.after if change.HasField("after") else change.before
    before = change.before if change.HasField("before") else None
    notes = []
    if kind == "CREATED" and before is not None:
        notes.append("in place of the server's rule")
    if rule.paused and rule.origin == guardrail_pb2.RULE_ORIGIN_PROJECT:
        notes.append("paused")
    line = f"{mark} {kind.lower()} {rule.name.rpartition('/')[2]}"
    out.print(Text(plain(line + (f" ({', '.join(notes)})" if notes else "")), f"bold {style}"))
    for warning in change.warnings:
        out.print(Text(plain(f"  ! {warning}"), "yellow"), soft_wrap=True)
    if change.HasField("after"):
        for text in difference(before, change.after):
            out.print(Text("    ").append_text(text), soft_wrap=True)
        out.print()


def _tell(
    plan: "guardrail_pb2.ApplyRulesResponse",
    json: bool,
    *,
    applied: bool,
    only_look: bool,
    changes: bool,
) -> None:
    from bartizan.server.cli.output import as_json, console, print_json

    if json:
        print_json({"applied": applied, **as_json(plan)})
    elif applied:
        console().print(IN_FORCE)
    elif not changes:
        console().print("Nothing to change.")
    elif only_look:
        console().print("Nothing was changed: this was a dry run.")
    else:
        console().print("Nothing was changed.")
