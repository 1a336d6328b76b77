"""What a check needs of the rules in force, and how it sums up what they say."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bartizan.plugins.contract import Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import InvalidArgument
from bartizan.plugins.judgement import Ask, Context, Judgement, Report, Ruled
from bartizan.plugins.redact import Span

_VERDICTS = (Verdict.ALLOW, Verdict.MODIFY, Verdict.DENY)
_ACTIONS = (Action.FLAG, Action.REDACT, Action.BLOCK)

MARGIN_SHARE = 0.2
MIN_MARGIN_S = 0.005
MAX_MARGIN_S = 0.05
"""The way back of an answer: the network's and, on a busy server, a turn of the event loop."""


class Rules(Protocol):
    """What judges: the inline chain, under whatever rules are in force."""

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Judgement:
        """Returns what the rules say about the texts."""
        ...

    def redact(self, value: str, spans: Iterable[Span]) -> str:
        """Returns a value without the text of the spans."""
        ...

    def found(self, rule: str, action: Action, shadow: bool) -> None:
        """Told of each finding of a judgement that did not count its own."""
        ...


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What a caller asks, whatever the texts.

    Attributes:
        context: where the texts are seen.
        rules: ids of the rules to ask; all of them when empty.
    """

    context: Context
    rules: frozenset[str] = frozenset()


def strictest(said: Iterable[Ruled]) -> tuple[Verdict, Action | None]:
    """Returns the strictest verdict and action of enforced rules; ALLOW and None of none."""
    enforced = [one for one in said if not one.shadow]
    verdict = max((one.verdict for one in enforced), key=_VERDICTS.index, default=Verdict.ALLOW)
    action = max((one.action for one in enforced), key=_ACTIONS.index, default=None)
    return verdict, action


def seconds_for_rules(time_left_s: float | None) -> float | None:
    """Returns how long rules may take for the answer to come in time; None for no deadline."""
    if time_left_s is None:
        return None
    margin_s = min(MAX_MARGIN_S, max(MIN_MARGIN_S, time_left_s * MARGIN_SHARE))
    return max(0.0, time_left_s - margin_s)


def check_known(wanted: frozenset[str], reports: Iterable[Report]) -> None:
    """Raises InvalidArgument for a rule that was wanted and is not in force.

    An answer without it would allow what nobody has judged.
    """
    missing = wanted.difference(report.rule for report in reports)
    if missing:
        raise InvalidArgument(
            "UNKNOWN_RULE",
            f"{len(missing)} of the rules to ask are not in force",
            field="rules",
            metadata={"count": str(len(missing))},
        )
