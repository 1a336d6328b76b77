"""`bartizan rules test` and `bartizan rules backtest`"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bartizan.server.cli.arguments import Json, Since, Until
from bartizan.server.cli.check import RoleName, content_of, print_checked
from bartizan.server.cli.connection import connect
from bartizan.server.cli.errors import Failed
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from bartizan.client import Bartizan
    from bartizan.v1 import guardrail_pb2

NARROW_BAR = 20
"""Columns: a line of eighty holds the figures as well."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which rule to try: of a file, or of the server."""

    file: Annotated[
        str | None,
        typer.Option("--file", "-f", metavar="FILE", help="A rule as YAML; '-' is standard input."),
    ] = None
    rule: Annotated[
        str | None,
        typer.Option(metavar="ID", help="This one of the file; without a file, of the project."),
    ] = None

    def check(self) -> None:
        """Raises BadParameter if nothing is chosen."""
        if self.file is None and self.rule is None:
            raise typer.BadParameter("Say which rule: -f FILE, or --rule ID for one of the server.")

    def document(self, client: "Bartizan") -> Mapping[str, Any]:
        """Returns the rule; raises ConfigError, BadParameter and the client's errors."""
        if self.file is None:
            assert self.rule is not None
            return client.rules.document_of(client.rules.get(self.rule))
        from bartizan.server.cli.rule_files import read_all

        found = {one.id: one.document for one in read_all([self.file])}
        if self.rule is None and len(found) == 1:
            return next(iter(found.values()))
        if self.rule not in found:
            known = ", ".join(found) or "none"
            raise typer.BadParameter(f"Say with --rule which rule of {self.file}: {known}.")
        return found[self.rule]


@grouped
def try_text(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT|FILE",
            help="The text itself or a file that holds it; '-' is standard input.",
        ),
    ],
    chosen: Chosen,
    role: Annotated[RoleName, typer.Option(help="Who the text comes from.")] = RoleName.USER,
    agent: Annotated[str, typer.Option(metavar="NAME", help="As if this agent had it.")] = "",
    env: Annotated[str, typer.Option(metavar="NAME", help="The environment, likewise.")] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model, likewise.")] = "",
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Ask what a rule would say about a text. It need not be in force, and nothing is stored.

    The verdict is that of the rule in mode enforce, whatever its own mode is. Needs a key of scope
    rules.

    Examples:

      bartizan rules test -f cards.yaml "Pay with 4111 1111 1111 1111"

      bartizan rules test --rule pii answer.txt --role assistant
    """
    chosen.check()
    content = content_of(text)
    with connect(server) as client:
        answer = client.rules.test(
            chosen.document(client), content, role=role.value, agent=agent, environment=env,
            model=model,
        )  # fmt: skip
    if json:
        from bartizan.server.cli.output import as_json, print_json

        print_json(as_json(answer))
        return
    _print_trial(answer)
    print_warnings(answer.warnings)


@grouped
def backtest(
    chosen: Chosen,
    since: Since = None,
    until: Until = None,
    max_spans: Annotated[
        int,
        typer.Option(min=1, max=1_000_000, metavar="N", help="Look at so many at most."),
    ] = 100_000,
    examples: Annotated[
        int, typer.Option(min=1, max=100, metavar="N", help="Name so many of each difference.")
    ] = 10,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Run a rule over stored spans and compare it with the version in force. Changes nothing.

    Looks at the last seven days if not told otherwise, and at traces evenly chosen if there are too
    many. Texts are judged as they are stored, which is after redaction; what can no longer be
    judged as it was sent is counted. Labels that people gave to findings of the rule ('bartizan
    label') say how many of its findings are false alarms. With --json, prints the result as one
    document. Needs a key of scope rules.

    Examples:

      bartizan rules backtest -f cards.yaml --since 7d

      bartizan rules backtest -f cards.yaml --max-spans 20000 --examples 50

      bartizan rules backtest --rule injection --since 24h --json
    """
    chosen.check()
    with connect(server) as client:
        document = chosen.document(client)
        states = client.rules.backtest(
            document, since=since.value if since else None, until=until.value if until else None,
            max_spans=max_spans, max_examples=examples,
        )  # fmt: skip
        result = _last(states)
    if json:
        from bartizan.server.cli.output import as_json, print_json

        print_json(as_json(result))
    else:
        from bartizan.server.cli.backtest_report import print_report

        print_report(str(document["id"]), result)
        print_warnings(result.warnings)


def _print_trial(answer: "guardrail_pb2.TestRuleResponse") -> None:
    from bartizan.server.cli.output import console
    from bartizan.v1 import guardrail_pb2

    if answer.run.outcome == guardrail_pb2.RULE_OUTCOME_SKIPPED:
        console().print("The rule does not look at this text: see its 'where', and --role.")
        return
    [message] = answer.messages
    print_checked(message, [answer.run], message.verdict)


def print_warnings(warnings: Iterable[str]) -> None:
    """Prints what the author of a rule may want to think about."""
    from rich.text import Text

    from bartizan.server.cli.output import console, plain

    for warning in warnings:
        console().print(Text(plain(f"! {warning}"), "yellow"), soft_wrap=True)


def _last(
    states: "Iterable[guardrail_pb2.BacktestRuleResponse]",
) -> "guardrail_pb2.BacktestRuleResponse":
    """Returns the result, and shows how far it is in the meantime, where somebody watches."""
    with _progress() as tick:
        for state in states:
            if state.done:
                return state
            tick(state)
    raise Failed("The backtest ended without a result; try again.")


@contextmanager
def _progress() -> "Iterator[Callable[[guardrail_pb2.BacktestRuleResponse], None]]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(NARROW_BAR), TextColumn("{task.description}"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("looking", total=None)

        def tick(state: "guardrail_pb2.BacktestRuleResponse") -> None:
            said = (
                f"{state.spans_done:,} of {state.spans_wanted:,} spans, hits in {state.hits.hits:,}"
            )
            progress.update(
                task, total=state.spans_wanted, completed=state.spans_done, description=said
            )

        yield tick
