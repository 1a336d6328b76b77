"""Tells cheaply which texts may hold anything at all. Never wrong about those that do not.

The texts are joined and scanned once by RE2, which lets other threads run meanwhile. Texts of
ASCII alone, most of them, get narrower conditions than the rest.
"""

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import re2
import regex

from bartizan.guardrails.engine.relax import Unknown, Widener

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


def either(conditions: Sequence[Condition | None]) -> Condition | None:
    """Returns what a text must match to meet one of the conditions."""
    known = [one for one in conditions if one is not None]
    if len(known) < len(conditions):
        return None
    return Condition("|".join(one.ascii for one in known), "|".join(one.other for one in known))


class Prefilter:
    """The conditions of several recognizers, by name."""

    def __init__(self, conditions: Mapping[str, Condition | None]) -> None:
        """Compiles the conditions. None stands for a recognizer that every text may interest."""
        self._tests = {name: Test(needed) for name, needed in conditions.items()}
        known = [needed for needed in conditions.values() if needed is not None]
        self._skips_none = len(known) < len(conditions)
        self._any_in_ascii = _any_of(needed.ascii for needed in known)
        self._any_in_other = _any_of(needed.other for needed in known)

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes, ascending, of the texts that need a closer look."""
        if self._skips_none:
            return range(len(values))
        if "\0" in "".join(values):
            return [index for index, value in enumerate(values) if self.possible(value)]
        joined = "\0".join(values)
        if joined.isascii():
            return _hits(self._any_in_ascii, joined.encode(), map(len, values))
        return self._mixed(values)

    def possible(self, value: str) -> list[str]:
        """Returns the names of the recognizers that may find something in a text."""
        encoded = encode(value)
        return [name for name, test in self._tests.items() if test.may_match(value, encoded)]

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


class Test:
    """A compiled condition, for one text at a time."""

    def __init__(self, condition: Condition | None) -> None:
        """None stands for what every text may match."""
        self._in_ascii = None if condition is None else compiled(condition.ascii)
        self._in_other = None if condition is None else compiled(condition.other)

    def may_match(self, value: str, encoded: bytes | None) -> bool:
        """Returns False if a text, given as `encode` encoded it as well, cannot match."""
        needed = self._in_ascii if value.isascii() else self._in_other
        return needed is None or encoded is None or needed.search(encoded) is not None


def encode(value: str) -> bytes | None:
    """Returns a text for RE2; None if it cannot read it truly."""
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        return None
    return None if b"\0" in encoded else encoded


def _any_of(conditions: Iterable[str]) -> "re2._Regexp":
    return compiled("|".join(conditions))


def compiled(pattern: str) -> "re2._Regexp":
    """Returns a compiled expression of RE2 that has no groups."""
    options = re2.Options()
    options.never_capture = True
    options.log_errors = False
    options.max_mem = MAX_AUTOMATON_BYTES
    return re2.compile(pattern, options)


def _hits(pattern: "re2._Regexp", joined: bytes, lengths: Iterable[int]) -> list[int]:
    ends = list(_one_end_per_text(pattern, joined))
    if not ends:
        return []
    starts = list(accumulate((length + 1 for length in lengths), initial=0))
    return [bisect_right(starts, end - 1) - 1 for end in ends]


def _one_end_per_text(pattern: "re2._Regexp", joined: bytes) -> Iterator[int]:
    match = pattern.search(joined)
    while match is not None:
        end: int = match.end()
        yield end
        # On from the border: the expression may have to see it.
        border = joined.find(b"\0", end)
        match = pattern.search(joined, border) if border >= 0 else None
