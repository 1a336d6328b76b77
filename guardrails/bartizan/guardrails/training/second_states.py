"""Runs the layers that are not trained, once for all texts, and keeps what they give."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.ngrams import Integers
from bartizan.guardrails.training.second_shape import WIDTH

Forward = Callable[[Sequence[int]], npt.NDArray[np.float32]]
"""What the lower layers give for a text in tokens: a row per token."""


class States(NamedTuple):
    """What the lower layers give for some texts, which are numbered from zero.

    Attributes:
        values: one row per token.
        starts: where each text begins in `values`.
        sizes: how many tokens each has.
    """

    values: npt.NDArray[np.float16]
    starts: Integers
    sizes: Integers

    def of(self, chosen: Sequence[int]) -> "States":
        """Returns the states of some of the texts, numbered anew. A text may occur again."""
        return States(self.values, self.starts[chosen], self.sizes[chosen])

    def batch(self, chosen: Sequence[int]) -> tuple[Any, Any]:
        """Returns the states of some texts and what of them is there, padded to the longest."""
        sizes = self.sizes[chosen]
        states = np.zeros((len(chosen), sizes.max(), WIDTH), np.float32)
        mask = np.zeros(states.shape[:2], np.float32)
        for place, (text, size) in enumerate(zip(chosen, sizes, strict=True)):
            start = self.starts[text]
            states[place, :size] = self.values[start : start + size]
            mask[place, :size] = 1
        return states, mask


def states(texts: Sequence[Sequence[int]], forward: Forward) -> States:
    """Returns what the lower layers give for texts in tokens."""
    sizes = np.array([len(text) for text in texts], np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    values = np.empty((sizes.sum(), WIDTH), np.float16)
    for text, start in zip(texts, starts, strict=True):
        values[start : start + len(text)] = forward(text)
    return States(values, starts, sizes)


def batches(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yields texts of about the same size together, at most so many tokens with the padding."""
    batch: list[int] = []
    for place in np.argsort(sizes, kind="stable").tolist():
        if batch and (len(batch) + 1) * sizes[place] > most:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
