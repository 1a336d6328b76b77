"""Grounded: what an answer says must stand in what it is based on."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.grounded.claims import claims
from bartizan.guardrails.grounded.config import GroundedConfig, Kind
from bartizan.guardrails.grounded.ground import Ground
from bartizan.plugins.contract import Finding, Role, Text

LOOK_IN_THREAD_CHARACTERS = 400
"""To compare this much takes about half a millisecond."""

MAX_FINDINGS = 200
"""Of one text: one that invents more is told often enough."""

SCORES = {
    Kind.URL: 0.9,
    Kind.IDENTIFIER: 0.8,
    Kind.DATE: 0.7,
    Kind.NUMBER: 0.7,
    Kind.NAME: 0.5,
}
"""By how seldom each has another form in the sources, or is derived from them."""

NOTHING: tuple[Finding, ...] = ()
Part = int | str


class Grounded:
    """Finds what answers say and their sources do not: numbers, dates, names, URLs, identifiers.

    Categories: `grounded.` and the kind. The answer is what the assistant says last in a group of
    texts; its sources are the texts of the group, and of others in the same trace if that is told.
    """

    Config = GroundedConfig
    needs_group = True

    def __init__(self, config: GroundedConfig) -> None:
        """Makes the guardrail."""
        self._config = config
        self._sources = frozenset(config.sources)
        self._ground = frozenset((*config.sources, *config.also))
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="grounded")

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what is without ground in each text, in the order of the texts."""
        answers = self._answers(texts)
        findings: list[Sequence[Finding]] = [NOTHING] * len(texts)
        if not answers:
            return findings
        for index, found in await self._compared(texts, answers):
            findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the thread go. May be called twice."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _answers(self, texts: Sequence[Text]) -> Mapping[Part, list[int]]:
        """Returns the answers of each part of the texts that has sources."""
        parts = _parts(texts)
        based = {part for text, part in zip(texts, parts, strict=True) if self._is_source(text)}
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, text in enumerate(texts):
            if text.group and parts[index] in based and text.role is not Role.METADATA:
                groups[text.group].append(index)
        answers: defaultdict[Part, list[int]] = defaultdict(list)
        for indexes in groups.values():
            if last := _said_last(texts, indexes):
                answers[parts[last[0]]] += last
        return answers

    def _is_source(self, text: Text) -> bool:
        return text.role in self._sources and bool(text.value)

    async def _compared(
        self, texts: Sequence[Text], answers: Mapping[Part, list[int]]
    ) -> list[tuple[int, list[Finding]]]:
        parts = _parts(texts)
        grounds: defaultdict[Part, list[str]] = defaultdict(list)
        for text, part in zip(texts, parts, strict=True):
            if part in answers and text.role in self._ground:
                grounds[part].append(text.value)
        size = sum(map(len, (value for some in grounds.values() for value in some)))
        size += sum(len(texts[index].value) for some in answers.values() for index in some)
        gone = threading.Event()
        if size <= LOOK_IN_THREAD_CHARACTERS:
            return list(self._look(texts, answers, grounds, gone))
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._thread, lambda: list(self._look(texts, answers, grounds, gone))
            )
        finally:
            # Whoever waited may have left.
            gone.set()

    def _look(
        self,
        texts: Sequence[Text],
        answers: Mapping[Part, list[int]],
        grounds: Mapping[Part, list[str]],
        gone: threading.Event,
    ) -> Iterator[tuple[int, list[Finding]]]:
        for part, indexes in answers.items():
            ground = Ground(list(dict.fromkeys(grounds[part])), self._config, gone)
            for index in indexes:
                yield index, list(self._without_ground(texts[index].value, ground, gone))

    def _without_ground(
        self, value: str, ground: Ground, gone: threading.Event
    ) -> Iterator[Finding]:
        count = 0
        for claim in claims(value, self._config.ignore_up_to):
            heed(gone)
            if claim.kind not in self._config.kinds or ground.holds(value, claim):
                continue
            name, score = claim.kind.value, SCORES[claim.kind]
            code = f"{name.upper()}_NOT_IN_SOURCES"
            yield Finding(f"grounded.{name}", score, claim.start, claim.end, code)
            count += 1
            if count == MAX_FINDINGS:
                return


def _parts(texts: Sequence[Text]) -> list[Part]:
    """Returns what each text belongs to: the trace if its group tells one, else the group."""
    traces = {text.group: text.use.trace for text in texts if text.use and text.use.trace}
    return [traces.get(text.group, text.group) if text.group else 0 for text in texts]


def _said_last(texts: Sequence[Text], indexes: Sequence[int]) -> list[int]:
    """Returns the last texts of the assistant in a group, which nobody else's come between."""
    last: list[int] = []
    for index in reversed(indexes):
        if texts[index].role is Role.ASSISTANT:
            last.append(index)
        elif last:
            break
    return last
