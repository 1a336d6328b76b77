"""What a scripted model says, whichever API it is asked through."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool that the model asks for; `arguments` is JSON."""

    name: str
    arguments: str = "{}"
    id: str = "call_1"


@dataclass(frozen=True)
class Answer:
    """One answer, with the tokens that it is said to cost.

    Attributes:
        cached: of the input tokens.
        reasoning: of the output tokens.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    input_tokens: int = 12
    output_tokens: int = 6
    cached: int = 4
    reasoning: int = 2

    @property
    def chunks(self) -> tuple[str, ...]:
        """The text in the pieces that a stream sends."""
        half = len(self.text) // 2
        return tuple(filter(None, (self.text[:half], self.text[half:])))


@dataclass(frozen=True)
class Fault:
    """An answer that is an error of HTTP; clients that try again need not wait."""

    status: int
    message: str = "try later"


ANSWER = Answer("It is on its way.")
"""What is said when the script has ended."""

MODEL = "loopback-1"
"""The model that answers, whichever was asked for."""
