"""Gathers what the rules say about the texts of one call."""

from collections.abc import Iterator, Sequence

from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Failure, Judgement, Report, Ruled
from bartizan.plugins.redact import WITHHELD, Span, Vault, redact
from bartizan.plugins.rules import OnTimeout, Rule
from bartizan.plugins.runner import Outcome

WITHHELD_CATEGORY = "chain.withheld"


class Said:
    """What has been said so far."""

    def __init__(self, texts: Sequence[Text], hash_key: bytes, vault: Vault | None = None) -> None:
        self._texts = texts
        self._vault = vault
        self._hash_key = hash_key
        self._decisions: dict[int, list[Ruled]] = {}
        self._spans: dict[int, list[Span]] = {}
        self._withheld: set[int] = set()
        self._deferred: dict[int, list[str]] = {}
        self._unreported: dict[int, list[str]] = {}
        self._reports: list[Report] = []

    def add(self, rule: Rule, indexes: Sequence[int], outcome: Outcome) -> None:
        """Takes in what a rule's plugin found in the texts at some indexes."""
        self._reports.append(
            Report(
                rule.id, rule.version, rule.shadow, len(indexes), outcome.seconds, outcome.failure
            )
        )
        if outcome.failure is not None:
            unjudged = range(len(indexes)) if outcome.unjudged is None else outcome.unjudged
            self._add_failure(rule, [indexes[at] for at in unjudged], outcome.failure)
        redacts = rule.action is Action.REDACT and not rule.shadow
        for position, findings in outcome.found.items():
            index = indexes[position]
            told = rule.reported(findings)
            if len(told) < len(findings):
                self._unreported.setdefault(index, []).append(rule.id)
            if told:
                self._decide(rule, index, told, rule.verdict)
            if redacts:
                self._spans.setdefault(index, []).extend(_spans(rule, findings))

    def judgement(self) -> Judgement:
        """Returns what it comes to."""
        replacements = {}
        for index, spans in self._spans.items():
            value = self._texts[index].value
            redacted = redact(value, spans, self._hash_key, self._vault)
            if redacted != value:
                replacements[index] = redacted
        replacements.update(dict.fromkeys(self._withheld, WITHHELD))
        complete = not any(report.failure for report in self._reports)
        return Judgement(
            self._decisions,
            replacements,
            complete,
            self._spans,
            self._reports,
            self._deferred,
            self._unreported,
        )

    def _add_failure(self, rule: Rule, indexes: Sequence[int], failure: Failure) -> None:
        in_time = failure is not Failure.TIMEOUT
        # A rule that was suspended may have been too slow too often: it gets its time later.
        if rule.on_timeout is OnTimeout.DEFER and failure is not Failure.ERROR:
            for index in indexes:
                self._deferred.setdefault(index, []).append(rule.id)
        if rule.denies(rule.on_error if in_time else rule.on_timeout):
            self._deny(rule, indexes, failure)

    def _deny(self, rule: Rule, indexes: Sequence[int], failure: Failure) -> None:
        withholds = rule.action is Action.REDACT and not rule.shadow
        for index in indexes:
            length = len(self._texts[index].value)
            if length:
                withheld = Finding(WITHHELD_CATEGORY, 1.0, 0, length, failure)
                self._decide(rule, index, [withheld], Verdict.DENY)
                if withholds:
                    self._withheld.add(index)

    def _decide(
        self, rule: Rule, index: int, findings: Sequence[Finding], verdict: Verdict
    ) -> None:
        self._decisions.setdefault(index, []).extend(
            Ruled(finding, rule.id, rule.version, verdict, rule.action, rule.shadow, rule.severity)
            for finding in findings
        )


def _spans(rule: Rule, findings: Sequence[Finding]) -> Iterator[Span]:
    for found in findings:
        redaction = rule.redaction_of(found.category)
        yield Span(found.start, found.end, found.category, found.score, redaction)
