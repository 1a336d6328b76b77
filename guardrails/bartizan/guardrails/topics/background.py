"""How rare features are in texts about anything, and what likeness to examples means."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import IO, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.ngrams import BUCKETS

FILE = "background.npz"
STEPS = 16
"""Rarities are kept in steps of a sixteenth."""

TERMS = 4
"""What a score has: a constant, the nearest examples, all examples, their number."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Background:
    """What is known before there is any example.

    Attributes:
        rarity: of each bucket the negative logarithm of the share of texts that have it.
        terms: the weights of what makes up a score.
    """

    rarity: npt.NDArray[np.float32]
    terms: Sequence[float]

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """Returns what `write` wrote. Raises ValueError if it is damaged."""
        try:
            with np.load(file, allow_pickle=False) as stored:
                steps, terms = stored["rarity"], stored["terms"]
        except (KeyError, OSError, EOFError, ValueError, BadZipFile) as error:
            raise ValueError("not a background") from error
        if steps.shape != (BUCKETS,) or steps.dtype != np.uint8 or terms.shape != (TERMS,):
            raise ValueError("a background of another kind")
        return cls(steps.astype(np.float32) / STEPS, tuple(terms.tolist()))

    def write(self, file: IO[bytes]) -> None:
        """Writes it. The same background gives the same bytes."""
        steps = np.clip(np.rint(self.rarity * STEPS), 0, 255).astype(np.uint8)
        np.savez_compressed(file, rarity=steps, terms=np.array(self.terms, np.float64))


@cache
def background() -> Background:
    """Returns the one that comes along. All rules share it."""
    with (files("bartizan.guardrails.topics") / FILE).open("rb") as file:
        return Background.read(file)


def rarities(documents: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.float32]:
    """Returns how rare each bucket is in documents, given as their distinct buckets."""
    counts = np.zeros(BUCKETS)
    for buckets in documents:
        counts[buckets] += 1
    # A little more than never: what no document has is not infinitely rare.
    return -np.log((counts + 0.3) / (len(documents) + 0.6)).astype(np.float32)
