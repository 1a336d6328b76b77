"""Topics: texts about what is denied, and texts about nothing that is allowed."""

import asyncio
import threading
from collections.abc import Sequence

from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.guardrails.engine.ngrams import pieces
from bartizan.guardrails.engine.normalise import views
from bartizan.guardrails.topics.background import background
from bartizan.guardrails.topics.config import TopicsConfig
from bartizan.guardrails.topics.scorer import Scorer, TopicScore
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 300
"""A look at this much takes about half a millisecond with a few topics."""

DENIED, OFF_TOPIC = "topics.denied", "topics.off_topic"
NOTHING: tuple[Finding, ...] = ()


class Topics:
    """Finds texts about topics that are denied, or about none of those that are allowed.

    Categories: `topics.denied`, where the text is most about it; `topics.off_topic`, all of the
    text. A text that is about an allowed topic anywhere is on topic.
    """

    Config = TopicsConfig

    def __init__(self, config: TopicsConfig) -> None:
        """Makes the guardrail. It reads the examples at `start` or at the first check."""
        self._config = config
        self._examples = [topic.examples for topic in (*config.deny, *config.allow)]
        self._codes = [f"TOPIC_{topic.name.upper()}" for topic in config.deny]
        self._scorer: Scorer | None = None
        self._starting = asyncio.Lock()
        self._looks = Looks("topics", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def start(self) -> None:
        """Reads the examples. Takes about 0.3 ms for each, and a tenth of a second in all."""
        async with self._starting:
            if self._scorer is None and self._examples:
                self._scorer = await asyncio.to_thread(self._made)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what each text is about that it should not be, in the order of the texts."""
        if not self._examples:
            return [NOTHING] * len(texts)
        if self._scorer is None:
            await self.start()
        return await self._looks.at([text.value for text in texts])

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _made(self) -> Scorer:
        return Scorer(self._examples, background())

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        if not value or value.isspace():
            return NOTHING
        best = self._best(value, gone)
        count = len(self._codes)
        least = self._config.least_score
        found = [
            Finding(DENIED, score, start, end, code)
            for (score, start, end), code in zip(best[:count], self._codes, strict=True)
            if score >= least
        ]
        # Not all of its characters count: spaces would make any text long enough.
        if best[count:] and len(value.strip()) >= self._config.least_characters:
            off = 1 - max(score for score, _, _ in best[count:])
            if off >= least:
                found.append(Finding(OFF_TOPIC, off, 0, len(value), "OFF_TOPIC"))
        return found

    def _best(self, value: str, gone: threading.Event) -> list[TopicScore]:
        assert self._scorer is not None
        best = [TopicScore(0.0, 0, 0)] * len(self._examples)
        for view in views(value):
            for offset, piece in pieces(view.text):
                heed(gone)
                for topic, (score, start, end) in enumerate(self._scorer.score(piece)):
                    if score > best[topic].score:
                        place = view.span(offset + start, offset + end)
                        best[topic] = TopicScore(score, *place)
        return best
