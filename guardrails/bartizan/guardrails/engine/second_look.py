"""Looks again, with a small transformer, at what the first look did not clear."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from bartizan.guardrails.engine.first_look import Doubt
from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.engine.second_model import Judgement, SecondModel, second_model
from bartizan.guardrails.engine.second_text import around

AT_ONCE = 2
"""Calls. The interpreter's lock is free meanwhile, but more would want more cores."""

IN_A_ROW = 8
"""Windows that are looked at before others get their turn."""

Asked = tuple[int, Doubt]
"""The number of a text, and a window of it."""


class SecondLook:
    """Scores windows by both looks together. Serves many concurrent calls."""

    def __init__(self, name: str) -> None:
        """Takes the name of its threads."""
        self._model: SecondModel | None = None
        self._threads = ThreadPoolExecutor(AT_ONCE, f"{name}-second-look")

    async def start(self) -> Mapping[str, Judgement]:
        """Loads the model; returns how each head that it has comes to its score.

        Takes half a second the first time. Raises ImportError if the package `bartizan-models`,
        or what it needs, is not installed.
        """
        self._model = await asyncio.to_thread(_loaded)
        return self._model.judgements

    async def at(self, texts: Sequence[Sequence[Doubt]]) -> list[list[Doubt]]:
        """Returns for each text the windows that are still not clear, with the score of both looks.

        What is of a head that the model does not have stays as it is. Needs to have been started.
        """
        left: list[list[Doubt]] = [[] for _ in texts]
        asked = ((place, doubt) for place, doubts in enumerate(texts) for doubt in doubts)
        for part in _parts(asked):
            judged = await self._judged([doubt for _, doubt in part])
            for (place, _), again in zip(part, judged, strict=True):
                left[place] += again
        return left

    def close(self) -> None:
        """Lets the threads go. May be called twice."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _judged(self, doubts: Sequence[Doubt]) -> list[Sequence[Doubt]]:
        gone = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._each, doubts, gone)
        finally:
            # Whoever waited may have left: the thread is for the next.
            gone.set()

    def _each(self, doubts: Sequence[Doubt], gone: threading.Event) -> list[Sequence[Doubt]]:
        assert self._model is not None
        found = []
        for doubt in doubts:
            heed(gone)
            found.append(_again(self._model, doubt))
        return found


def _again(model: SecondModel, doubt: Doubt) -> Sequence[Doubt]:
    judgement = model.judgements.get(doubt.head)
    if judgement is None:
        return [doubt]
    window, text = doubt.window, doubt.view.text
    start, end = around(text, window.start, window.end)
    told = model.told(text[start:end])[judgement.output]
    score = judgement.probability(window.score, told)
    again = doubt._replace(window=window._replace(score=score))
    return [again] if score >= judgement.clear else []


def _loaded() -> SecondModel:
    model = second_model()
    model.told("")
    return model


def _parts(asked: Iterable[Asked]) -> Iterator[list[Asked]]:
    left = iter(asked)
    while part := list(islice(left, IN_A_ROW)):
        yield part
