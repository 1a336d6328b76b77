"""Writes the script of a conversation, turn by turn, with the tokens and times that go with it."""

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from bartizan.server.demo.people import Person
from bartizan.server.demo.prices import EMBEDDING, Model, Usage
from bartizan.server.demo.script import Line, Opinion, Step, Turn

CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4
"""Roles and separators take some, too."""
LEAST_CACHED = 1_024
"""Providers keep nothing shorter in their caches."""
CACHE_BLOCK = 128
OPINIONS_PER_TURN = 0.15

GOOD = ("", "", "Quick and clear, thanks!", "Exactly what I needed.")
BAD = ("", "Did not answer my question.", "Had to ask twice.", "Too slow.")


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: its name, its instructions and where it runs.

    Attributes:
        name: the agent.
        models: it answers with one of these, the same one all through a conversation.
        system: its instructions.
        schema_tokens: what the descriptions of its tools add to every call.
        machines: it runs on one of these.
    """

    name: str
    models: tuple[Model, ...]
    system: str
    schema_tokens: int
    machines: tuple[str, ...]
    environments: tuple[str, ...] = ("production", "production", "production", "staging")


class Scene:
    """One conversation between a person and an agent.

    Begin a turn with `ask`, add what the agent does, and end it with `answer` or `fail`.
    """

    def __init__(self, rng: Random, agent: Agent, person: Person, workspace: str = "") -> None:
        self.rng = rng
        self.agent = agent
        self.person = person
        self.model = rng.choice(agent.models)
        self._session_id = f"{agent.name.split('-')[0]}-{rng.getrandbits(40):010x}"
        self._environment = rng.choice(agent.environments)
        self._machine = rng.choice(agent.machines)
        self._workspace = workspace
        self._history = [Line("system", agent.system)]
        self._cached = 0
        self._question = ""
        self._steps: list[Step] = []

    def ask(self, text: str) -> None:
        """Begins a turn with what the user says."""
        self._question = text
        self._steps = []
        self._history.append(Line("user", text))

    def call(self, tool: str, arguments: dict[str, Any], result: str, seconds: float = 0.2) -> None:
        """Lets the model call a tool, which answers."""
        self._say(Line("tool_call", _call(tool, arguments)))
        self.add(self.tool(tool, arguments, result, seconds))
        self._history.append(Line("tool_result", result))

    def call_fails(
        self, tool: str, arguments: dict[str, Any], error: str, message: str, seconds: float = 1.0
    ) -> None:
        """Lets the model call a tool, which fails; the model is told so."""
        self._say(Line("tool_call", _call(tool, arguments)))
        failed = self.tool(tool, arguments, "", seconds)
        self.add(replace(failed, error=error, message=message))
        self._history.append(Line("tool_result", f"error: {message}"))

    def retrieve(self, query: str, documents: tuple[str, ...], rerank: bool = False) -> None:
        """Looks up documents and puts them before the model."""
        found = tuple(Line("retrieved", document) for document in documents)
        embedding = Step(
            "embed query",
            "embedding",
            self.around(EMBEDDING.first_token_s),
            inputs=(Line("user", query),),
            model=EMBEDDING,
            usage=Usage(tokens_of(query), 0),
        )
        search = Step("search", "retriever", self.around(0.08), (Line("user", query),), found)
        self.add(embedding)
        self.add(search)
        if rerank:
            ranked = tuple(self.rng.sample(found, len(found)))
            self.add(Step("rerank", "reranker", self.around(0.18), found, ranked))
        self._history.extend(found)

    def hear(self, role: str, text: str) -> None:
        """Puts a text before the model that is none of the usual steps."""
        self._history.append(Line(role, text))

    def add(self, step: Step) -> None:
        """Adds a step to the turn."""
        self._steps.append(step)

    def think(self, text: str) -> None:
        """Lets the model write down what it is going to do."""
        self._say(Line("assistant", text))

    def refuse(self, error: str, message: str, seconds: float) -> None:
        """Lets a call of the model fail, at the provider's end."""
        self.add(
            Step(
                f"chat {self.model.name}",
                "llm",
                self.around(seconds),
                inputs=tuple(self._history),
                model=self.model,
                error=error,
                message=message,
                events=("retry",),
            )
        )

    def answer(self, text: str, *tags: str) -> Turn:
        """Ends the turn with what the agent says."""
        self._say(Line("assistant", text))
        return replace(self._turn((Line("assistant", text),), tags), opinion=self._opinion())

    def fail(self, error: str, message: str, *tags: str) -> Turn:
        """Ends the turn with an error instead of an answer."""
        turn = self._turn((), tags)
        return replace(turn, root=replace(turn.root, error=error, message=message))

    def tool(self, name: str, arguments: dict[str, Any], result: str, seconds: float) -> Step:
        """Returns the span of a call to a tool."""
        return Step(
            name,
            "tool",
            self.around(seconds),
            inputs=(Line("tool_call", json.dumps(arguments)),),
            outputs=(Line("tool_result", result),) if result else (),
            tool=name,
        )

    def around(self, seconds: float) -> float:
        """Returns about so many seconds: nothing takes the same time twice."""
        return seconds * self.rng.lognormvariate(0.0, 0.25)

    def _say(self, line: Line) -> None:
        """Adds a call of the model that writes one line, streamed if it is for the user."""
        usage = self._usage(line.text)
        wait = self.around(self.model.first_token_s)
        self.add(
            Step(
                f"chat {self.model.name}",
                "llm",
                wait + usage.output / self.model.tokens_per_s,
                inputs=tuple(self._history),
                outputs=(line,),
                model=self.model,
                usage=usage,
                first_token_s=wait if line.role == "assistant" else 0.0,
            )
        )
        self._history.append(line)

    def _usage(self, written: str) -> Usage:
        read = self.agent.schema_tokens + sum(
            tokens_of(line.text) + TOKENS_PER_MESSAGE for line in self._history
        )
        cached = self._cached - self._cached % CACHE_BLOCK if self._cached >= LEAST_CACHED else 0
        self._cached = read
        thinks = self.model.name == "gemini-2.5-pro"
        reasoning = self.rng.randrange(80, 600) if thinks else 0
        return Usage(read, tokens_of(written) + reasoning, min(cached, read), reasoning)

    def _turn(self, outputs: tuple[Line, ...], tags: tuple[str, ...]) -> Turn:
        root = Step(
            f"invoke_agent {self.agent.name}",
            "agent",
            self.around(0.04),
            inputs=(Line("user", self._question),),
            outputs=outputs,
            steps=tuple(self._steps),
        )
        return Turn(
            self.agent.name,
            root,
            self.person.id,
            self._session_id,
            self._environment,
            self._machine,
            self._workspace,
            tags,
        )

    def _opinion(self) -> Opinion | None:
        if self.rng.random() > OPINIONS_PER_TURN:
            return None
        good = self.rng.random() < 0.8
        return Opinion(good, self.rng.choice(GOOD if good else BAD))


def tokens_of(text: str) -> int:
    """Returns about how many tokens a text has; at least one."""
    return max(1, round(len(text) / CHARACTERS_PER_TOKEN))


def _call(tool: str, arguments: dict[str, Any]) -> str:
    return json.dumps({"name": tool, "arguments": arguments})
