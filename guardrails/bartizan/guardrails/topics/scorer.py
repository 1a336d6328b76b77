"""Scores texts by their likeness to examples of topics.

Two measures make the score. The mean cosine to the three nearest examples tells what is close to
something said. The mean log-odds of all features under all examples together tells what is in the
vocabulary of the topic, though nobody put it that way.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from bartizan.guardrails.engine.ngrams import PIECE_CHARACTERS, Integers, features, pieces
from bartizan.guardrails.topics.background import Background, Floats

WINDOW_CHARACTERS = (170, 700)
"""About a sentence or two, and a short page."""

NEAREST = 3
SMOOTHING = 10.0
"""The background counts as much as so many examples."""

LEAST_NORM = 1e-9
PADDING = 30.0
"""Short texts say little: as many features that say nothing are added."""


class TopicScore(NamedTuple):
    """How much a text is about a topic.

    Attributes:
        score: between 0 and 1; of texts that score 0.5, half are, where half of all are.
        start: where the window begins that scores most, in characters.
        end: where it ends.
    """

    score: float
    start: int
    end: int


class Likeness(NamedTuple):
    """What windows have in common with the examples of topics: a row a window, a column a topic.

    Attributes:
        near: the mean cosine to the nearest examples.
        common: the mean log-odds of the features.
        starts: where each window begins.
        ends: where each window ends.
    """

    near: Floats
    common: Floats
    starts: Integers
    ends: Integers


class _Rows(NamedTuple):
    """The examples by bucket: `weight[i]` is what a feature in bucket `known[…]` adds to a row."""

    known: Integers
    first: Integers
    row: Integers
    weight: Floats


class Scorer:
    """Knows the examples of some topics. Many threads may use it at once."""

    def __init__(self, topics: Sequence[Sequence[str]], background: Background) -> None:
        """Takes the examples of each topic. Takes about 0.2 ms an example."""
        self._background = background
        self._sizes = [len(examples) for examples in topics]
        self._rarity = background.rarity.astype(np.float64)
        self._rows = _by_bucket(list(self._entries(topics)))

    def score(self, piece: str) -> list[TopicScore]:
        """Returns for each topic the window of a piece of a text that scores most."""
        found = self.likeness(piece)
        constant, near, common, number = self._background.terms
        logits = constant + near * found.near + common * found.common
        logits += number * np.log(self._sizes)
        best = logits.argmax(axis=0)
        return [
            TopicScore(
                _logistic(logits[place, topic]), int(found.starts[place]), int(found.ends[place])
            )
            for topic, place in enumerate(best)
        ]

    def likeness(self, piece: str) -> Likeness:
        """Returns what the windows of a piece have in common with the examples."""
        starts, ends = _windows(len(piece))
        buckets, places = features(piece)
        order = places.argsort(kind="stable")
        buckets, places = buckets[order], places[order]
        low, high = places.searchsorted(starts), places.searchsorted(ends)
        squares = np.concatenate(([0.0], np.cumsum(self._rarity[buckets] ** 2)))
        norms = np.maximum(np.sqrt(squares[high] - squares[low]), LEAST_NORM)
        sums = self._sums(buckets, low, high)
        near, common = np.empty((2, len(starts), len(self._sizes)))
        counts = (high - low).astype(np.float64)
        at = 0
        for topic, size in enumerate(self._sizes):
            cosines = np.minimum(sums[:, at : at + size] / norms[:, None], 1.0)
            few = min(NEAREST, size)
            near[:, topic] = np.partition(cosines, size - few, axis=1)[:, size - few :].mean(axis=1)
            nothing = counts * math.log(SMOOTHING / (size + SMOOTHING))
            common[:, topic] = (sums[:, at + size] + nothing) / (counts + PADDING)
            at += size + 1
        return Likeness(near, common, starts, ends)

    def _sums(self, buckets: Integers, low: Integers, high: Integers) -> Floats:
        known, first, row, weight = self._rows
        at = np.minimum(known.searchsorted(buckets), len(known) - 1)
        lengths = np.where(known[at] == buckets, first[at + 1] - first[at], 0)
        borders = np.concatenate(([0], lengths.cumsum()))
        # Where each entry stands: in the run of its bucket, one after the other.
        taken = np.arange(borders[-1]) + np.repeat(first[at] - borders[:-1], lengths)
        rows, weights = row[taken], weight[taken]
        width = sum(self._sizes) + len(self._sizes)
        sums = np.empty((len(low), width))
        for place, (begin, end) in enumerate(zip(borders[low], borders[high], strict=True)):
            sums[place] = np.bincount(rows[begin:end], weights[begin:end], width)
        return sums

    def _entries(self, topics: Sequence[Sequence[str]]) -> Iterator[tuple[Integers, Floats]]:
        """Yields the rows: one for each example, and one for all of a topic."""
        for examples in topics:
            bags = [distinct(example) for example in examples]
            for bag in bags:
                squares = self._rarity[bag] ** 2
                yield bag, squares / max(LEAST_NORM, math.sqrt(squares.sum()))
            together, counts = np.unique(np.concatenate(bags), return_counts=True)
            expected = SMOOTHING * np.exp(-self._rarity[together])
            yield together, np.log((counts + expected) / expected)


def distinct(text: str) -> Integers:
    """Returns the distinct buckets of a text."""
    bags = [features(piece).buckets for _, piece in pieces(text[:PIECE_CHARACTERS])]
    found: Integers = np.unique(np.concatenate(bags))
    return found


def _by_bucket(rows: Sequence[tuple[Integers, Floats]]) -> _Rows:
    buckets = np.concatenate([bag for bag, _ in rows])
    numbers = np.repeat(np.arange(len(rows)), [len(bag) for bag, _ in rows])
    order = buckets.argsort(kind="stable")
    known, first = np.unique(buckets[order], return_index=True)
    weights = np.concatenate([weights for _, weights in rows])
    return _Rows(known, np.append(first, len(buckets)), numbers[order], weights[order])


@cache
def _windows(length: int) -> tuple[Integers, Integers]:
    starts: list[int] = []
    ends: list[int] = []
    for size in WINDOW_CHARACTERS:
        if length <= size:
            starts.append(0)
            ends.append(length)
            break
        begins = [*range(0, length - size, size // 2), length - size]
        starts += begins
        ends += [begin + size for begin in begins]
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _logistic(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))
