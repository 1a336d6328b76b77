"""Tells cheaply which texts may hold anything at all. Never wrong about those that do not.

The texts are joined and scanned once by RE2, which lets other threads run meanwhile. Texts of
ASCII alone, most of them, get narrower conditions than the rest.
"""

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import re2
import regex

from bartizan.guardrails.engine.relax import Unknown, Widener

UNANCHORED = re2._re2.RE2.Anchor.UNANCHORED

MAX_AUTOMATON_BYTES = 32 << 20
"""RE2 falls back to a slower engine when its automaton outgrows this."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a text must match for a recognizer to find anything in it: expressions of RE2.

    Attributes:
        ascii: for texts of ASCII alone.
        other: for all other texts.
    """

    ascii: str
    other: str


def condition(patterns: Iterable[tuple[str, int]]) -> Condition | None:
    """Returns what a text must match to match one of the patterns, given with their flags.

    None if that cannot be said; then every text may match.
    """
    in_ascii, in_other = Widener(None), Widener(digits_outside_ascii())
    given = list(patterns)
    try:
        return Condition(
            "|".join(in_ascii.widen(pattern, flags) for pattern, flags in given),
            "|".join(in_other.widen(pattern, flags) for pattern, flags in given),
        )
    except Unknown:
        return None


class Prefilter:
    """The conditions of several recognizers, of which a text has to meet any."""

    def __init__(self, conditions: Iterable[Condition | None]) -> None:
        """Compiles the conditions. None stands for a recognizer that every text may interest."""
        given = list(conditions)
        known = [needed for needed in given if needed is not None]
        self._skips_none = len(known) < len(given)
        self._any_in_ascii = _any_of(needed.ascii for needed in known)
        self._any_in_other = _any_of(needed.other for needed in known)

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes, ascending, of the texts that need a closer look."""
        if self._skips_none:
            return range(len(values))
        if "\0" in "".join(values):
            return [index for index, value in enumerate(values) if self._may_match(value)]
        joined = "\0".join(values)
        if joined.isascii():
            return _hits(self._any_in_ascii, joined.encode(), map(len, values))
        return self._mixed(values)

    def _may_match(self, value: str) -> bool:
        return "\0" in value or bool(self.candidates([value]))

    def _mixed(self, values: Sequence[str]) -> list[int]:
        ascii_at = [index for index, value in enumerate(values) if value.isascii()]
        other_at = [index for index, value in enumerate(values) if not value.isascii()]
        plain = [values[index] for index in ascii_at]
        found = _hits(self._any_in_ascii, "\0".join(plain).encode(), map(len, plain))
        others = [values[index] for index in other_at]
        try:
            joined = "\0".join(others).encode()
        except UnicodeEncodeError:
            return sorted([ascii_at[place] for place in found] + other_at)
        in_others = _hits(self._any_in_other, joined, (len(value.encode()) for value in others))
        hits = [ascii_at[place] for place in found] + [other_at[place] for place in in_others]
        return sorted(hits)


@cache
def digits_outside_ascii() -> str:
    """Returns the inside of a class of RE2: what `re` or `regex` take for a digit, beyond ASCII.

    The two carry tables of different years, and RE2 a third.
    """
    digits = set(regex.findall(r"\d", "".join(map(chr, _characters()))))
    digits.update(char for char in map(chr, _characters()) if char.isdecimal())
    return "".join(rf"\x{{{ord(char):x}}}" for char in sorted(digits))


def _characters() -> Iterable[int]:
    yield from range(0x80, 0xD800)
    yield from range(0xE000, sys.maxunicode + 1)


def encode(value: str) -> bytes | None:
    """Returns a text for RE2; None if it cannot read it truly."""
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return None
    return None if b"\0" in encoded else encoded


class Expression:
    """A compiled expression of RE2 that has no groups."""

    def __init__(self, pattern: str) -> None:
        # What stands behind `search`, which takes as long as a scan of 300 characters.
        self._match = re2.compile(pattern, options())._regexp.Match

    def end_of_match(self, encoded: bytes, at: int = 0) -> int:
        """Returns where the first match from `at` on ends; -1 if there is none."""
        [(_, end)] = self._match(UNANCHORED, encoded, at, len(encoded))
        place: int = end
        return place


def _any_of(conditions: Iterable[str]) -> Expression:
    return Expression("|".join(conditions))


def options() -> "re2.Options":
    """Returns how every expression here is compiled."""
    chosen = re2.Options()
    chosen.never_capture = True
    chosen.log_errors = False
    chosen.max_mem = MAX_AUTOMATON_BYTES
    return chosen


def _hits(pattern: Expression, joined: bytes, lengths: Iterable[int]) -> list[int]:
    ends = list(_one_end_per_text(pattern, joined))
    if not ends:
        return []
    # Without the NULs between: there are as many before a text as its index says.
    starts = list(accumulate(lengths))
    texts = range(len(starts))
    return [bisect_right(texts, end - 1, key=lambda at: starts[at] + at) for end in ends]


def _one_end_per_text(pattern: Expression, joined: bytes) -> Iterator[int]:
    border = 0
    while border >= 0 and (end := pattern.end_of_match(joined, border)) >= 0:
        yield end
        # On from the border: the expression may have to see it.
        border = joined.find(b"\0", end)
