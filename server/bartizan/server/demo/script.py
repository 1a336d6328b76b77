"""What an agent is going to do, as plain values: no clock, no network, no SDK."""

from collections.abc import Iterator
from dataclasses import dataclass

from bartizan.server.demo.prices import Model, Usage


@dataclass(frozen=True, slots=True)
class Line:
    """One text that goes into a step or comes out of it, with its role."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """One span that is going to be, with the ones inside it.

    Attributes:
        name: the span's name.
        kind: the span's kind.
        seconds: how long its own work takes, besides the steps inside it.
        inputs: the texts that go in.
        outputs: the texts that come out.
        steps: what happens inside it.
        together: the steps inside it happen at the same time, not one after the other.
        model: who answers, of model calls.
        usage: the tokens of a model call.
        first_token_s: seconds from the start to the first token; 0 if the answer is not streamed.
        tool: the tool's name, of tool calls.
        error: the class of the error it ends with; empty if it succeeds.
        message: what the error says.
        events: what happens on the way.
    """

    name: str
    kind: str
    seconds: float
    inputs: tuple[Line, ...] = ()
    outputs: tuple[Line, ...] = ()
    steps: "tuple[Step, ...]" = ()
    together: bool = False
    model: Model | None = None
    usage: Usage | None = None
    first_token_s: float = 0.0
    tool: str = ""
    error: str = ""
    message: str = ""
    events: tuple[str, ...] = ()

    @property
    def length_s(self) -> float:
        """Returns the seconds from its start to its end."""
        inside = [step.length_s for step in self.steps]
        return self.seconds + (max(inside, default=0.0) if self.together else sum(inside))

    def walk(self) -> "Iterator[Step]":
        """Yields this step and every one inside it."""
        yield self
        for step in self.steps:
            yield from step.walk()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the user thinks of an answer."""

    thumbs_up: bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One trace that is going to be: something that a user asks for, and what the agent does.

    Attributes:
        agent: who does it.
        root: the span at the top.
        user_id: for whom.
        session_id: the conversation.
        environment: where.
        machine: on which computer.
        workspace: in which checkout.
        tags: of every span.
        opinion: given after the end.
    """

    agent: str
    root: Step
    user_id: str
    session_id: str
    environment: str = "production"
    machine: str = ""
    workspace: str = ""
    tags: tuple[str, ...] = ()
    opinion: Opinion | None = None
