"""The model of the second look: a small transformer, run by onnxruntime on the processor.

Its files come with the package `bartizan-models`. It reads one stretch of text at a time: in a
batch, the scale of its numbers would depend on the others, and so would what it says.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.abc import Traversable
from importlib.resources import files
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.second_text import middle, worded

PACKAGE = "bartizan.models"
ERRORS_ONLY = 3
"""The library's name for it."""

BEGIN, END = 2, 3
"""The tokens around each stretch."""

STRETCHES_REMEMBERED = 256
"""Several rules, and several heads of a rule, look at the same stretch one after the other."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How one head comes to its score.

    Attributes:
        output: its place among what the model gives.
        doubt: what the first look has to score at least to be asked about.
        first: what a logit of the first look counts.
        second: what a logit of the model counts.
        lowest, highest: a logit of the model beyond counts as these. It is surer than it should
            be about what it has not seen the like of.
        knots: sums of both, ascending, for which `logits` says what they mean.
        logits: of the probability, ascending.
        clear: a score that about 5 % of harmless agent traffic exceeds.
        alarm: a score that about 0.5 % of it exceeds, of sources that training did not see.
    """

    output: int
    doubt: float
    first: float
    second: float
    lowest: float
    highest: float
    knots: Floats
    logits: Floats
    clear: float
    alarm: float

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """Returns a judgement as the package holds it."""
        lines = {name: np.array(stored[name], np.float64) for name in ("knots", "logits")}
        return cls(**{**stored, **lines})

    def probability(self, first_score: float, told: float) -> float:
        """Returns the score of both looks together: more if either is more."""
        sure = min(max(told, self.lowest), self.highest)
        total = self.first * logit(first_score) + self.second * sure
        inside = min(max(total, self.knots[0]), self.knots[-1])
        found = float(np.interp(inside, self.knots, self.logits)) + (total - inside)
        return float(1 / (1 + np.exp(-found)))


class SecondModel:
    """Says how much a stretch of text looks like what each head is after. Serves many threads.

    Attributes:
        judgements: by the name of the head.
    """

    def __init__(self, folder: Traversable) -> None:
        """Loads the model. Raises ImportError if onnxruntime or tokenizers is missing."""
        from tokenizers import Tokenizer

        stored = json.loads((folder / "heads.json").read_bytes())
        self.judgements = {name: Judgement.of(one) for name, one in stored["heads"].items()}
        self._tokenizer = Tokenizer.from_str((folder / "tokenizer.json").read_text("utf-8"))
        with (folder / "words.npz").open("rb") as file, np.load(file) as words:
            self._words, self._units = words["table"], words["units"]
        self._layers = [_session((folder / name).read_bytes()) for name in stored["layers"]]
        self.told = lru_cache(STRETCHES_REMEMBERED)(self._told)

    def tokens(self, stretch: str) -> list[int]:
        """Returns a stretch as the model reads it."""
        encoded = self._tokenizer.encode(worded(stretch), add_special_tokens=False)
        return [BEGIN, *middle(encoded.ids), END]

    def run(self, ids: Sequence[int]) -> npt.NDArray[np.float32]:
        """Returns what the last of the layers gives for a stretch."""
        state: npt.NDArray[np.float32] = (self._words[ids] * self._units[ids, None])[None]
        for layers in self._layers:
            [state] = layers.run(None, {"hidden": state})
        found: npt.NDArray[np.float32] = state[0]
        return found

    def _told(self, stretch: str) -> Sequence[float]:
        """Returns the logits of all heads. Takes about 5 ms for 80 tokens on one core."""
        told: list[float] = self.run(self.tokens(stretch)).tolist()
        return told


@cache
def second_model() -> SecondModel:
    """Returns the model that all rules share.

    Raises ImportError if the package with it, onnxruntime or tokenizers is not installed.
    """
    return SecondModel(files(PACKAGE))


def logit(score: float) -> float:
    """Returns the logit of a score; of 0 and 1 it is that of something very close."""
    inside = min(max(score, 1e-9), 1 - 1e-9)
    return float(np.log(inside / (1 - inside)))


def _session(model: bytes) -> Any:
    from bartizan.guardrails.engine.onnx_runtime import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Each length of a text that comes along would be remembered.
    options.enable_mem_pattern = False
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
