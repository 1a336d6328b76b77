"""Loops: the same call of a tool again and again."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, NamedTuple

from pydantic import Field

from bartizan.guardrails.loop_calls import Calls, Standing, Traces, fingerprint
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Role, Text, ToolUse

READ_IN_THREAD_CHARACTERS = 16_000
"""To read this much takes about half a millisecond."""

MAX_CALLS = 100_000
"""How many calls are remembered at once: about 30 MB at the most."""

REPEATED, ALTERNATING = "loop.repeated", "loop.alternating"
NOT_KNOWN = ToolUse()
NOTHING: tuple[Finding, ...] = ()
ITSELF = frozenset((Role.TOOL_CALL, Role.TOOL_RESULT))


class LoopConfig(PluginConfig):
    """The configuration of the guardrail `loop`."""

    limit: int = Field(
        5, ge=2, le=1_000, description="The same call is a loop when it is made so many times."
    )
    turns: int = Field(
        4,
        ge=2,
        le=100,
        description="Two calls are a loop when they took turns so many times: A, B, A, B is two.",
    )
    ignore: tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] = Field(
        (),
        max_length=200,
        description="Tools that are called again for good reasons; a name may end in `*`.",
    )
    keep_seconds: int = Field(
        3_600, ge=1, le=604_800, description="How long a trace without calls is remembered."
    )


class _Call(NamedTuple):
    place: int
    use: ToolUse
    group: int
    same: bytes


class Loop:
    """Finds calls of tools that were made before, with the same arguments, too often.

    Categories: `loop.repeated`, `loop.alternating`. A finding covers all of the call's text. It is
    told wherever the call stands, also when a later request repeats the history.
    """

    Config = LoopConfig
    needs_group = True

    def __init__(self, config: LoopConfig, clock: Callable[[], float] = time.monotonic) -> None:
        """Makes the guardrail. `clock` tells seconds."""
        self._config = config
        self._traces = Traces(self._calls, MAX_CALLS, config.keep_seconds, clock)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns whether each text is a call too many, in the order of the texts."""
        asked = [index for index, text in enumerate(texts) if self._looks_at(text)]
        if sum(len(texts[index].value) for index in asked) <= READ_IN_THREAD_CHARACTERS:
            calls = _read(texts, asked)
        else:
            calls = await asyncio.to_thread(_read, texts, asked)
        findings: list[Sequence[Finding]] = [NOTHING] * len(texts)
        # From here on nothing waits: the calls of two batches are not mixed up.
        for index, standing in self._standings(calls, _alone(texts)):
            findings[index] = list(self._findings(standing, len(texts[index].value)))
        return findings

    async def aclose(self) -> None:
        """Does nothing: there is nothing to let go of."""

    def _looks_at(self, text: Text) -> bool:
        if text.role is not Role.TOOL_CALL or not text.value:
            return False
        tool = text.use.tool if text.use else ""
        return not any(fnmatchcase(tool, pattern) for pattern in self._config.ignore)

    def _calls(self) -> Calls:
        return Calls(2 * self._config.turns)

    def _standings(
        self, calls: Sequence[_Call], alone: frozenset[int]
    ) -> Iterator[tuple[int, Standing]]:
        """Yields where each call stands. Nothing is remembered of calls without an id or a trace:

        they count within one check, where a history repeats all of them.
        """
        here: defaultdict[tuple[str, int], Calls] = defaultdict(self._calls)
        for place, use, group, same in calls:
            if use.call and use.trace:
                yield place, self._traces.add(use.trace, same, use.call)
            else:
                told = 0 if group in alone else group
                yield place, here[use.trace, told].add(same, use.call)

    def _findings(self, standing: Standing, length: int) -> Iterator[Finding]:
        if standing.times >= self._config.limit:
            yield Finding(REPEATED, 1.0, 0, length, "CALL_REPEATED")
        if standing.in_turns >= 2 * self._config.turns:
            yield Finding(ALTERNATING, 1.0, 0, length, "CALLS_ALTERNATE")


def _read(texts: Sequence[Text], indexes: Sequence[int]) -> list[_Call]:
    calls = []
    for index in indexes:
        text = texts[index]
        use = text.use or NOT_KNOWN
        calls.append(_Call(index, use, text.group, fingerprint(use.tool, text.value)))
    return calls


def _alone(texts: Sequence[Text]) -> frozenset[int]:
    """Returns the groups that hold one call, and no conversation: the tool's own spans."""
    calls = Counter(text.group for text in texts if text.role is Role.TOOL_CALL)
    talking = {
        text.group for text in texts if text.role not in ITSELF and text.role is not Role.METADATA
    }
    return frozenset(group for group, count in calls.items() if count == 1) - talking
