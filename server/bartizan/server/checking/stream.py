"""Judges a text while it is written."""

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Ask, Failure, Report, Ruled
from bartizan.server.checking.rules import (
    Inquiry,
    Rules,
    check_known,
    seconds_for_rules,
    strictest,
)
from bartizan.server.checking.window import Window

PIECE = 16_384
"""Code points of a chunk that are judged at once, so that a large one is bounded in time too."""


@dataclass(frozen=True, slots=True)
class Released:
    """What may be shown next, redacted, and what was found since the last time."""

    text: str
    said: Sequence[Ruled]


class StreamedText:
    """One text that comes in chunks.

    Attributes:
        denied: True when a rule denied, and nothing more comes out.
        complete: False when a rule did not finish on some part.
    """

    def __init__(
        self,
        rules: Rules,
        role: Role,
        inquiry: Inquiry,
        hold_back: int,
        time_left: Callable[[], float | None],
    ) -> None:
        """Makes one without text. At least `hold_back` code points stay back until the end."""
        self._rules = rules
        self._role = role
        self._inquiry = inquiry
        self._window = Window(hold_back)
        self._time_left = time_left
        self._reports: dict[tuple[str, str], Report] = {}
        self._outcomes: dict[tuple[Verdict, Action], Ruled] = {}
        self.denied = False
        self.complete = True

    @property
    def characters(self) -> int:
        """How many code points have come in."""
        return self._window.end

    @property
    def reports(self) -> list[Report]:
        """How each rule fared on all parts together: its worst outcome, its times added up."""
        return list(self._reports.values())

    def verdict(self) -> tuple[Verdict, Action | None]:
        """Returns the strictest verdict and action so far; ALLOW and None of none."""
        return strictest(self._outcomes.values())

    async def add(self, chunk: str) -> AsyncGenerator[Released, None]:
        """Takes a chunk in and yields what may go after it; nothing once a rule has denied.

        Raises InvalidArgument for a wanted rule that is not in force.
        """
        for piece in _pieces(chunk):
            if self.denied:
                return
            self._window.add(piece)
            if self._window.is_due:
                yield await self._judge(last=False)

    async def finish(self) -> Released:
        """Returns the rest, given that nothing follows; to be called once and last."""
        if self.denied:
            return Released("", ())
        return await self._judge(last=True)

    async def _judge(self, *, last: bool) -> Released:
        text = Text(self._role, self._window.text())
        ask = Ask(self._inquiry.rules, seconds_for_rules(self._time_left()), counts=False)
        judgement = await self._rules.judge([text], [self._inquiry.context], ask)
        check_known(self._inquiry.rules, judgement.reports)
        for report in judgement.reports:
            self._add_report(report)
        self.complete = self.complete and judgement.complete
        said = judgement.decisions.get(0, ())
        part = self._window.settle(said, judgement.spans.get(0, ()), last=last)
        self.denied = part.denied
        for one in part.said:
            self._rules.found(one.rule, one.action, one.shadow)
            if not one.shadow:
                self._outcomes[one.verdict, one.action] = one
        return Released(self._rules.redact(part.text, part.spans), part.said)

    def _add_report(self, report: Report) -> None:
        key = (report.rule, report.rule_version)
        known = self._reports.get(key, report)
        if known is not report:
            report = replace(
                report,
                texts=known.texts + report.texts,
                seconds=known.seconds + report.seconds,
                failure=max(known.failure, report.failure, key=_SEVERITY.index),
            )
        self._reports[key] = report


_SEVERITY: Sequence[Failure | None] = (
    None,
    Failure.TIMEOUT,
    Failure.CIRCUIT_OPEN,
    Failure.ERROR,
)


def _pieces(chunk: str) -> Iterator[str]:
    return (chunk[at : at + PIECE] for at in range(0, len(chunk), PIECE))
