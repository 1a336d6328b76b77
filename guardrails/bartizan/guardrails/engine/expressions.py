"""Finds which of many expressions of RE2 match a text, and where. None of them backtracks."""

import threading
from collections.abc import Iterator, Sequence

import re2

from bartizan.guardrails.engine.keywords import character_count
from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.engine.prefilter import MAX_AUTOMATON_BYTES, UNANCHORED

LONGEST_MATCH_BYTES = 2_000
"""One search never sees more than twice this: an expression could else look at the whole text
again for each of its matches."""

PER_SET = 1_000
"""So many expressions have room in one automaton."""

Span = tuple[int, int]


class Expressions:
    """Some expressions, all tested in one go. Serves many threads."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Compiles the expressions. Raises re2.error if one is wrong."""
        self._each = [_Expression(pattern) for pattern in patterns]
        self._sets = [
            _Set(patterns[first : first + PER_SET]) for first in range(0, len(patterns), PER_SET)
        ]

    def find(self, text: str, gone: threading.Event) -> Iterator[tuple[int, Span]]:
        """Yields the index of an expression and a place, in characters.

        That is where its named groups matched, or all of it if none did. Empty ones do not count.
        """
        # A lone surrogate becomes a question mark: one character all the same.
        encoded = text.encode("utf-8", "replace")
        in_ascii = len(encoded) == len(text)
        for place, one in enumerate(self._sets):
            for index in one.met(encoded):
                expression = self._each[place * PER_SET + index]
                for span in _characters(expression.places(encoded, gone), encoded, in_ascii):
                    yield place * PER_SET + index, span


class _Set:
    def __init__(self, patterns: Sequence[str]) -> None:
        self._set = re2.Set.SearchSet(_options())
        for pattern in patterns:
            self._set.Add(pattern)
        # Always met, unless the set runs out of memory: it does not say so otherwise.
        self._set.Add(r"\A")
        self._set.Compile()
        self._all = range(len(patterns))

    def met(self, encoded: bytes) -> Sequence[int]:
        met = self._set.Match(encoded)
        return sorted(met)[:-1] if met else self._all


class _Expression:
    def __init__(self, pattern: str) -> None:
        compiled = re2.compile(pattern, _options())
        # What stands behind `search`, which takes as long as a scan of 300 characters.
        self._match = compiled._regexp.Match
        self._named = sorted(compiled.groupindex.values())

    def places(self, encoded: bytes, gone: threading.Event) -> Iterator[Span]:
        """Yields where it matches, in bytes."""
        size, at = len(encoded), 0
        while at < size:
            heed(gone)
            border = min(at + 2 * LONGEST_MATCH_BYTES, size)
            spans = self._match(UNANCHORED, encoded, at, border)
            start, end = spans[0]
            if start < 0:
                at = border if border == size else border - LONGEST_MATCH_BYTES
            elif end == border < size and start > at:
                at = start
            else:
                yield from self._telling(spans)
                at = max(end, at + 1) if end > start else end + 1

    def _telling(self, spans: Sequence[Span]) -> Iterator[Span]:
        named = [spans[group] for group in self._named]
        inside = [span for span in named if span[0] < span[1]]
        if not inside and spans[0][0] < spans[0][1]:
            inside = [spans[0]]
        yield from sorted(set(inside))


def _options() -> "re2.Options":
    chosen = re2.Options()
    chosen.log_errors = False
    chosen.max_mem = MAX_AUTOMATON_BYTES
    return chosen


def _characters(places: Iterator[Span], encoded: bytes, in_ascii: bool) -> Iterator[Span]:
    if in_ascii:
        yield from places
        return
    last = place = 0
    for start, end in places:
        # Named groups may begin before the last one ended.
        place += (
            character_count(encoded, last, start)
            if start >= last
            else -character_count(encoded, start, last)
        )
        last = start
        yield place, place + character_count(encoded, start, end)
