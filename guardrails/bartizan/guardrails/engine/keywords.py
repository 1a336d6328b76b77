"""Finds which of many keywords are in a text, and where. The time grows with the text alone."""

import threading
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import re2

from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.engine.prefilter import UNANCHORED, Condition, Prefilter, options

MAX_CHARACTERS = 200
"""Of a keyword."""

MAX_AUTOMATON_BYTES = 64 << 20
"""Enough for ten thousand keywords."""

MAX_HEAD = 3
REACH_BYTES = 4 * MAX_CHARACTERS
STEP_BYTES = 4 * REACH_BYTES

UNSPACED = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x2E80, 0xA4CF),
            (0xF900, 0xFAFF), (0x20000, 0x3FFFF))  # fmt: skip
"""Characters of languages that put no space between words: Thai, Lao, Burmese, Khmer, Chinese,
Japanese. A word ends anywhere among them."""


class Keyword(NamedTuple):
    """One keyword and whose it is."""

    word: str
    owner: int
    whole: bool


class Hit(NamedTuple):
    """Where a keyword stands. Offsets in code points."""

    start: int
    end: int
    owner: int


class Keywords:
    """Some keywords, as they stand or in any case. Serves many threads."""

    def __init__(self, keywords: Iterable[Keyword], *, case_sensitive: bool) -> None:
        """Compiles the keywords. None may be empty, hold a NUL or a lone surrogate."""
        self._case_sensitive = case_sensitive
        self._owners: defaultdict[str, list[Keyword]] = defaultdict(list)
        for one in keywords:
            self._owners[self._as_compared(one.word)].append(one)
        any_of_them = "|".join(map(re2.escape, sorted(self._owners)))
        self._prefilter = Prefilter([Condition(any_of_them, any_of_them)]) if self._owners else None
        self._match = _compiled(any_of_them) if self._owners else None
        self._head = min([MAX_HEAD, *map(len, self._owners)])
        self._lengths = _lengths(self._owners, self._head)

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes, ascending, of the texts that may hold any. Cheap."""
        if self._prefilter is None:
            return ()
        return self._prefilter.candidates([self._as_compared(value) for value in values])

    def find(self, text: str, gone: threading.Event) -> Iterator[Hit]:
        """Yields every place of every keyword, also where they overlap."""
        compared = self._as_compared(text)
        for start in self._starts(compared, gone):
            for length in self._lengths.get(compared[start : start + self._head], ()):
                if (end := start + length) <= len(text):
                    yield from self._hits(text, compared[start:end], start, end)

    def _starts(self, compared: str, gone: threading.Event) -> Iterator[int]:
        """Yields where a keyword begins, in characters."""
        if self._match is None:
            return
        # A lone surrogate becomes a question mark: one character all the same.
        encoded = compared.encode("utf-8", "replace")
        size, at, place = len(encoded), 0, 0
        while at < size:
            heed(gone)
            border = min(at + STEP_BYTES, size)
            [(start, _)] = self._match(UNANCHORED, encoded, at, border)
            if start >= 0:
                place += character_count(encoded, at, start)
                yield place
                place, at = place + 1, start + _bytes_of(encoded[start])
            else:
                # Back to where a keyword may have begun that the border cuts.
                end = border if border == size else _whole_characters(encoded, border - REACH_BYTES)
                place += character_count(encoded, at, end)
                at = end

    def _hits(self, text: str, word: str, start: int, end: int) -> Iterator[Hit]:
        for one in self._owners.get(word, ()):
            if not one.whole or is_whole(text, start, end):
                yield Hit(start, end, one.owner)

    def _as_compared(self, text: str) -> str:
        return text if self._case_sensitive else folded(text)


def character_count(encoded: bytes, start: int, end: int) -> int:
    """Returns how many characters stand between two places of a text in UTF-8."""
    count: int = re2._re2.BytesToCharLen(encoded, start, end)
    return count


def _compiled(pattern: str) -> Any:
    chosen = options()
    chosen.max_mem = MAX_AUTOMATON_BYTES
    # What stands behind `search`, which takes as long as a scan of 300 characters.
    return re2.compile(pattern, chosen)._regexp.Match


def _bytes_of(first: int) -> int:
    """Returns how many bytes a character has that begins with this one."""
    return 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _whole_characters(encoded: bytes, at: int) -> int:
    while encoded[at] & 0xC0 == 0x80:
        at -= 1
    return at


def folded(text: str) -> str:
    """Returns a text of the same length in which case makes no difference."""
    if text.isascii():
        return text.lower()
    # The one letter that has two in lower case, and the one that has two lower cases.
    return text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")


def is_whole(text: str, start: int, end: int) -> bool:
    """Returns True if no word goes on beyond either end of a stretch."""
    before = start > 0 and _goes_on(text[start - 1], text[start])
    return not before and not (end < len(text) and _goes_on(text[end - 1], text[end]))


def _goes_on(one: str, other: str) -> bool:
    return (_is_in_word(one) and _is_in_word(other)) or unicodedata.combining(other) > 0


def _is_in_word(char: str) -> bool:
    if char < "\x80":
        return char.isalnum() or char == "_"
    return char.isalnum() and not any(low <= ord(char) <= high for low, high in UNSPACED)


def _lengths(words: Iterable[str], head: int) -> dict[str, tuple[int, ...]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for word in words:
        found[word[:head]].add(len(word))
    return {key: tuple(sorted(lengths)) for key, lengths in found.items()}
