"""Judges whole texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bartizan.plugins.contract import Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Ask, Report, Ruled
from bartizan.server.checking.rules import (
    Inquiry,
    Rules,
    check_known,
    seconds_for_rules,
    strictest,
)


@dataclass(frozen=True, slots=True)
class CheckedText:
    """What the rules say about one text.

    Attributes:
        replacement: the text as it may go on; None when it may as it is.
        said: in the order of the rules, shadow rules included.
    """

    replacement: str | None
    said: Sequence[Ruled]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the rules say about some texts; one entry in `texts` for each of them."""

    verdict: Verdict
    action: Action | None
    texts: Sequence[CheckedText]
    reports: Sequence[Report]
    complete: bool


async def check_texts(
    rules: Rules,
    texts: Sequence[Text],
    inquiry: Inquiry,
    time_left: Callable[[], float | None],
) -> Checked:
    """Returns what the rules say, in time for a caller who waits `time_left` seconds.

    Raises InvalidArgument for a wanted rule that is not in force.
    """
    ask = Ask(inquiry.rules, seconds_for_rules(time_left()))
    judgement = await rules.judge(texts, [inquiry.context] * len(texts), ask)
    check_known(inquiry.rules, judgement.reports)
    verdict, action = strictest(one for said in judgement.decisions.values() for one in said)
    checked = [
        CheckedText(judgement.replacements.get(index), judgement.decisions.get(index, ()))
        for index in range(len(texts))
    ]
    return Checked(verdict, action, checked, judgement.reports, judgement.complete)
