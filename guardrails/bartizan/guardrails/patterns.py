"""Patterns: words, phrases and expressions of one's own, thousands of them in one rule."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import re2

from bartizan.guardrails.engine.expressions import Expressions
from bartizan.guardrails.engine.keywords import Keyword, Keywords, is_whole
from bartizan.guardrails.engine.looking import Looks
from bartizan.guardrails.patterns_config import Pattern, PatternsConfig
from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.errors import ConfigError

NOTHING: tuple[Finding, ...] = ()

BY_WORD, BY_EXPRESSION = "PATTERN_WORD", "PATTERN_EXPRESSION"

SCAN_IN_THREAD_CHARACTERS = 64 * 1_024
"""A scan of this much takes about half a millisecond: the event loop can wait that long."""

LOOK_IN_THREAD_CHARACTERS = 4_000
"""A closer look at this much takes about half a millisecond too."""


class Patterns:
    """Finds words and expressions of RE2.

    Categories: `pattern.` and the id, or what the pattern says. Time grows with the text alone.
    """

    Config = PatternsConfig

    def __init__(self, config: PatternsConfig) -> None:
        """Makes the guardrail. It compiles its patterns at `start` or at the first check."""
        self._patterns = config.patterns
        self._scan: _Scan | None = None
        self._starting = asyncio.Lock()
        self._looks = Looks("patterns", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def start(self) -> None:
        """Compiles the patterns: a second for five thousand. Raises ConfigError if too large."""
        async with self._starting:
            if self._scan is None:
                self._scan = await asyncio.to_thread(_compiled, self._patterns)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the patterns in each text, in the order of the texts."""
        if self._scan is None:
            await self.start()
        assert self._scan is not None
        values = [text.value for text in texts]
        suspects = await _candidates(self._scan, values)
        findings: list[Sequence[Finding]] = [NOTHING] * len(values)
        looked = await self._looks.at([values[index] for index in suspects])
        for index, found in zip(suspects, looked, strict=True):
            findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        assert self._scan is not None
        return self._scan.find(value, gone)


class _Scan:
    """The compiled patterns. Serves many threads."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        words = [
            (one.case_sensitive, Keyword(word, owner, one.whole))
            for owner, one in enumerate(patterns)
            for word in dict.fromkeys(one.words)
        ]
        self._keywords = [
            Keywords([one for exact, one in words if exact is case], case_sensitive=case)
            for case in (False, True)
        ]
        self._owners = [owner for owner, one in enumerate(patterns) if one.pattern is not None]
        self._expressions = Expressions([_expression(patterns[owner]) for owner in self._owners])

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        if self._owners:
            return range(len(values))
        return sorted({index for one in self._keywords for index in one.candidates(values)})

    def find(self, value: str, gone: threading.Event) -> list[Finding]:
        found = {*self._words(value, gone), *self._matches(value, gone)}
        return sorted(found, key=lambda one: (one.start, one.end, one.category))

    def _words(self, value: str, gone: threading.Event) -> Iterator[Finding]:
        for keywords in self._keywords:
            if not keywords.candidates([value]):
                continue
            for start, end, owner in keywords.find(value, gone):
                yield _finding(self._patterns[owner], start, end, BY_WORD)

    def _matches(self, value: str, gone: threading.Event) -> Iterator[Finding]:
        for index, (start, end) in self._expressions.find(value, gone):
            one = self._patterns[self._owners[index]]
            if not one.whole or is_whole(value, start, end):
                yield _finding(one, start, end, BY_EXPRESSION)


def _compiled(patterns: Sequence[Pattern]) -> _Scan:
    try:
        return _Scan(patterns)
    except re2.error:
        raise ConfigError(
            "PATTERNS_TOO_LARGE",
            "the patterns have no room in one rule: divide them",
            field="patterns",
        ) from None


def _expression(one: Pattern) -> str:
    return f"(?{'' if one.case_sensitive else 'i'}:{one.pattern})"


def _finding(one: Pattern, start: int, end: int, code: str) -> Finding:
    return Finding(one.reported_as, one.score, start, end, code)


async def _candidates(scan: _Scan, values: Sequence[str]) -> Sequence[int]:
    if sum(map(len, values)) <= SCAN_IN_THREAD_CHARACTERS:
        return scan.candidates(values)
    return await asyncio.to_thread(scan.candidates, values)
