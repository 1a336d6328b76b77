"""Finds secrets in texts: scans for the hints of all detectors, looks only where heads are."""

import threading
from collections.abc import Iterator, Sequence

import re2

from bartizan.guardrails.engine.choice import Choice
from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.engine.prefilter import UNANCHORED, Condition, Prefilter, options
from bartizan.guardrails.secrets_found import Detector, Found, most_telling

LONGEST_HEAD_BYTES = 2_000


class SecretScan:
    """Finds what some detectors find. Serves many threads.

    All hints are tested in one go, in time that grows with the text alone.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        """Compiles the expressions."""
        conditions = {one: Condition(one.condition, one.condition) for one in detectors}
        self._prefilter = Prefilter(conditions.values())
        self._choice = Choice(conditions, detectors, detectors)
        self._heads = {one: _Head(one.head) for one in detectors}

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes of the texts that may hold anything. Cheap."""
        return self._prefilter.candidates(values)

    def find(self, text: str, gone: threading.Event | None = None) -> list[Found]:
        """Returns what is in a text, in its order and without overlaps.

        Once `gone` is set it soon raises NobodyWaits.
        """
        encoded = _encoded(text)
        return self._found(self._choice.of(text, encoded), text, encoded, gone)

    def find_thoroughly(self, text: str) -> list[Found]:
        """Returns the same as `find`. Asks every detector."""
        return self._found(list(self._heads), text, _encoded(text), None)

    def _found(
        self,
        detectors: Sequence[Detector],
        text: str,
        encoded: bytes,
        gone: threading.Event | None,
    ) -> list[Found]:
        found: list[Found] = []
        for detector in detectors:
            for start, end in self._heads[detector].places(text, encoded):
                heed(gone)
                if (one := detector.look(text, start, end)) is not None:
                    found.append(one)
        return most_telling(found)


class _Head:
    def __init__(self, pattern: str) -> None:
        self._match = re2.compile(pattern, options())._regexp.Match

    def places(self, text: str, encoded: bytes) -> Iterator[tuple[int, int]]:
        """Yields where the head is found, in characters, without overlaps."""
        in_ascii = len(encoded) == len(text)
        last = place = 0
        for start, end in self._places(encoded):
            if in_ascii:
                yield start, end
                continue
            first = place + _characters(encoded, last, start)
            place = first + _characters(encoded, start, end)
            last = end
            yield first, place

    def _places(self, encoded: bytes) -> Iterator[tuple[int, int]]:
        size, at = len(encoded), 0
        while at < size:
            # One search never sees more than this: an expression could else see all of it again
            # for each of its matches.
            border = min(at + 2 * LONGEST_HEAD_BYTES, size)
            [(start, end)] = self._match(UNANCHORED, encoded, at, border)
            if start < 0:
                at = border if border == size else border - LONGEST_HEAD_BYTES
            elif end == border < size and start > at:
                at = start
            else:
                yield start, end
                at = end


def _characters(encoded: bytes, start: int, end: int) -> int:
    count: int = re2._re2.BytesToCharLen(encoded, start, end)
    return count


def _encoded(text: str) -> bytes:
    # A lone surrogate becomes a question mark: one character all the same.
    return text.encode("utf-8", "replace")
