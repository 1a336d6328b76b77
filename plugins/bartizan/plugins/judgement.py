"""What a chain makes of a call, and who hears of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bartizan.plugins.contract import Finding
from bartizan.plugins.decision import Action, Severity, Verdict
from bartizan.plugins.redact import Span


@dataclass(frozen=True, slots=True)
class Context:
    """Where a text was seen. Give the same object for all texts of a span.

    None is for what nobody knows: rules that ask for it apply, as a redaction too much does less
    harm than one too few. An empty name is that of nobody.
    """

    agent: str | None = ""
    environment: str | None = ""
    model: str | None = ""
    tags: Sequence[str] | None = ()
    draw: float | None = None
    """From 0 to 1, the same for all of a trace: a rule with a greater `sample` looks at it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one call wants of a chain.

    Attributes:
        rules: ids of the rules to ask; all of them when empty.
        seconds: when rules that have not finished follow their `on_timeout`, if their own budget
            is longer. None leaves each its own.
        counts: False when the caller asks about overlapping parts of one text, and tells the
            metrics of findings itself.
    """

    rules: frozenset[str] = frozenset()
    seconds: float | None = None
    counts: bool = True


ASK_ALL = Ask()


@dataclass(frozen=True, slots=True)
class Ruled:
    """One finding in one text and what one rule made of it. Holds no content."""

    finding: Finding
    rule: str
    rule_version: str
    verdict: Verdict
    action: Action
    shadow: bool
    severity: Severity = Severity.MEDIUM


class Failure(StrEnum):
    """Why a rule could not judge. The code of the finding that says so."""

    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"


@dataclass(frozen=True, slots=True)
class Report:
    """How one rule fared in one call.

    Attributes:
        texts: how many of the texts it applies to.
        seconds: how long it took, or how long it was waited for.
        failure: why it could not judge them; None when it did.
    """

    rule: str
    rule_version: str
    shadow: bool
    texts: int
    seconds: float
    failure: Failure | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules said. Sparse: a text that no rule spoke of is in none of the mappings.

    Attributes:
        decisions: by index of the text, in the order of the rules.
        replacements: by index of the text, the value to store instead.
        complete: False when a rule failed, so that silence about a text does not mean it is clean.
        spans: by index of the text, what the replacement leaves out of it. A text that is
            withheld as a whole may have none.
        reports: one for each rule that was asked, in the order of the rules.
        deferred: by index of the text, ids of the rules that are to look again after the write.
        unreported: by index of the text, ids of the rules that found something and do not report.
    """

    decisions: Mapping[int, Sequence[Ruled]] = field(default_factory=dict)
    replacements: Mapping[int, str] = field(default_factory=dict)
    complete: bool = True
    spans: Mapping[int, Sequence[Span]] = field(default_factory=dict)
    reports: Sequence[Report] = ()
    deferred: Mapping[int, Sequence[str]] = field(default_factory=dict)
    unreported: Mapping[int, Sequence[str]] = field(default_factory=dict)


NOTHING_SAID = Judgement()


class ChainMetrics(Protocol):
    """Hears what a chain does. Calls come from the event loop and must not block."""

    def judged(self, rule: str, texts: int, seconds: float) -> None:
        """Told when a rule has judged `texts` texts."""
        ...

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        """Told when a rule could not judge `texts` texts."""
        ...

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        """Told when a rule has findings; once per call, not per finding."""
        ...

    def circuit(self, rule: str, is_open: bool) -> None:
        """Told when the circuit of a rule opens or closes."""
        ...


class NoMetrics:
    """Metrics that nobody reads."""

    def judged(self, rule: str, texts: int, seconds: float) -> None:
        """Does nothing."""

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        """Does nothing."""

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        """Does nothing."""

    def circuit(self, rule: str, is_open: bool) -> None:
        """Does nothing."""
