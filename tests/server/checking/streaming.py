"""Rules over plain expressions, and streams through them."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.decision import Action
from bartizan.plugins.judgement import Ask, Context, Judgement, Ruled
from bartizan.plugins.redact import Span, redact
from bartizan.plugins.rules import load_rules
from bartizan.server.checking.rules import Inquiry
from bartizan.server.checking.stream import StreamedText

KEY = b"k" * 16
UNKNOWN = Inquiry(Context(None, None, None))


class Expression:
    """Finds whatever an expression matches, and counts the characters it was given."""

    def __init__(self, pattern: str, category: str) -> None:
        self._pattern = re.compile(pattern)
        self._category = category
        self.characters = 0
        self.calls = 0

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.calls += 1
        self.characters += sum(len(text.value) for text in texts)
        return [
            [
                Finding(self._category, 0.9, match.start(), match.end(), "MATCH")
                for match in self._pattern.finditer(text.value)
            ]
            for text in texts
        ]

    async def aclose(self) -> None:
        return None


class ChainRules:
    """A chain as the rules in force."""

    def __init__(self, rules: str, **plugins: Any) -> None:
        self.chain = Chain(load_rules(rules), plugins, hash_key=KEY)
        self.counted: list[tuple[str, Action, bool]] = []

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Judgement:
        return await self.chain.judge(texts, contexts, ask)

    def redact(self, value: str, spans: Iterable[Span]) -> str:
        return redact(value, spans, KEY)

    def found(self, rule: str, action: Action, shadow: bool) -> None:
        self.counted.append((rule, action, shadow))


class Sent:
    """What came out of a stream, each time with how much had gone in."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, str]] = []
        self.said: list[Ruled] = []

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.parts)

    @property
    def findings(self) -> list[tuple[int, int, str, str]]:
        return summary(self.said)


def summary(said: Iterable[Ruled]) -> list[tuple[int, int, str, str]]:
    found = [(one.finding, one.rule) for one in said]
    return sorted((one.start, one.end, one.category, rule) for one, rule in found)


def opened(
    rules: ChainRules,
    hold_back: int = 32,
    inquiry: Inquiry = UNKNOWN,
    time_left: Callable[[], float | None] = lambda: None,
) -> StreamedText:
    return StreamedText(rules, Role.ASSISTANT, inquiry, hold_back, time_left)


async def streamed(text: StreamedText, chunks: Iterable[str]) -> Sent:
    """Sends all chunks; returns what came out."""
    sent = Sent()
    for chunk in chunks:
        async for part in text.add(chunk):
            sent.parts.append((text.characters, part.text))
            sent.said.extend(part.said)
    part = await text.finish()
    sent.parts.append((text.characters, part.text))
    sent.said.extend(part.said)
    return sent
