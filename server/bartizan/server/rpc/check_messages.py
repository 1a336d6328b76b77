"""Between the messages of GuardrailService and what is checked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bartizan.plugins.contract import Role, Text, ToolUse
from bartizan.plugins.decision import Action
from bartizan.plugins.errors import InvalidArgument, TooLarge
from bartizan.plugins.judgement import Context, Failure, Report, Ruled
from bartizan.server.checking.rules import Inquiry, strictest
from bartizan.server.checking.stream import StreamedText
from bartizan.server.checking.texts import Checked, CheckedText
from bartizan.server.ingest import checks
from bartizan.server.ingest.checks import Rejection, check_text
from bartizan.server.ingest.enums import ACTIONS, SEVERITIES, VERDICTS
from bartizan.server.ingest.judging import draw_of
from bartizan.server.ingest.span import ROLE_NAMES
from bartizan.v1 import common_pb2, guardrail_pb2

MAX_RULES = 1_024
MAX_LABEL = 256
GROUP = 1
"""A request is one group: its messages belong together."""
CONTENT = "content"

_LABELS = ("name", "tool_call_id", "mime_type")
_ROLES = {number: Role(name) for number, name in ROLE_NAMES.items() if number}
_OUTCOMES: Mapping[Failure | None, "guardrail_pb2.RuleOutcome.ValueType"] = {
    None: guardrail_pb2.RULE_OUTCOME_OK,
    Failure.TIMEOUT: guardrail_pb2.RULE_OUTCOME_TIMED_OUT,
    Failure.ERROR: guardrail_pb2.RULE_OUTCOME_FAILED,
    Failure.CIRCUIT_OPEN: guardrail_pb2.RULE_OUTCOME_FAILED,
}


class Place(NamedTuple):
    """Where a text stands: the position of its message and the field."""

    position: int
    field: str


def texts(messages: Sequence[common_pb2.Message], trace_id: str) -> Iterator[tuple[Place, Text]]:
    """Yields every text of the messages with its place; raises InvalidArgument."""
    for position, message in enumerate(messages):
        asked = role(message.role, Role.USER, f"messages[{position}].role")
        use = None
        if asked in (Role.TOOL_CALL, Role.TOOL_RESULT):
            use = ToolUse(message.name, message.tool_call_id, trace_id)
        yield Place(position, CONTENT), Text(asked, message.content, use, GROUP)
        for field in _LABELS:
            if value := getattr(message, field):
                _text(value, f"messages[{position}].{field}", MAX_LABEL)
                yield Place(position, field), Text(Role.METADATA, value)


def role(number: int, unspecified: Role, field: str) -> Role:
    """Returns the role of a number; raises InvalidArgument for one the contract does not have."""
    try:
        checks.known(number, common_pb2.Role, field)
    except Rejection as error:
        raise _refused(error) from None
    return _ROLES.get(number, unspecified)


def inquiry(context: guardrail_pb2.CheckContext, rules: Sequence[str]) -> Inquiry:
    """Returns what is asked; raises InvalidArgument and TooLarge."""
    if len(rules) > MAX_RULES:
        raise TooLarge(
            "TOO_MANY_RULES",
            f"A request names {len(rules)} rules; the limit is {MAX_RULES}.",
            field="rules",
            metadata={"limit": str(MAX_RULES), "size": str(len(rules))},
        )
    for field in ("agent", "environment", "model", "session_id", "user_id"):
        _text(getattr(context, field), f"context.{field}", checks.MAX_LENGTH[field])
    draw = None
    if context.trace_id:
        try:
            draw = draw_of(checks.parse_id(context.trace_id, 16, "context.trace_id"))
        except Rejection as error:
            raise _refused(error) from None
    if len(context.tags) > checks.MAX_TAGS:
        raise TooLarge(
            "TOO_MANY_TAGS",
            f"A context has {len(context.tags)} tags; the limit is {checks.MAX_TAGS}.",
            field="context.tags",
            metadata={"limit": str(checks.MAX_TAGS), "size": str(len(context.tags))},
        )
    for tag in context.tags:
        _text(tag, "context.tags", checks.MAX_LENGTH["tags"])
    seen = Context(
        context.agent or None,
        context.environment or None,
        context.model or None,
        tuple(context.tags) or None,
        draw,
    )
    return Inquiry(seen, frozenset(rules))


def checked(
    checked: Checked, places: Sequence[Place], messages: Sequence[common_pb2.Message]
) -> guardrail_pb2.CheckResponse:
    """Returns the answer about messages, whose texts stood at `places`."""
    response = guardrail_pb2.CheckResponse(
        verdict=VERDICTS[checked.verdict],
        action=action(checked.action),
        messages=[guardrail_pb2.CheckedMessage(verdict=common_pb2.VERDICT_ALLOW) for _ in messages],
        rules=runs(checked.reports),
        complete=checked.complete,
    )
    said: dict[int, list[Ruled]] = {}
    for place, text in zip(places, checked.texts, strict=True):
        said.setdefault(place.position, []).extend(text.said)
        _add(response.messages[place.position], place, text, messages)
    for position, rulings in said.items():
        response.messages[position].verdict = VERDICTS[strictest(rulings)[0]]
    return response


def _add(
    answer: guardrail_pb2.CheckedMessage,
    place: Place,
    text: CheckedText,
    messages: Sequence[common_pb2.Message],
) -> None:
    answer.findings.extend(findings(text.said, place.field))
    if text.replacement is None:
        return
    if not answer.HasField("redacted"):
        answer.redacted.CopyFrom(messages[place.position])
    setattr(answer.redacted, place.field, text.replacement)


def ended(streamed: StreamedText) -> guardrail_pb2.CheckStreamEnd:
    """Returns how a stream ended."""
    verdict, acted = streamed.verdict()
    return guardrail_pb2.CheckStreamEnd(
        verdict=VERDICTS[verdict],
        action=action(acted),
        rules=runs(streamed.reports),
        complete=streamed.complete,
        characters=streamed.characters,
    )


def action(action: Action | None) -> "common_pb2.Action.ValueType":
    """Returns the number of an action."""
    return common_pb2.ACTION_UNSPECIFIED if action is None else ACTIONS[action]


def findings(said: Iterable[Ruled], field: str = CONTENT) -> Iterator[common_pb2.Finding]:
    """Yields what rules decided about one text."""
    for one in said:
        yield common_pb2.Finding(
            category=one.finding.category,
            score=one.finding.score,
            field=field,
            start=one.finding.start,
            end=one.finding.end,
            code=one.finding.code,
            rule=one.rule,
            rule_version=one.rule_version,
            verdict=VERDICTS[one.verdict],
            action=ACTIONS[one.action],
            shadow=one.shadow,
            severity=SEVERITIES[one.severity],
        )


def runs(reports: Iterable[Report]) -> Iterator[guardrail_pb2.RuleRun]:
    """Yields how each rule fared."""
    for report in reports:
        skipped = not report.texts
        yield guardrail_pb2.RuleRun(
            rule=report.rule,
            rule_version=report.rule_version,
            shadow=report.shadow,
            outcome=(guardrail_pb2.RULE_OUTCOME_SKIPPED if skipped else _OUTCOMES[report.failure]),
            milliseconds=round(report.seconds * 1_000, 3),
        )


def _text(value: str, field: str, limit: int) -> None:
    try:
        check_text(value, field, limit)
    except Rejection as error:
        raise _refused(error) from None


def _refused(error: Rejection) -> InvalidArgument:
    return InvalidArgument("BAD_FIELD", f"{error.field} {error.detail}", field=error.field)
