"""What a chain makes of a call, and who hears of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from bartizan.plugins.contract import Finding
from bartizan.plugins.decision import Action, Verdict


@dataclass(frozen=True, slots=True)
class Context:
    """Where a text was seen. Give the same object for all texts of a span."""

    agent: str = ""
    environment: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Ruled:
    """One finding in one text and what one rule made of it. Holds no content."""

    finding: Finding
    rule: str
    rule_version: str
    verdict: Verdict
    action: Action
    shadow: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules said. Sparse: a text that no rule spoke of is in neither mapping.

    Attributes:
        decisions: by index of the text, in the order of the rules.
        replacements: by index of the text, the value to store instead.
        complete: False when a rule failed, so that silence about a text does not mean it is clean.
    """

    decisions: Mapping[int, Sequence[Ruled]] = field(default_factory=dict)
    replacements: Mapping[int, str] = field(default_factory=dict)
    complete: bool = True


NOTHING_SAID = Judgement()


class Failure(StrEnum):
    """Why a rule could not judge. The code of the finding that says so."""

    TIMEOUT = "TIMEOUT"
    ERROR = "ERROR"
    CIRCUIT_OPEN = "CIRCUIT_OPEN"


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
