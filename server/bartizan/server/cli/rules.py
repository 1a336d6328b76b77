"""`bartizan rules list|get|versions|delete|pause|resume|test|backtest`"""

from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli import rule_trial
from bartizan.server.cli.arguments import Json, Limit
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bartizan.v1 import guardrail_pb2

app = typer.Typer(
    name="rules",
    help="""Read, stop and try the rules of a project. 'bartizan apply' writes them.

    Examples:

      bartizan rules list

      bartizan rules get pii > rules/pii.yaml

      bartizan rules test -f rules/cards.yaml "Pay with 4111 1111 1111 1111"

      bartizan rules backtest -f rules/cards.yaml --since 7d
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
TITLES = ("Id", "Of", "State", "Action", "Looks with", "Version", "Changed", "By key")
NARROW = TITLES[:5]

RuleId = Annotated[str, typer.Argument(metavar="ID", help="The rule's id.")]


@app.command("list")
@grouped
def list_(json: Json = False, *, server: Server) -> None:
    """List the rules in force and the paused ones: the server's and the project's own."""
    from bartizan.server.cli.output import print_messages

    with connect(server) as client:
        found = client.rules.list()
    print_messages(found) if json else _print_rules(found)


@app.command()
@grouped
def get(
    id: RuleId,
    version: Annotated[
        str, typer.Option(metavar="VERSION", help="An earlier one, as 'rules versions' says.")
    ] = "",
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Print a rule as YAML that 'bartizan apply' takes."""
    with connect(server) as client:
        rule = client.rules.get(id, version)
        document = client.rules.document_of(rule)
    if json:
        from bartizan.server.cli.output import as_json, print_json

        print_json(as_json(rule))
    else:
        from bartizan.server.cli.rule_text import as_yaml

        print(as_yaml(document), end="")  # noqa: T201
        _warn(rule)


@app.command()
@grouped
def versions(id: RuleId, limit: Limit = 20, json: Json = False, *, server: Server) -> None:
    """List what a rule of the project was, newest first, deletions included."""
    from bartizan.server.cli.output import print_messages, print_table

    with connect(server) as client:
        found = client.rules.versions(id, limit)
        if json:
            print_messages(found)
        else:
            titles = ("Changed", "Version", "State", "Action", "By key")
            rows = ((_changed(one), one.version, *_state(one), _last(one.author)) for one in found)
            print_table(titles, rows, "The project never had a rule of its own by that id.")


@app.command()
@grouped
def delete(id: RuleId, json: Json = False, *, server: Server) -> None:
    """End a rule of the project. What it was is kept, and can be applied again.

    The server's rule of the same id, if there is one, is in force again. A rule of the server's own
    cannot be deleted, only paused.
    """
    from bartizan.server.cli.output import console, print_json

    with connect(server) as client:
        client.rules.delete(id)
        again = any(one.name.endswith(f"/{id}") for one in client.rules.list())
    if json:
        print_json({"id": id, "server_rule_in_force": again})
    else:
        console().print(f"Deleted {id}; 'bartizan rules versions {id}' tells what it was.")
        if again:
            console().print("The server's rule of that id is in force again.")


@app.command()
@grouped
def pause(id: RuleId, json: Json = False, *, server: Server) -> None:
    """Stop a rule in this project, also one of the server's, until 'rules resume'."""
    with connect(server) as client:
        _tell(client.rules.pause(id), json, f"Paused {id}.")


@app.command()
@grouped
def resume(id: RuleId, json: Json = False, *, server: Server) -> None:
    """Let a paused rule go on."""
    with connect(server) as client:
        _tell(client.rules.resume(id), json, f"{id} is in force again.")


app.command("test")(rule_trial.try_text)
app.command("backtest")(rule_trial.backtest)


def _print_rules(found: "Iterable[guardrail_pb2.GuardrailRule]") -> None:
    from bartizan.server.cli.output import print_table

    rules = list(found)
    print_table(TITLES, map(_row, rules), "There are no rules.", NARROW)
    for rule in rules:
        _warn(rule)


def _row(rule: "guardrail_pb2.GuardrailRule") -> tuple[str, ...]:
    from bartizan.server.cli.rule_text import document_of
    from bartizan.v1 import guardrail_pb2

    own = rule.origin == guardrail_pb2.RULE_ORIGIN_PROJECT
    looks_with = document_of(rule).get("plugin", "other rules")
    return (
        _last(rule.name),
        "project" if own else "server",
        *_state(rule),
        looks_with,
        rule.version,
        _changed(rule),
        _last(rule.author),
    )


def _state(rule: "guardrail_pb2.GuardrailRule") -> tuple[str, str]:
    """Returns what a rule does, and its action."""
    from bartizan.server.cli.rule_text import document_of

    if rule.deleted:
        return "deleted", ""
    document = document_of(rule)
    state = "paused" if rule.paused else document.get("mode", "enforce")
    deferred = ", deferred" if document.get("stage") == "deferred" else ""
    return f"{state}{deferred}", document.get("action", "flag")


def _changed(rule: "guardrail_pb2.GuardrailRule") -> str:
    from bartizan.server.cli.trace_view import local_time

    return local_time(rule.update_time) if rule.HasField("update_time") else ""


def _last(name: str) -> str:
    """Returns the end of a full name, which tells it from the others of its project."""
    return name.rpartition("/")[2]


def _warn(rule: "guardrail_pb2.GuardrailRule") -> None:
    """Says on standard error why a rule is not in force as it is written, if it is not."""
    from rich.console import Console
    from rich.text import Text

    from bartizan.server.cli.output import plain

    if rule.problem:
        line = plain(f"! {_last(rule.name)} is not in force: {rule.problem}")
        Console(stderr=True).print(Text(line, "yellow"), soft_wrap=True)


def _tell(rule: "guardrail_pb2.GuardrailRule", json: bool, sentence: str) -> None:
    from bartizan.server.cli.output import as_json, console, print_json

    if json:
        print_json(as_json(rule))
    else:
        console().print(sentence)
        _warn(rule)
