"""Scores texts by a linear model over hashed features: the first look, in a fraction of a ms.

A text is judged by its window that scores most, so that one bad sentence in a long one is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import accumulate, pairwise
from typing import IO, Any, NamedTuple, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.evidence import evidence
from bartizan.guardrails.engine.feature_memory import features_remembered
from bartizan.guardrails.engine.ngrams import (
    BUCKETS,
    Features,
    Integers,
    batches,
    pieces,
    windows,
)

Floats = npt.NDArray[np.float64]


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
        """Returns the score of each text, which is that of its worst piece.

        Takes about 0.2 ms for one text of 200 characters, and a tenth of that for each of many.
        """
        parts = [(number, *part) for number, text in enumerate(texts) for part in pieces(text)]
        best = [WindowScore(0.0, 0, 0)] * len(texts)
        scores = self.score_pieces([piece for _, _, piece in parts])
        for (number, offset, _), found in zip(parts, scores, strict=True):
            if offset == 0 or found.score > best[number].score:
                best[number] = WindowScore(found.score, offset + found.start, offset + found.end)
        return best

    def score_pieces(self, parts: Sequence[str]) -> list[WindowScore]:
        """Returns the score of each piece of text, as `ngrams.pieces` cuts them."""
        found: list[WindowScore] = []
        for first, last in batches([len(part) for part in parts]):
            found += self._scores(tuple(parts[first:last]))
        return found

    def probability(self, total: float) -> float:
        """Returns what a sum over a window means: strictly more the higher it is."""
        return float(self._probabilities(np.array([total]))[0])

    def _probabilities(self, totals: Floats) -> Floats:
        inside = np.clip(totals, self.knots[0], self.knots[-1])
        logits = np.interp(inside, self.knots, self.logits) + (totals - inside)
        found: Floats = 1 / (1 + np.exp(-logits))
        return found

    def _scores(self, parts: tuple[str, ...]) -> list[WindowScore]:
        totals, starts, ends, firsts = self._totals(parts)
        if self.with_evidence:
            for place, part in enumerate(parts):
                window = slice(firsts[place], firsts[place + 1])
                totals[window] += evidence(part, starts[window], ends[window])
        best = [
            first + int(totals[first:last].argmax()) if last - first > 1 else first
            for first, last in pairwise(firsts)
        ]
        scores = self._probabilities(totals[best]).tolist()
        found = zip(scores, starts[best].tolist(), ends[best].tolist(), strict=True)
        return list(map(WindowScore._make, found))

    def _totals(self, parts: tuple[str, ...]) -> tuple[Floats, Integers, Integers, list[int]]:
        """Returns the sums of all windows, where each begins and ends in its piece, and whose.

        The windows of a piece are those from its number's entry in the last list to the next.
        """
        found = features_remembered(parts)
        lengths = [len(part) for part in parts]
        spans = [windows(length) for length in lengths]
        starts = np.concatenate([span[0] for span in spans])
        ends = np.concatenate([span[1] for span in spans])
        counts = [len(span[0]) for span in spans]
        base = np.repeat(np.cumsum([0, *lengths[:-1]]), counts)
        sums = self._sums(found, sum(lengths), starts + base, ends + base)
        return sums * self.unit + self.bias, starts, ends, [0, *accumulate(counts)]

    def _sums(self, found: Features, length: int, starts: Integers, ends: Integers) -> Floats:
        weights = self.weights[found.buckets]
        total, count = np.zeros(length + 1), np.zeros(length + 1)
        np.cumsum(np.bincount(found.places, weights, length), out=total[1:])
        np.cumsum(np.bincount(found.places, minlength=length), out=count[1:])
        counts = count[ends] - count[starts]
        sums: Floats = (total[ends] - total[starts]) / np.sqrt(counts + self.prior)
        return sums
