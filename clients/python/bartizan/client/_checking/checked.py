"""What the rules say, in Python's own types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bartizan.v1 import common_pb2, guardrail_pb2

ALLOW = "allow"
MODIFY = "modify"
DENY = "deny"


@dataclass(frozen=True)
class Checked:
    """What the rules say about texts.

    Attributes:
        verdict: "allow", "modify" or "deny".
        texts: each text as it may go on, redacted where a rule says so. When the verdict is "deny"
            nothing may: what a rule denies is still in them.
        findings: of each text; they hold offsets and no content.
        rules: how each rule fared: outcome, milliseconds.
        complete: False when a rule did not finish, so that silence does not mean clean.
    """

    verdict: str
    texts: tuple[str, ...]
    findings: tuple[tuple[common_pb2.Finding, ...], ...] = ()
    rules: tuple[guardrail_pb2.RuleRun, ...] = ()
    complete: bool = True

    @property
    def allowed(self) -> bool:
        """True unless a rule denies. What goes on is `text`, which may be redacted."""
        return self.verdict != DENY

    @property
    def text(self) -> str:
        """The text as it may go on; of several, the last."""
        return self.texts[-1]


class Denied(Exception):
    """Raised when a rule denies what a guarded function takes or gives. Holds no content.

    Attributes:
        side: "input" or "output".
        rules: ids of the rules that deny.
        categories: what they found.
    """

    def __init__(
        self, side: str, rules: tuple[str, ...] = (), categories: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"The {side} was denied{' by ' if rules else ''}{', '.join(rules)}.")
        self.side = side
        self.rules = rules
        self.categories = categories


def denied(side: str, findings: Sequence[common_pb2.Finding]) -> Denied:
    """Returns the error for findings of which one or more deny."""
    from bartizan.v1 import common_pb2

    told = [one for one in findings if not one.shadow and one.verdict == common_pb2.VERDICT_DENY]
    rules, categories = ({getattr(one, name) for one in told} for name in ("rule", "category"))
    return Denied(side, tuple(sorted(rules)), tuple(sorted(categories)))
