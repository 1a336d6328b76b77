"""Texts with labels, and what a model sees of them."""

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.evidence import evidence
from bartizan.guardrails.engine.ngrams import Integers, features, windows

LONGEST_CHARACTERS = 6_000
"""What comes later in a text is not learned from."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """A text with its label.

    Attributes:
        text: the text.
        label: whether it is what the guardrail looks for.
        source: where it comes from.
        kind: what sort of attack or abuse it is; empty if that is not known.
        split: train or dev.
    """

    text: str
    label: bool
    source: str
    kind: str = ""
    split: str = "train"


def read(path: Path) -> list[Row]:
    """Returns the rows of a file of gzipped JSON lines, in their order."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [_row(json.loads(line)) for line in lines]


def _row(given: dict[str, object]) -> Row:
    kind = str(given.get("sub") or given.get("kind") or "")
    return Row(
        str(given["text"]), bool(given["label"]), str(given["source"]), kind, str(given["split"])
    )


class Bags(NamedTuple):
    """Windows to learn from: of each the buckets of its features.

    Attributes:
        buckets: of all windows, one after the other.
        borders: where each window begins in `buckets`, and where the last ends.
        offsets: the evidence that the rules add to each.
    """

    buckets: npt.NDArray[np.uint32]
    borders: Integers
    offsets: Floats


@dataclass(frozen=True, slots=True)
class Corpus:
    """The windows of many texts.

    Attributes:
        buckets: the features of all texts by place, one text after the other.
        low, high: the features of each window are those between.
        evidence: what the rules add to each window.
        first: the first window of each text, and the end of the last.
    """

    buckets: npt.NDArray[np.uint32]
    low: Integers
    high: Integers
    evidence: Floats
    first: Integers

    def scores(self, weights: Floats, prior: float) -> Floats:
        """Returns the sum over each window, on the scale that the model is trained in."""
        total = np.concatenate(([0.0], np.cumsum(weights[self.buckets])))
        count = self.high - self.low
        sums: Floats = (total[self.high] - total[self.low]) / np.sqrt(count + prior)
        return sums + self.evidence

    def bags(self, chosen: Integers) -> Bags:
        """Returns the windows with these numbers."""
        sizes = self.high[chosen] - self.low[chosen]
        borders = np.concatenate(([0], np.cumsum(sizes)))
        shift = np.repeat(self.low[chosen] - borders[:-1], sizes)
        at = np.arange(borders[-1]) + shift
        return Bags(self.buckets[at], borders, self.evidence[chosen])

    def best(self, scores: Floats, texts: Integers) -> Integers:
        """Returns the number of the window of each text that scores most."""
        return np.array(
            [
                self.first[text] + np.argmax(scores[self.first[text] : self.first[text + 1]])
                for text in texts
            ],
            np.int64,
        )

    def maximum(self, scores: Floats) -> Floats:
        """Returns the most that a window of each text scores."""
        most: Floats = np.maximum.reduceat(scores, self.first[:-1])
        return most


def corpus(texts: Iterable[str], with_evidence: bool) -> Corpus:
    """Returns what a model sees of the texts, as `LinearModel` sees it."""
    buckets: list[npt.NDArray[np.uint32]] = []
    low: list[Integers] = []
    high: list[Integers] = []
    extra: list[Floats] = []
    first = [0]
    base = 0
    for text in texts:
        piece = text[:LONGEST_CHARACTERS]
        found = features(piece)
        order = np.argsort(found.places, kind="stable")
        places = found.places[order]
        buckets.append(found.buckets[order].astype(np.uint32))
        starts, ends = windows(len(piece))
        low.append(np.searchsorted(places, starts) + base)
        high.append(np.searchsorted(places, ends) + base)
        extra.append(evidence(piece, starts, ends) if with_evidence else np.zeros(len(starts)))
        base += len(places)
        first.append(first[-1] + len(starts))
    return Corpus(
        np.concatenate(buckets),
        np.concatenate(low),
        np.concatenate(high),
        np.concatenate(extra),
        np.array(first, np.int64),
    )
