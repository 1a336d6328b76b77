"""What rules make of findings."""

from dataclasses import dataclass
from enum import StrEnum

from bartizan.plugins.contract import Finding


class Action(StrEnum):
    """What is done about a finding."""

    FLAG = "flag"
    REDACT = "redact"
    BLOCK = "block"


class Verdict(StrEnum):
    """What a rule thinks of a text."""

    ALLOW = "allow"
    DENY = "deny"
    MODIFY = "modify"


class Severity(StrEnum):
    """How bad a finding of a rule is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Decision:
    """One finding in one text of a span, and what one rule made of it. Holds no content.

    Attributes:
        field: where in the span the text stands: `input[0].content`.
        finding: what was found; offsets are into the text as it was sent.
        rule: the rule's id.
        rule_version: a hash of the rule's document.
        verdict: allow, deny or modify.
        action: what was done; in shadow mode what would have been.
        shadow: True when the rule only watched.
        severity: how bad the rule says that it is.
    """

    field: str
    finding: Finding
    rule: str
    rule_version: str
    verdict: Verdict
    action: Action
    shadow: bool
    severity: Severity = Severity.MEDIUM
