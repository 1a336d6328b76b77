"""What the second look reads of a text: a stretch around a window, signs as words."""

import unicodedata
from collections.abc import Iterable
from functools import cache

import regex

CHARACTERS = 340
"""About as many as TOKENS stand for in English."""

TOKENS = 80
"""Of one stretch, with the two that begin and end it. Those in the middle are kept."""

BORDER_CHARACTERS = 20
"""A stretch begins and ends at a word if there is one so close."""

_SIGN = regex.compile(r"\p{So}|\p{Sk}(?=[\U0001f000-\U0001ffff])|[\U0001f3fb-\U0001f3ff]")


def around(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns the stretch to read for a window: what is around its middle, or a short text."""
    if len(text) <= CHARACTERS:
        return 0, len(text)
    low = min(max(0, (start + end - CHARACTERS) // 2), len(text) - CHARACTERS)
    high = low + CHARACTERS
    if low and (gap := text.find(" ", low, low + BORDER_CHARACTERS)) >= 0:
        low = gap + 1
    if high < len(text) and (gap := text.rfind(" ", high - BORDER_CHARACTERS, high)) >= 0:
        high = gap
    return low, high


def worded(text: str) -> str:
    """Returns a text with emoji and other signs replaced by their names: the model knows words.

    What is half of a pair, and no character, becomes a question mark.
    """
    if text.isascii():
        return text
    whole = text.encode("utf-8", "replace").decode()
    named: str = _SIGN.sub(lambda found: _name(found[0]), whole)
    return named


def middle(ids: Iterable[int]) -> list[int]:
    """Returns the tokens to read of a stretch that has too many: those in the middle."""
    found = list(ids)
    spare = len(found) - (TOKENS - 2)
    return found if spare <= 0 else found[spare // 2 : spare // 2 + TOKENS - 2]


@cache
def _name(sign: str) -> str:
    return f" {unicodedata.name(sign, '').lower()} "
