"""Personal data: e-mail addresses, telephone numbers, card numbers and the like."""

import asyncio
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field, field_validator

from bartizan.guardrails.pii_entities import ENTITIES
from bartizan.guardrails.pii_score import Scored
from bartizan.plugins.config import PluginConfig, nearest
from bartizan.plugins.contract import Finding, Text

if TYPE_CHECKING:
    from bartizan.guardrails.engine.personal_data import PersonalData

NOTHING: tuple[Finding, ...] = ()

NAMES = {entity: (f"pii.{entity.lower()}", f"PII_{entity}") for entity in ENTITIES}
"""Category and code."""

SCAN_IN_THREAD_CHARACTERS = 256 * 1_024
"""A scan of this much takes about half a millisecond: the event loop can wait that long."""

LOOK_IN_THREAD_CHARACTERS = 2_000
"""A closer look at this much takes about half a millisecond too, as long as a switch of threads."""

LARGE_CHARACTERS = 64 * 1_024
"""A text from here on may take as long as thousands of others: those do not wait for it."""

SLICE_CHARACTERS = 16 * 1_024
"""Between slices other calls get their turn."""


class EntityConfig(PluginConfig):
    """What to do about one kind of personal data."""

    enabled: bool = Field(True, description="Whether to look for it.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="The least score that counts. Default: its own."
    )


class PiiConfig(PluginConfig):
    """The configuration of the guardrail `pii`."""

    entities: dict[str, EntityConfig] = Field(
        default_factory=dict,
        description="Changes to what is looked for, by the name of the entity: EMAIL_ADDRESS.",
    )
    phone_regions: tuple[str, ...] = Field(
        ("US", "GB"),
        min_length=1,
        max_length=50,
        description="Telephone numbers without a country code are read as of these countries.",
    )

    @field_validator("entities")
    @classmethod
    def _known(cls, entities: dict[str, EntityConfig]) -> dict[str, EntityConfig]:
        for name in entities:
            if name not in ENTITIES:
                raise ValueError(f"no entity '{name}'{nearest(name, ENTITIES)}")
        return entities

    @field_validator("phone_regions")
    @classmethod
    def _regions(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        for region in regions:
            if len(region) != 2 or not region.isascii() or not region.isupper():
                raise ValueError("a region is two capital letters of ISO 3166: US")
            if region not in SUPPORTED_REGIONS:
                raise ValueError(f"no telephone numbers of '{region}' are known")
        return regions

    def thresholds(self) -> dict[str, float]:
        """Returns what to look for, each with the least score that counts."""
        chosen: dict[str, float] = {}
        for name, entity in ENTITIES.items():
            wanted = self.entities.get(name)
            if wanted.enabled if wanted is not None else entity.on:
                own = wanted.threshold if wanted is not None else None
                chosen[name] = entity.threshold if own is None else own
        return chosen


class Pii:
    """Finds personal data by its form, with no language model.

    Categories: `pii.` and the name of the entity in lower case: `pii.email_address`.
    """

    Config = PiiConfig

    def __init__(self, config: PiiConfig) -> None:
        """Makes the guardrail. It loads its recognizers at `start` or at the first check."""
        self._config = config
        self._data: PersonalData | None = None
        self._starting = asyncio.Lock()
        # One each: more would take turns at the interpreter's lock and keep the event loop waiting.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pii")
        self._large_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pii-large")

    async def start(self) -> None:
        """Loads the recognizers. Takes seconds the first time. Raises ImportError without them."""
        async with self._starting:
            if self._data is None:
                self._data = await asyncio.to_thread(self._load)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the personal data in each text, in the order of the texts."""
        data = await self._loaded()
        values = [text.value for text in texts]
        findings: list[Sequence[Finding]] = [NOTHING] * len(values)
        suspects: dict[str, list[int]] = {}
        for index in await _candidates(data, values):
            suspects.setdefault(values[index], []).append(index)
        for part in _slices(suspects):
            for value, found in zip(part, await self._look(data, part), strict=True):
                for index in suspects[value]:
                    findings[index] = found
        return findings

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._large_thread.shutdown(wait=False, cancel_futures=True)

    async def _loaded(self) -> "PersonalData":
        if self._data is None:
            await self.start()
        assert self._data is not None
        return self._data

    def _load(self) -> "PersonalData":
        # Not at the top: presidio takes seconds and 100 MB to import.
        from bartizan.guardrails.engine.personal_data import PersonalData

        return PersonalData(self._config.thresholds(), self._config.phone_regions)

    async def _look(self, data: "PersonalData", values: Sequence[str]) -> list[Sequence[Finding]]:
        size = sum(map(len, values))
        if size <= LOOK_IN_THREAD_CHARACTERS:
            return _findings(data, values, None)
        gone = threading.Event()
        thread = self._thread if size < LARGE_CHARACTERS else self._large_thread
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(thread, _findings, data, values, gone)
        finally:
            # Whoever waited may have left: the thread is for the next.
            gone.set()


async def _candidates(data: "PersonalData", values: Sequence[str]) -> Sequence[int]:
    if sum(map(len, values)) <= SCAN_IN_THREAD_CHARACTERS:
        return data.candidates(values)
    return await asyncio.to_thread(data.candidates, values)


def _slices(values: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for value in values:
        if part and size + len(value) > SLICE_CHARACTERS:
            yield part
            part, size = [], 0
        part.append(value)
        size += len(value)
    if part:
        yield part


def _findings(
    data: "PersonalData", values: Sequence[str], gone: threading.Event | None
) -> list[Sequence[Finding]]:
    return [[_finding(one) for one in data.find(value, gone)] for value in values]


def _finding(one: Scored) -> Finding:
    category, code = NAMES[one.entity]
    return Finding(category, one.score, one.start, one.end, code)
