"""Personal data: e-mail addresses, telephone numbers, card numbers and the like."""

import asyncio
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field, field_validator

from bartizan.guardrails.engine.looking import Looks
from bartizan.guardrails.pii_entities import ENTITIES
from bartizan.guardrails.pii_score import Scored
from bartizan.plugins.config import PluginConfig, nearest
from bartizan.plugins.contract import Finding, Text

if TYPE_CHECKING:
    from bartizan.guardrails.engine.personal_data import PersonalData

NAMES = {entity: (f"pii.{entity.lower()}", f"PII_{entity}") for entity in ENTITIES}
"""Category and code."""

LOOK_IN_THREAD_CHARACTERS = 2_000
"""A closer look at this much takes about half a millisecond, as long as a switch of threads."""


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
        self._looks = Looks("pii", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def start(self) -> None:
        """Loads the recognizers. Takes seconds the first time. Raises ImportError without them."""
        async with self._starting:
            if self._data is None:
                self._data = await asyncio.to_thread(self._load)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the personal data in each text, in the order of the texts."""
        data = await self._loaded()
        return await self._looks.at_candidates([text.value for text in texts], data.candidates)

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

        return PersonalData(self._config.thresholds(), self._config.phone_regions)

    def _look(self, value: str, gone: threading.Event) -> list[Finding]:
        assert self._data is not None
        return [_finding(one) for one in self._data.find(value, gone)]


def _finding(one: Scored) -> Finding:
    category, code = NAMES[one.entity]
    return Finding(category, one.score, one.start, one.end, code)
