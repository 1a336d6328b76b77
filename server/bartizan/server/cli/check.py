"""`bartizan check TEXT`"""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bartizan.server.cli.arguments import Json
from bartizan.server.cli.connection import connect
from bartizan.server.cli.options import Server, grouped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bartizan.v1 import common_pb2, guardrail_pb2

DENIED = 3
METHOD = "bartizan.v1.GuardrailService/Check"
FILE_NAME = re.compile(r"[\w./~-]+\.[a-z]{2,5}")
"""What was meant for a file, most likely."""


class RoleName(StrEnum):
    """Who a text comes from, as people type it."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    RETRIEVED = "retrieved"


@grouped
def check(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT|FILE",
            help="The text itself or a file that holds it; '-' is standard input.",
        ),
    ],
    role: Annotated[RoleName, typer.Option(help="Who the text comes from.")] = RoleName.USER,
    agent: Annotated[
        str, typer.Option(metavar="NAME", help="As if this agent had it; unknown if not given.")
    ] = "",
    env: Annotated[str, typer.Option(metavar="NAME", help="The environment, likewise.")] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model, likewise.")] = "",
    rule: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Ask this rule only; repeatable.")
    ] = None,
    json: Json = False,
    *,
    server: Server,
) -> None:
    """Ask what the rules in force say about a text. Nothing is stored.

    Ends with code 0 if the text may go on, be it as it is or redacted, and with 3 if a rule denies
    it. Needs a key of scope check.

    Examples:

      bartizan check "Mail ada@example.com"

      bartizan check answer.txt --role assistant --agent support-bot

      generate-answer | bartizan check - --json
    """
    from bartizan.v1 import common_pb2, guardrail_pb2

    message = common_pb2.Message(role=f"ROLE_{role.upper()}", content=content_of(text))  # type: ignore[arg-type]
    context = guardrail_pb2.CheckContext(agent=agent, environment=env, model=model)
    request = guardrail_pb2.CheckRequest(messages=[message], context=context, rules=rule or ())
    with connect(server) as client:
        answer = guardrail_pb2.CheckResponse.FromString(
            client.call(METHOD, request.SerializeToString())
        )
    _tell(answer, json)
    if answer.verdict == common_pb2.VERDICT_DENY:
        raise typer.Exit(DENIED)


def content_of(text: str) -> str:
    """Returns the text that is meant; what is not UTF-8 in it is replaced."""
    if text == "-":
        data = sys.stdin.buffer.read()
    elif _is_file(text):
        data = Path(text).read_bytes()
    else:
        if FILE_NAME.fullmatch(text):
            print(f"There is no file {text}: it is checked as a text.", file=sys.stderr)  # noqa: T201
        data = text.encode("utf-8", "surrogateescape")
    return data.decode("utf-8", "replace")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        # Too long for a name, or with NUL in it.
        return False


def _tell(answer: "guardrail_pb2.CheckResponse", json: bool) -> None:
    from bartizan.server.cli.output import as_json, print_json

    if json:
        print_json(as_json(answer))
        return
    [message] = answer.messages
    print_checked(message, answer.rules, answer.verdict)


def print_checked(
    message: "guardrail_pb2.CheckedMessage",
    runs: "Iterable[guardrail_pb2.RuleRun]",
    verdict: "common_pb2.Verdict.ValueType",
) -> None:
    """Prints a verdict with what was found, and the text as it may go on if that is another."""
    from bartizan.server.cli.output import console, plain, print_table
    from bartizan.v1 import common_pb2

    console().print(_headline(verdict, list(runs)))
    if message.findings:
        titles = ("category", "score", "from", "to", "rule", "action")
        print_table(titles, _rows(message), "")
    # What is denied must not go on, not even to a screen.
    if message.HasField("redacted") and verdict != common_pb2.VERDICT_DENY:
        lines = message.redacted.content.split("\n")
        console().print("\n".join(map(plain, lines)), soft_wrap=True)


def _headline(
    verdict_number: "common_pb2.Verdict.ValueType", runs: "Sequence[guardrail_pb2.RuleRun]"
) -> str:
    from bartizan.server.cli.output import plain
    from bartizan.v1 import common_pb2, guardrail_pb2

    verdict = common_pb2.Verdict.Name(verdict_number).removeprefix("VERDICT_").lower()
    judged = (guardrail_pb2.RULE_OUTCOME_OK, guardrail_pb2.RULE_OUTCOME_SKIPPED)
    missing = [run.rule for run in runs if run.outcome not in judged]
    asked = ", ".join(
        f"{run.rule} {run.milliseconds:.1f} ms"
        for run in runs
        if run.outcome == guardrail_pb2.RULE_OUTCOME_OK
    )
    line = verdict + (f"  ({asked})" if asked else "")
    return plain(line + (f"  did not finish: {', '.join(missing)}" if missing else ""))


def _rows(message: "guardrail_pb2.CheckedMessage") -> "Iterable[tuple[str, ...]]":
    from bartizan.v1 import common_pb2

    for one in message.findings:
        action = common_pb2.Action.Name(one.action).removeprefix("ACTION_").lower()
        yield (
            one.category,
            f"{one.score:.2f}",
            str(one.start),
            str(one.end),
            one.rule,
            f"{action} (shadow)" if one.shadow else action,
        )
