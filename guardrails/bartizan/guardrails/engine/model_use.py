"""Asks a model about texts: tokenizes them, has their windows judged, puts the answers together."""

import asyncio
import threading
from asyncio import get_running_loop
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.engine.model_config import ModelConfig
from bartizan.guardrails.engine.model_files import Head
from bartizan.guardrails.engine.model_loading import Loaded, Logits, loaded
from bartizan.plugins.contract import Finding

if TYPE_CHECKING:
    from bartizan.guardrails.engine.token_windows import Window, Windows

SLICE_CHARACTERS = 64 * 1_024
"""Of texts that are tokenized together: what stands in memory at a time."""

Find = Callable[[str, "Judged"], Sequence[Finding]]
"""Returns what a model found in a text."""

Fits = Callable[[tuple[str, ...]], None]
"""Raises ConfigError if a model with these labels is of no use."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a model says of one text.

    Attributes:
        windows: the windows that were judged.
        logits: for each window, of its labels or of its labels by token.
        labels: what the last axis of the logits is about.
        several: True if several labels may be true at once, None if the model does not say.
    """

    windows: Sequence["Window"]
    logits: Sequence[Logits]
    labels: tuple[str, ...]
    several: bool | None


class ModelUse:
    """Asks a model about texts, for one guardrail. Serves many concurrent calls."""

    def __init__(self, name: str, config: ModelConfig, head: Head, fits: Fits) -> None:
        """Takes what the guardrail is called, and what the labels must fit. Loads nothing yet."""
        self._name = name
        self._fits = fits
        self._config = config
        self._head = head
        self._loaded: Loaded | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Loads the model, if no guardrail of the process did.

        Raises ConfigError if it cannot be used, ImportError if a package is missing.
        """
        async with self._starting:
            if self._loaded is None:
                model = await asyncio.to_thread(loaded, self._config, self._head)
                self._fits(model.facts.labels)
                self._loaded = model

    async def at(self, values: Sequence[str], find: Find) -> list[Sequence[Finding]]:
        """Returns what `find` finds in each text, and what of it was not judged."""
        if self._loaded is None:
            await self.start()
        # Held to the end, though the guardrail be closed meanwhile.
        model = self._loaded
        assert model is not None
        found: dict[str, Sequence[Finding]] = {}
        for part in slices(dict.fromkeys(values), SLICE_CHARACTERS):
            found.update(zip(part, await self._found(model, part, find), strict=True))
        return [found[value] for value in values]

    def close(self) -> None:
        """Lets the model go. May be called twice."""
        self._loaded = None

    async def _found(
        self, model: Loaded, values: Sequence[str], find: Find
    ) -> list[Sequence[Finding]]:
        gone = threading.Event()
        run = partial(get_running_loop().run_in_executor, model.thread)
        try:
            texts = await run(self._encoded, model, values, gone)
            asked = [window for text in texts for window in text.windows]
            logits = await model.batches.results(asked)
            return await run(self._each, model, values, texts, logits, find, gone)
        finally:
            # Whoever waited may have left: the thread is for the next.
            gone.set()

    def _encoded(
        self, model: Loaded, values: Sequence[str], gone: threading.Event
    ) -> list["Windows"]:
        most = self._config.max_windows
        return [model.encoder.windows(value, most, gone) for value in values]

    def _each(
        self,
        model: Loaded,
        values: Sequence[str],
        texts: Sequence["Windows"],
        logits: Sequence[Logits],
        find: Find,
        gone: threading.Event,
    ) -> list[Sequence[Finding]]:
        found: list[Sequence[Finding]] = []
        each = iter(logits)
        for value, (windows, end) in zip(values, texts, strict=True):
            heed(gone)
            given = list(islice(each, len(windows)))
            judged = Judged(windows, given, *model.facts)
            found.append([*find(value, judged), *self._unjudged(value, end)])
        return found

    def _unjudged(self, value: str, end: int) -> Iterator[Finding]:
        if end < len(value) and self._config.report_unjudged:
            yield Finding(f"{self._name}.unjudged", 1.0, end, len(value), "TOO_LONG")


def slices(values: Iterable[str], characters: int) -> Iterator[list[str]]:
    """Yields the texts in parts with about so many characters each, or one longer text."""
    part: list[str] = []
    size = 0
    for value in values:
        if part and size + len(value) > characters:
            yield part
            part, size = [], 0
        part.append(value)
        size += len(value)
    if part:
        yield part
