"""Personal data: e-mail addresses, telephone numbers, card numbers and the like."""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from bartizan.guardrails.engine.looking import Looks
from bartizan.guardrails.pii_config import EntityConfig, PiiConfig
from bartizan.guardrails.pii_entities import ENTITIES
from bartizan.guardrails.pii_lists import Allowed, Denied
from bartizan.guardrails.pii_score import Scored
from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.unescaped import Unescaped, has_escapes, without_escapes

if TYPE_CHECKING:
    from bartizan.guardrails.engine.personal_data import PersonalData

__all__ = ["EntityConfig", "Pii", "PiiConfig"]

NAMES = {entity: (f"pii.{entity.lower()}", f"PII_{entity}") for entity in ENTITIES}
"""Category and code."""

LOOK_IN_THREAD_CHARACTERS = 2_000
"""A closer look at this much takes about half a millisecond, as long as a switch of threads."""


class Pii:
    """Finds personal data by its form, with no language model.

    Categories: `pii.` and the name of the entity in lower case: `pii.email_address`.
    """

    Config = PiiConfig

    def __init__(self, config: PiiConfig) -> None:
        """Makes the guardrail. It loads its recognizers at `start` or at the first check."""
        self._config = config
        self._data: PersonalData | None = None
        self._allowed = Allowed(config.allow, config.allow_patterns)
        self._denied = Denied(config.deny) if config.deny else None
        self._starting = asyncio.Lock()
        self._looks = Looks("pii", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def start(self) -> None:
        """Loads the recognizers. Takes seconds the first time. Raises ImportError without them."""
        async with self._starting:
            if self._data is None:
                self._data = await asyncio.to_thread(self._load)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the personal data in each text, in the order of the texts."""
        data = await self._loaded()
        scan = partial(self._candidates, data)
        return await self._looks.at_candidates([text.value for text in texts], scan)

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    async def _loaded(self) -> "PersonalData":
        if self._data is None:
            await self.start()
        assert self._data is not None
        return self._data

    def _load(self) -> "PersonalData":
        # Not at the top: presidio takes seconds and 100 MB to import.
        from bartizan.guardrails.engine.personal_data import PersonalData

        return PersonalData(self._config.thresholds(), self._config.regions())

    def _candidates(self, data: "PersonalData", values: Sequence[str]) -> Sequence[int]:
        known = self._scanned(data, values)
        escaped = [index for index, value in enumerate(values) if has_escapes(value)]
        if escaped:
            read = [without_escapes(values[index]) for index in escaped]
            known = sorted({*known, *(escaped[place] for place in self._scanned(data, read))})
        return known

    def _scanned(self, data: "PersonalData", values: Sequence[str]) -> Sequence[int]:
        known = data.candidates(values)
        if self._denied is None:
            return known
        return sorted({*known, *self._denied.candidates(values)})

    def _look(self, value: str, gone: threading.Event) -> list[Finding]:
        found = self._found(value, gone)
        if has_escapes(value):
            read = Unescaped(value)
            escaped = [_moved(one, read) for one in self._found(read.text, gone)]
            # What an escape ends in is no part of what follows it: `\\njane@example.com`.
            found = [*escaped, *_apart(found, escaped)]
        return sorted(found, key=lambda one: (one.start, one.end, one.category))

    def _found(self, value: str, gone: threading.Event) -> list[Finding]:
        assert self._data is not None
        found = [
            _finding(one)
            for one in self._data.find(value, gone)
            if value[one.start : one.end] not in self._allowed
        ]
        return found if self._denied is None else [*found, *self._denied.find(value, gone)]


def _finding(one: Scored) -> Finding:
    category, code = NAMES[one.entity]
    return Finding(category, one.score, one.start, one.end, code)


def _moved(found: Finding, read: Unescaped) -> Finding:
    start, end = read.original(found.start, found.end)
    return replace(found, start=start, end=end)


def _apart(found: Sequence[Finding], others: Sequence[Finding]) -> Iterator[Finding]:
    """Yields the findings that share no character with any of the others."""
    given = sorted((one.start, one.end) for one in others)
    reach = list(accumulate((end for _, end in given), max))
    for one in found:
        before = bisect_left(given, (one.end, 0))
        if not before or reach[before - 1] <= one.start:
            yield one
