"""Classifiers of one's own: any model that scores texts, by onnxruntime or transformers."""

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

import numpy as np
from pydantic import Field

from bartizan.guardrails.engine.model_config import ModelConfig
from bartizan.guardrails.engine.model_files import Head
from bartizan.guardrails.engine.model_use import Judged, ModelUse
from bartizan.guardrails.engine.probabilities import SCORE_DIGITS, sigmoid, softmax
from bartizan.guardrails.patterns_config import CATEGORY
from bartizan.plugins.config import PluginConfig, nearest
from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.errors import ConfigError

_NO_CODE = re.compile("[^A-Z0-9]+")


class Scale(StrEnum):
    """How scores become probabilities."""

    SIGMOID = "sigmoid"
    SOFTMAX = "softmax"


SCALES = {Scale.SIGMOID: sigmoid, Scale.SOFTMAX: softmax}


class LabelConfig(PluginConfig):
    """What one label of the model means."""

    category: str = Field(
        pattern=CATEGORY, max_length=200, description="What it is reported as: `toxicity.insult`."
    )
    threshold: float = Field(0.5, ge=0, le=1, description="The least probability that counts.")


class ClassifierConfig(ModelConfig):
    """The configuration of the guardrail `classifier`."""

    labels: dict[str, LabelConfig] = Field(
        min_length=1,
        max_length=1_000,
        description="The labels that are reported, by the model's names. Others do not matter.",
    )
    scores: Scale | None = Field(
        None,
        description="`sigmoid`: each label may be true for itself; `softmax`: one of them is. "
        "Default: what config.json says, else `softmax`, or `sigmoid` for a single label.",
    )


class Classifier:
    """Finds what a model of one's own finds.

    Categories: those of the configuration, and `classifier.unjudged`. A finding covers the window
    that scores most; a text has at most one of each label.
    """

    Config = ClassifierConfig

    def __init__(self, config: ClassifierConfig) -> None:
        """Makes the guardrail. It loads its model at `start` or at the first check."""
        self._config = config
        self._model = ModelUse("classifier", config, Head.TEXT, self._fit)

    async def start(self) -> None:
        """Loads the model. Raises ConfigError if it cannot be used, ImportError for a package."""
        await self._model.start()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what the model finds in each text, in the order of the texts."""
        return await self._model.at([text.value for text in texts], self._found)

    async def aclose(self) -> None:
        """Lets the model go."""
        self._model.close()

    def _fit(self, known: Sequence[str]) -> None:
        for label in self._config.labels:
            if label not in known:
                told = f"the model has no label '{label}'{nearest(label, known)}"
                raise ConfigError("INVALID_CONFIG", told, field=f"labels.{label}")

    def _found(self, value: str, judged: Judged) -> Sequence[Finding]:
        return list(self._findings(judged)) if judged.windows else []

    def _findings(self, judged: Judged) -> Iterator[Finding]:
        to_probabilities = SCALES[self._scale(judged)]
        scores = to_probabilities(np.stack(judged.logits).astype(np.float64)).round(SCORE_DIGITS)
        for place, label in enumerate(judged.labels):
            wanted = self._config.labels.get(label)
            best = int(scores[:, place].argmax())
            score = float(scores[best, place])
            if wanted is not None and score >= wanted.threshold:
                window = judged.windows[best]
                yield Finding(wanted.category, score, window.start, window.end, _code(label))

    def _scale(self, judged: Judged) -> Scale:
        if self._config.scores is not None:
            return self._config.scores
        several = len(judged.labels) == 1 if judged.several is None else judged.several
        return Scale.SIGMOID if several else Scale.SOFTMAX


def _code(label: str) -> str:
    return f"CLASSIFIER_{_NO_CODE.sub('_', label.upper())}".rstrip("_")
