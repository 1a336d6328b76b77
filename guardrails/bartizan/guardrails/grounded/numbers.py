"""Numbers in texts, however they are written. Not those in words."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_DIGITS = 40
"""Longer ones are no quantities."""

GROUP = 3
"""Digits between two commas of a large number."""

_SCALES = {
    "k": 1e3, "thousand": 1e3,
    "m": 1e6, "mn": 1e6, "million": 1e6,
    "b": 1e9, "bn": 1e9, "billion": 1e9,
    "trillion": 1e12,
}  # fmt: skip

_GROUPED = r"\d{1,3}(?:(?P<between>[,.'\u2019\u00a0\u202f])\d{3})(?:(?P=between)\d{3})*"
NUMBER = re.compile(
    rf"(?P<whole>{_GROUPED}(?!\d)|\d+)(?P<rest>[.,]\d+)?"
    rf"(?:(?P<percent>[ \u00a0]?(?:%|percent\b|per cent\b))"
    rf"|[ \u00a0]?(?P<scale>thousand|million|billion|trillion|[kKmMbB](?:n\b|\b)))?",
    re.IGNORECASE,
)
_PART = re.compile(r"\d+")


class Quantity(NamedTuple):
    """What a number may mean.

    Attributes:
        value: what it says.
        unit: what its last digit stands for.
    """

    value: float
    unit: float


def quantities(match: re.Match[str]) -> Iterator[Quantity]:
    """Yields what a match of NUMBER may mean: `1.234` is a thousand or a little more than one."""
    scale = _SCALES.get((match["scale"] or "").lower(), 1.0)
    whole, rest, between = match["whole"], match["rest"] or "", match["between"]
    if len(whole) + len(rest) > MAX_DIGITS:
        return
    digits = "".join(filter(str.isdecimal, whole))
    yield _quantity(digits, rest[1:], scale)
    if len(match["scale"] or "") == 1:
        # A letter may be a unit: 5 m.
        yield _quantity(digits, rest[1:], 1.0)
    if between in (".", ",") and whole.count(between) == 1 and not rest:
        units, _, decimals = whole.partition(between)
        yield _quantity(units, decimals, scale)
    if match["percent"]:
        # Data has 0.125 for 12.5 %.
        yield _quantity(digits, rest[1:], 0.01)


def parts(match: re.Match[str]) -> Iterator[Quantity]:
    """Yields the numbers within a match of NUMBER, if it is no number but a list of them."""
    for part in _PART.finditer(match[0][:MAX_DIGITS]):
        yield Quantity(float(part[0]), 1.0)


def values(text: str) -> Iterator[float]:
    """Yields all that the numbers of a text may say."""
    for match in NUMBER.finditer(text):
        for value, _ in quantities(match):
            yield value
        if match["scale"] or match["between"]:
            # A letter may be a unit, and 100,200 two items of a list.
            yield from (value for value, _ in parts(match))


class Numbers:
    """The numbers that something is based on."""

    def __init__(self, values: Iterable[float]) -> None:
        """Takes the numbers in any order."""
        self._values = sorted(set(values))

    def hold(self, wanted: Quantity, tolerance: float) -> bool:
        """Returns True if one of them is the wanted number, rounded to its digits or near it."""
        value, unit = wanted
        apart = max(unit / 2, tolerance * value) * (1 + 1e-9) + 1e-12
        place = bisect_left(self._values, value - apart)
        return place < len(self._values) and self._values[place] <= value + apart


def _quantity(whole: str, rest: str, scale: float) -> Quantity:
    return Quantity(float(f"{whole}.{rest or 0}") * scale, scale / 10 ** len(rest))
