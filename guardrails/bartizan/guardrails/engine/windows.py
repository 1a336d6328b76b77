"""Finds the stretches of a text outside of which an expression cannot match.

All characters of a match stand in one run of characters that the expression takes at all. So it
is enough to look at the runs that RE2 finds something in, each with its two neighbours. Besides
the time this bounds what an expression that backtracks can do with a megabyte of base64.
"""

import re
from collections.abc import Iterator

from bartizan.guardrails.engine.prefilter import compiled
from bartizan.guardrails.engine.relax import Unknown, Widener

WORTH_A_WINDOW = 100
"""Characters that are cheaper to look at than to leave out."""


class Windows:
    """The windows of one expression. Only for texts of ASCII."""

    def __init__(self, wider: str, alphabet: str) -> None:
        """Takes the expression as it was widened, and its alphabet as a class."""
        self._wider = compiled(wider)
        self._outside = re.compile(f"[^{alphabet[1:]}")
        self._inside = frozenset(filter(re.compile(alphabet).match, map(chr, range(128))))

    def of(self, text: str, encoded: bytes) -> Iterator[tuple[int, int]]:
        """Gives the windows in order. `encoded` is the text in ASCII."""
        window: tuple[int, int] | None = None
        for start, end in self._runs(text, encoded):
            if window is not None and start - window[1] < WORTH_A_WINDOW:
                window = (window[0], end)
                continue
            if window is not None:
                yield window
            window = (start, end)
        if window is not None:
            yield window

    def _runs(self, text: str, encoded: bytes) -> Iterator[tuple[int, int]]:
        end = 0
        for match in self._wider.finditer(encoded):
            if match.end() > end:
                start = self._start_of_run(text, match.end() - 1)
                outside = self._outside.search(text, match.end())
                end = outside.start() if outside else len(text)
                yield max(0, start - 1), end + 1

    def _start_of_run(self, text: str, at: int) -> int:
        while at > 0 and text[at - 1] in self._inside:
            at -= 1
        return at


def windows(pattern: str, flags: int) -> Windows | None:
    """Returns the windows of an expression; None if it looks too far around."""
    widener = Widener(None)
    try:
        return Windows(widener.widen(pattern, flags), widener.alphabet(pattern, flags))
    except Unknown:
        return None
