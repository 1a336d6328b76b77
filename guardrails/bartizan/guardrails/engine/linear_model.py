"""Scores texts by a linear model over hashed features: the first look, in a fraction of a ms.

A text is judged by its window that scores most, so that one bad sentence in a long one is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import IO, Any, NamedTuple, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.evidence import evidence
from bartizan.guardrails.engine.ngrams import BUCKETS, Features, features, pieces, windows

Floats = npt.NDArray[np.float64]

PIECES_REMEMBERED = 16
"""Several models look at the same text one after the other."""


class WindowScore(NamedTuple):
    """How much a text looks like what a model was trained to find.

    Attributes:
        score: between 0 and 1; of texts that score 0.5, half are, where half of all are.
        start: where the window begins that scores most, in characters.
        end: where it ends.
    """

    score: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class LinearModel:
    """A model of one thing to find. Many threads may use it at once.

    Attributes:
        weights: what each bucket adds, in units of `unit`.
        unit: of the weights.
        bias: what every text has.
        prior: as many features without weight are added to each window.
        with_evidence: whether the rules add theirs.
        knots: sums, ascending, for which `logits` says what they mean.
        logits: of the probability, ascending.
        clear: a score that about 5 % of harmless agent traffic exceeds, or what is left for the
            second look.
        alarm: a score that about 0.5 % of it exceeds, of sources that training did not see.
    """

    weights: npt.NDArray[np.int8]
    unit: float
    bias: float
    prior: float
    with_evidence: bool
    knots: Floats
    logits: Floats
    clear: float
    alarm: float

    @classmethod
    def load(cls, name: str) -> Self:
        """Returns a model that comes with this package, by its name: `injection_user`.

        Raises FileNotFoundError if there is none of that name, ValueError if it is damaged.
        """
        path = files("bartizan.guardrails") / "models" / f"{name}.npz"
        with path.open("rb") as file:
            return cls.read(file)

    @classmethod
    def read(cls, file: IO[bytes]) -> Self:
        """Returns a model as `write` wrote it. Raises ValueError if it is damaged."""
        try:
            with np.load(file, allow_pickle=False) as stored:
                weights, knots, logits = stored["weights"], stored["knots"], stored["logits"]
                unit, bias, prior, with_evidence, clear, alarm = stored["numbers"].tolist()
        except (KeyError, OSError, EOFError, ValueError, BadZipFile) as error:
            raise ValueError("not a linear model") from error
        if weights.shape != (BUCKETS,) or weights.dtype != np.int8 or len(knots) != len(logits):
            raise ValueError("a linear model of another kind")
        return cls(weights, unit, bias, prior, bool(with_evidence), knots, logits, clear, alarm)

    def write(self, file: IO[bytes]) -> None:
        """Writes the model. The same model gives the same bytes."""
        numbers = [self.unit, self.bias, self.prior, self.with_evidence, self.clear, self.alarm]
        arrays: dict[str, Any] = {
            "weights": self.weights,
            "knots": self.knots,
            "logits": self.logits,
            "numbers": np.array(numbers, np.float64),
        }
        np.savez(file, **arrays)

    def with_thresholds(self, clear: float, alarm: float) -> Self:
        """Returns the same model with other thresholds."""
        return replace(self, clear=clear, alarm=alarm)

    def score(self, texts: Sequence[str]) -> list[WindowScore]:
        """Returns the score of each text. Takes about 0.2 ms for 200 characters."""
        return [self._score(text) for text in texts]

    def probability(self, total: float) -> float:
        """Returns what a sum over a window means: strictly more the higher it is."""
        knots, logits = self.knots, self.logits
        inside = min(max(total, knots[0]), knots[-1])
        logit = float(np.interp(inside, knots, logits)) + (total - inside)
        return float(1 / (1 + np.exp(-logit)))

    def _score(self, text: str) -> WindowScore:
        best = (-np.inf, 0, 0)
        for offset, piece in pieces(text):
            total, start, end = self._best(piece)
            if total > best[0]:
                best = (total, offset + start, offset + end)
        return WindowScore(self.probability(best[0]), best[1], best[2])

    def _best(self, piece: str) -> tuple[float, int, int]:
        starts, ends = windows(len(piece))
        found = _features(piece)
        weights = self.weights[found.buckets]
        if len(starts) == 1:
            count = len(weights)
            sums = np.array([weights.sum(dtype=np.float64)]) / np.sqrt(count + self.prior)
        else:
            sums = self._sums(weights, found.places, len(piece), starts, ends)
        totals = sums * self.unit + self.bias
        if self.with_evidence:
            totals += evidence(piece, starts, ends)
        place = int(totals.argmax())
        return float(totals[place]), int(starts[place]), int(ends[place])

    def _sums(
        self,
        weights: npt.NDArray[np.int8],
        places: npt.NDArray[np.int64],
        length: int,
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
    ) -> Floats:
        total, count = np.zeros(length + 1), np.zeros(length + 1)
        np.cumsum(np.bincount(places, weights, length), out=total[1:])
        np.cumsum(np.bincount(places, minlength=length), out=count[1:])
        counts = count[ends] - count[starts]
        sums: Floats = (total[ends] - total[starts]) / np.sqrt(counts + self.prior)
        return sums


@lru_cache(PIECES_REMEMBERED)
def _features(piece: str) -> Features:
    return features(piece)
