"""The whole of what a plugin author must know.

A plugin is a class with one verb and `aclose`; it inherits nothing. It is made with its own
pydantic configuration (see `bartizan.plugins.config`), gets plain frozen values and gives plain
frozen values back. Deadlines, retries, metrics and what to do about a failure are the chain's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable


class Role(StrEnum):
    """Who a text comes from."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    RETRIEVED = "retrieved"
    METADATA = "metadata"
    """Everything else a span says: names, attributes, events, error texts."""


class ToolUse(NamedTuple):
    """Which use of a tool a text belongs to. What is not known is empty.

    Attributes:
        tool: the tool's name.
        call: the id that the model gave the call. Histories repeat a call under the same id.
        trace: the trace, 32 hexadecimal digits.
    """

    tool: str = ""
    call: str = ""
    trace: str = ""


class Text(NamedTuple):
    """One text to look at.

    Attributes:
        role: who it comes from.
        value: the text.
        use: for a tool's call and result, if known.
        group: the same, and not 0, for the messages of one span or of one request. Numbers mean
            nothing beyond one call of `check`.
    """

    role: Role
    value: str
    use: ToolUse | None = None
    group: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something found in one text.

    Attributes:
        category: dotted, lower case: `pii.email_address`, `injection.indirect`.
        score: calibrated confidence, 0 to 1.
        start: offset of the first code point.
        end: offset one past the last code point; `start <= end <= len(value)`.
        code: a reason code that holds no user content.
    """

    category: str
    score: float
    start: int
    end: int
    code: str


@runtime_checkable
class Guardrail(Protocol):
    """Finds; never decides. One instance serves many concurrent calls.

    A class may have `needs_group = True`: what it says of a text then depends on the others of its
    group or on how often it stands there. It sees every text; others see equal ones once.
    """

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the findings of each text, in the order of the texts."""
        ...

    async def aclose(self) -> None:
        """Lets go of everything. May be called before any check, and twice."""
        ...
