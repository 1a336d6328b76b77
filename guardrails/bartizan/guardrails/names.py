"""Names of people, places and organizations, by a model of one's own that tags tokens."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

import numpy as np
from pydantic import Field

from bartizan.guardrails.engine.entity_spans import Token, entities, kinds, likeliest, tags
from bartizan.guardrails.engine.model_config import ModelConfig
from bartizan.guardrails.engine.model_files import Head
from bartizan.guardrails.engine.model_use import Judged, ModelUse
from bartizan.guardrails.engine.probabilities import SCORE_DIGITS, softmax
from bartizan.plugins.config import nearest
from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.errors import ConfigError


class Kind(StrEnum):
    """What is found."""

    PERSON = "person"
    LOCATION = "location"
    ADDRESS = "address"
    ORGANIZATION = "organization"


USUAL: Mapping[str, Kind] = {
    "PER": Kind.PERSON,
    "PERSON": Kind.PERSON,
    "NAME": Kind.PERSON,
    "GIVENNAME": Kind.PERSON,
    "SURNAME": Kind.PERSON,
    "LOC": Kind.LOCATION,
    "LOCATION": Kind.LOCATION,
    "GPE": Kind.LOCATION,
    "CITY": Kind.LOCATION,
    "ADDRESS": Kind.ADDRESS,
    "STREET": Kind.ADDRESS,
    "ORG": Kind.ORGANIZATION,
    "ORGANIZATION": Kind.ORGANIZATION,
    "COMPANY": Kind.ORGANIZATION,
}
"""What models call them, in capitals, without the tag's prefix."""


class NamesConfig(ModelConfig):
    """The configuration of the guardrail `names`."""

    kinds: tuple[Kind, ...] = Field(
        (Kind.PERSON, Kind.LOCATION, Kind.ADDRESS),
        min_length=1,
        max_length=len(Kind),
        description="What is looked for: `person`, `location`, `address`, `organization`.",
    )
    labels: dict[str, Kind] = Field(
        default_factory=dict,
        max_length=1_000,
        description="What the model's labels mean, without `B-` and `I-`, if they are unusual.",
    )
    threshold: float = Field(0.5, ge=0, le=1, description="The least probability that counts.")

    def meaning(self, label: str) -> Kind | None:
        """Returns what a label of the model means, if it is looked for."""
        kind = self.labels.get(label) or USUAL.get(label.upper())
        return kind if kind in self.kinds else None


class Names:
    """Finds names of people and places by a model that knows them from their context.

    Categories: `pii.person`, `pii.location`, `pii.address`, `pii.organization`, and
    `names.unjudged`.
    """

    Config = NamesConfig

    def __init__(self, config: NamesConfig) -> None:
        """Makes the guardrail. It loads its model at `start` or at the first check."""
        self._config = config
        self._model = ModelUse("names", config, Head.TOKENS, self._fit)

    async def start(self) -> None:
        """Loads the model. Raises ConfigError if it cannot be used, ImportError for a package."""
        await self._model.start()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the names in each text, in the order of the texts."""
        return await self._model.at([text.value for text in texts], self._found)

    async def aclose(self) -> None:
        """Lets the model go."""
        self._model.close()

    def _fit(self, labels: Sequence[str]) -> None:
        known = kinds(labels)
        for label in self._config.labels:
            if label not in known:
                told = f"the model has no label '{label}'{nearest(label, known)}"
                raise ConfigError("INVALID_CONFIG", told, field=f"labels.{label}")
        if not any(map(self._config.meaning, known)):
            told = "the model has no label for any of 'kinds'; say in 'labels' what its own mean"
            raise ConfigError("INVALID_CONFIG", told, field="labels")

    def _found(self, value: str, judged: Judged) -> Sequence[Finding]:
        return list(self._findings(value, judged))

    def _findings(self, value: str, judged: Judged) -> Iterator[Finding]:
        for found in entities(value, _tokens(judged)):
            kind = self._config.meaning(found.kind)
            score = round(found.score, SCORE_DIGITS)
            if kind is not None and score >= self._config.threshold:
                yield Finding(f"pii.{kind}", score, found.start, found.end, f"NAMES_{kind.upper()}")


def _tokens(judged: Judged) -> Iterator[Token]:
    """Yields each token once, as the window saw it that had most of what is around it."""
    known = tags(judged.labels)
    for window, logits in zip(judged.windows, judged.logits, strict=True):
        rows = logits[window.lead : window.lead + len(window.spans)][window.own]
        chosen = likeliest(softmax(rows.astype(np.float64)), known)
        spans = window.spans[window.own].tolist()
        for (start, end), (tag, score) in zip(spans, chosen, strict=True):
            yield Token(start, end, tag, score)
