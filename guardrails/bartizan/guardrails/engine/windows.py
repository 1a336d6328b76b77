"""Finds the stretches of a text outside of which an expression cannot match.

All characters of a match stand in one run of characters that the expression takes at all. So it
is enough to look at the runs that RE2 finds something in, each with its two neighbours. Besides
the time this bounds what an expression that backtracks can do with a megabyte of base64.
"""

import re

from bartizan.guardrails.engine.prefilter import Expression
from bartizan.guardrails.engine.relax import Unknown, Widener

WORTH_A_WINDOW = 100
"""Characters that are cheaper to look at than to leave out."""


class Windows:
    """The windows of one expression. Only for texts of ASCII."""

    def __init__(self, wider: str, alphabet: str) -> None:
        """Takes the expression as it was widened, and its alphabet as a class."""
        self._wider = Expression(wider)
        self._outside = re.compile(f"[^{alphabet[1:]}")
        self._inside = "".join(filter(re.compile(alphabet).match, map(chr, range(128))))

    def of(self, text: str, encoded: bytes) -> list[tuple[int, int]]:
        """Returns the windows in order. `encoded` is the text in ASCII."""
        found: list[tuple[int, int]] = []
        at, last = 0, len(text)
        while at < last and (end := self._wider.end_of_match(encoded, at)) >= 0:
            low, high = self._run(text, at, end)
            # On from the neighbour: the expression may have to see it.
            at = high - 1 if last - high >= WORTH_A_WINDOW else last
            if found and low - found[-1][1] < WORTH_A_WINDOW:
                low = found.pop()[0]
            found.append((low, at + 1))
        return found

    def _run(self, text: str, at: int, end: int) -> tuple[int, int]:
        """Returns the borders of the run that a match ends in, with both its neighbours."""
        start = at + len(text[at : end - 1].rstrip(self._inside))
        outside = self._outside.search(text, max(end, at + 1))
        return max(0, start - 1), (outside.start() if outside else len(text)) + 1


def windows(pattern: str, flags: int) -> Windows | None:
    """Returns the windows of an expression; None if it looks too far around."""
    widener = Widener(None)
    try:
        return Windows(widener.widen(pattern, flags), widener.alphabet(pattern, flags))
    except Unknown:
        return None
