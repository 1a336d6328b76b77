"""Tells hosts that are meant to be taken for others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from bartizan.guardrails.engine.normalise_lookalikes import EXACT, ROUGH
from bartizan.guardrails.urls.hosts import parents

HOSTS_REMEMBERED = 4_096
MOST_CHARACTERS, MOST_CHARACTERS_OF_A_HOST = 30, 253
"""Of a label; longer ones are not taken for a name."""

LEAST_TO_MISTYPE = 5
"""Shorter names are a letter away from too many others."""

LEAST_TO_MISTYPE_TWICE = 10

_SKELETON = str.maketrans({**ROUGH, **EXACT, "0": "o", "1": "l", "i": "l", "3": "e", "5": "s",
                           "$": "s", "8": "b", "|": "l", "-": ""})  # fmt: skip
_PAIRS = (("rn", "m"), ("vv", "w"), ("cl", "d"))


class Likeness(NamedTuple):
    """How a host is like one that is protected."""

    code: str
    score: float


class Lookalikes:
    """Compares hosts with those that are protected."""

    def __init__(self, protected: Iterable[str]) -> None:
        """Takes the hosts as `checked_host` gave them: `paypal.com`."""
        self._protected = frozenset(protected)
        self._names = {host.split(".")[0] for host in self._protected}
        self._skeletons = {skeleton(name) for name in self._names}
        self._mistyped: defaultdict[str, set[str]] = defaultdict(set)
        for name in map(skeleton, self._names):
            for shorter in _shortened(name):
                self._mistyped[shorter].add(name)
        self.of = lru_cache(maxsize=HOSTS_REMEMBERED)(self._of)

    def _of(self, host: str) -> Likeness | None:
        """Returns how a host is like one of the protected; None if it is one of them, or is not."""
        above = [host, *parents(host)]
        if len(host) > MOST_CHARACTERS_OF_A_HOST or not self._protected.isdisjoint(above):
            return None
        return max(self._found(host), key=lambda one: one.score, default=None)

    def _found(self, host: str) -> Iterator[Likeness]:
        labels = host.split(".")
        if any(f".{one}." in f".{host}" for one in self._protected):
            yield Likeness("HOST_EMBEDDED", 0.95)
        for label in labels[:-1]:
            if len(label) <= MOST_CHARACTERS and label not in self._names:
                yield from self._like_label(label)
        if len(labels) > 1 and labels[-2] in self._names:
            yield Likeness("HOST_OTHER_ENDING", 0.3)

    def _like_label(self, label: str) -> Iterator[Likeness]:
        seen = skeleton(label)
        if seen in self._skeletons:
            yield Likeness("HOST_HOMOGLYPH", 0.95)
        elif any(self._is_mistyped(seen, name) for name in self._near(seen)):
            yield Likeness("HOST_MISTYPED", 0.8)
        elif any(
            len(part) >= LEAST_TO_MISTYPE and part in self._skeletons for part in _parts(label)
        ):
            yield Likeness("HOST_COMBINED", 0.6)

    def _near(self, seen: str) -> set[str]:
        return {name for shorter in _shortened(seen) for name in self._mistyped.get(shorter, ())}

    def _is_mistyped(self, seen: str, name: str) -> bool:
        return distance(seen, name) <= _tolerance(name)


def skeleton(label: str) -> str:
    """Returns what a label looks like at a glance."""
    seen = label.translate(_SKELETON)
    for pair, letter in _PAIRS:
        seen = seen.replace(pair, letter)
    return seen


def looks_latin(label: str) -> bool:
    """Returns True if every letter is one of Latin, or cannot be told from one."""
    return all(char.isascii() or char in EXACT for char in label)


def distance(one: str, other: str) -> int:
    """Returns how many letters were left out, added, mistaken or swapped."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, 1):
        last, row, older = row, [place], before
        for at, wanted in enumerate(other, 1):
            cost = min(last[at] + 1, row[-1] + 1, last[at - 1] + (letter != wanted))
            if place > 1 and at > 1 and letter == other[at - 2] and one[place - 2] == wanted:
                cost = min(cost, older[at - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]


def _tolerance(name: str) -> int:
    return (len(name) >= LEAST_TO_MISTYPE) + (len(name) >= LEAST_TO_MISTYPE_TWICE)


def _shortened(name: str) -> Iterator[str]:
    """Yields a name without as many letters as it may be mistyped by, and all between."""
    yield name
    for first in range(len(name) if _tolerance(name) > 0 else 0):
        once = name[:first] + name[first + 1 :]
        yield once
        for second in range(first, len(once) if _tolerance(name) > 1 else 0):
            yield once[:second] + once[second + 1 :]


def _parts(label: str) -> Iterator[str]:
    for part in label.split("-"):
        yield skeleton(part)
