"""Remembers the features of pieces of text: several models look at them, histories repeat them."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from bartizan.guardrails.engine.ngrams import Features, batches, features_of

MAX_FEATURES = 1_000_000
"""Twelve bytes each."""


class FeatureMemory:
    """The features of the pieces that were asked for last. Serves many threads."""

    def __init__(self, max_features: int = MAX_FEATURES) -> None:
        self._most = max_features
        self._size = 0
        self._known: OrderedDict[str, Features] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, parts: Sequence[str]) -> Features:
        """Returns the features of some pieces as if they stood one after another."""
        found = self._found(parts)
        missing = list(dict.fromkeys(part for part in parts if part not in found))
        for first, last in batches([len(part) for part in missing]):
            found.update(self._learned(missing[first:last]))
        shifts = accumulate((len(part) for part in parts[:-1]), initial=0)
        each = [found[part] for part in parts]
        return Features(
            np.concatenate([one.buckets for one in each]),
            np.concatenate([one.places + shift for one, shift in zip(each, shifts, strict=True)]),
        )

    def _found(self, parts: Sequence[str]) -> dict[str, Features]:
        with self._lock:
            found = {part: self._known[part] for part in parts if part in self._known}
            for part in found:
                self._known.move_to_end(part)
        return found

    def _learned(self, parts: Sequence[str]) -> dict[str, Features]:
        learned = dict(zip(parts, _split(parts, features_of(parts)), strict=True))
        with self._lock:
            for part, found in learned.items():
                if part not in self._known:
                    self._known[part] = found
                    self._size += len(found.buckets)
            while self._size > self._most and self._known:
                _, oldest = self._known.popitem(last=False)
                self._size -= len(oldest.buckets)
        return learned


def _split(parts: Sequence[str], together: Features) -> list[Features]:
    """Returns the features of each piece with places of its own."""
    ends = np.cumsum([len(part) for part in parts])
    owners = np.searchsorted(ends, together.places, side="right")
    # A piece of no length has no features.
    borders = np.searchsorted(owners, np.arange(len(parts) + 1))
    starts = np.concatenate(([0], ends))
    return [
        Features(
            together.buckets[first:last].astype(np.int32),
            (together.places[first:last] - starts[number]).astype(np.int32),
        )
        for number, (first, last) in enumerate(pairwise(borders))
    ]


_MEMORY = FeatureMemory()


def features_remembered(parts: Sequence[str]) -> Features:
    """Returns what `features_of` returns, of pieces that several may ask for."""
    return _MEMORY.of(parts)
