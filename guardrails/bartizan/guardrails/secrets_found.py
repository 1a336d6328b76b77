"""What is found when a secret is found, and what finds it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Basis(IntEnum):
    """What a secret was told by. Where findings overlap, the higher one says what it is."""

    WORDING = 1
    """A sentence: `the password is …`."""
    NAME = 2
    """The name that a value is given to: `api_key = …`."""
    PLACE = 3
    """Where only a secret stands: in a URL, a header, a connection string."""
    FORMAT = 4
    """Its own form: `ghp_…`, a block of PEM."""
    CHECKSUM = 5
    """Its own form, with a checksum that is right."""
    OWN = 6
    """A form that the configuration names."""


class Found(NamedTuple):
    """A stretch of a text that is a secret, and nothing around it.

    Attributes:
        category: without the `secret.` before it.
    """

    category: str
    start: int
    end: int
    score: float
    basis: Basis


Look = Callable[[str, int, int], Found | None]
"""Takes a text, and where a head in it begins and ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Detector:
    """Finds secrets at certain places of a text.

    Attributes:
        categories: all that it may find.
        head: an expression of RE2 that is found at each of the places. Never empty, never long.
        look: looks at one place. What it looks at beyond the head must not grow with the text,
            unless it passes over it once only.
        hint: an expression of RE2 that matches wherever the head does, and is cheaper together
            with those of all other detectors: it begins with a few characters of its own, and
            counts few others. Empty if the head is such an expression itself.
    """

    categories: frozenset[str]
    head: str
    look: Look
    hint: str = ""

    @property
    def condition(self) -> str:
        """Returns what a text must match for the detector to find anything in it."""
        return self.hint or self.head


def most_telling(found: list[Found]) -> list[Found]:
    """Returns the findings in the order of the text, of overlapping ones the most telling only."""
    if len(found) < 2:
        return found
    taken = bytearray(max(one.end for one in found))
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: (-one.basis, -one.score, one.start, -one.end)):
        if not any(taken[one.start : one.end]):
            taken[one.start : one.end] = b"\1" * (one.end - one.start)
            kept.append(one)
    return sorted(kept, key=lambda one: one.start)
