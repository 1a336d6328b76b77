# ruff: noqa: RUF001 - letters that are mistaken for others are what this is about.
"""The tricks by which a text is hidden from guardrails: to train on, and to measure with.

Each takes a text and where its chances come from. The same seed gives the same text.
"""

import base64 as _base64
import codecs
import re
from collections.abc import Callable, Mapping
from random import Random

Trick = Callable[[str, Random], str]

OFTEN = 0.7
"""The share of the letters that a trick changes, where it does not change all."""

SOMETIMES = 0.3
"""The share of the longer words with a typing error in them."""

LONGER = 4
"""Letters."""

LEET = {"a": "4@", "e": "3", "i": "1!", "o": "0", "s": "5$", "t": "7", "b": "8", "l": "1"}

HOMOGLYPHS = {
    "a": "аɑα", "c": "сϲ", "e": "е", "i": "іι", "j": "ј", "o": "оοօ", "p": "рρ", "s": "ѕ",
    "x": "хχ", "y": "уγ", "h": "һհ", "d": "ԁ", "n": "ո", "u": "υս", "v": "ν",
    "A": "АΑ", "B": "ВΒ", "C": "СϹ", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ", "K": "КΚ", "M": "МΜ",
    "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "ҮΥ",
}  # fmt: skip

ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u00ad"

MATHEMATICAL = (0x1D400, 0x1D468, 0x1D4D0, 0x1D56C, 0x1D5A0, 0x1D5D4, 0x1D608, 0x1D670)
"""Alphabets without a hole: A-Z, then a-z."""

MARKS = range(0x0300, 0x0370)

SEPARATORS = "._-*~"

_BLACK = re.compile(r"\S+")
_WORD = re.compile(r"[^\W\d_]+")
_LONGER_WORD = re.compile(rf"[^\W\d_]{{{LONGER},}}")


def zero_width(text: str, rng: Random) -> str:
    """Returns a text with characters between its letters that are not seen."""
    return "".join(
        char + rng.choice(ZERO_WIDTH) if char.isalpha() and rng.random() < OFTEN else char
        for char in text
    )


def homoglyphs(text: str, rng: Random) -> str:
    """Returns a text with some Latin letters replaced by lookalikes of other scripts."""
    return _replaced(text, HOMOGLYPHS, OFTEN, rng)


def mathematical(text: str, rng: Random) -> str:
    """Returns a text in one of the mathematical alphabets."""
    start = rng.choice(MATHEMATICAL)
    return _moved(text, start, start + 26)


def fullwidth(text: str, rng: Random) -> str:
    """Returns a text in letters as wide as Chinese ones."""
    return _moved(text, 0xFF21, 0xFF41)


def circled(text: str, rng: Random) -> str:
    """Returns a text in letters in circles."""
    return _moved(text, 0x24B6, 0x24D0)


def tags(text: str, rng: Random) -> str:
    """Returns a text in tag characters, which are not seen at all."""
    return "".join(chr(0xE0000 + ord(char)) if " " <= char <= "~" else char for char in text)


def bidi(text: str, rng: Random) -> str:
    """Returns a text back to front, with the marks that let it be shown the right way round."""
    return "\n".join(f"\u202e{line[::-1]}\u202c" for line in text.split("\n"))


def zalgo(text: str, rng: Random) -> str:
    """Returns a text with marks stacked on its letters."""
    return "".join(char + _marks(rng) if char.isalpha() else char for char in text)


def base64(text: str, rng: Random) -> str:
    """Returns a text in base64."""
    return _base64.b64encode(text.encode()).decode()


def hexadecimal(text: str, rng: Random) -> str:
    """Returns the bytes of a text in hexadecimal digits, with or without gaps."""
    encoded = text.encode()
    return encoded.hex(" ") if rng.random() < 0.5 else encoded.hex()


def rot13(text: str, rng: Random) -> str:
    """Returns a text with each letter moved by 13."""
    return codecs.encode(text, "rot13")


def url(text: str, rng: Random) -> str:
    """Returns a text in the escapes of URLs."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def entities(text: str, rng: Random) -> str:
    """Returns a text in the escapes of HTML."""
    form = rng.choice(("&#{};", "&#x{:x};"))
    return "".join(form.format(ord(char)) for char in text)


def backwards(text: str, rng: Random) -> str:
    """Returns a text back to front."""
    return text[::-1]


def leet(text: str, rng: Random) -> str:
    """Returns a text with digits and signs for some letters."""
    return _replaced(text, LEET, OFTEN, rng)


def spacing(text: str, rng: Random) -> str:
    """Returns a text with gaps between its letters, and wider ones between its words."""
    wide = text.replace(" ", " " * rng.randint(2, 3))
    return _BLACK.sub(lambda word: " ".join(word.group()), wide)


def dots(text: str, rng: Random) -> str:
    """Returns a text with a sign between all letters of its words."""
    sign = rng.choice(SEPARATORS)
    return _WORD.sub(lambda word: sign.join(word.group()), text)


def drawn_out(text: str, rng: Random) -> str:
    """Returns a text with one letter of each longer word drawn out."""
    return _LONGER_WORD.sub(lambda word: _drawn(word.group(), rng), text)


def swaps(text: str, rng: Random) -> str:
    """Returns a text with letters in the wrong order in some words."""

    def swap(word: str, at: int) -> str:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return _mistyped(text, swap, rng)


def drops(text: str, rng: Random) -> str:
    """Returns a text with a letter missing in some words."""
    return _mistyped(text, lambda word, at: word[:at] + word[at + 1 :], rng)


def doubles(text: str, rng: Random) -> str:
    """Returns a text with a letter twice in some words."""
    return _mistyped(text, lambda word, at: word[:at] + word[at] + word[at:], rng)


def case(text: str, rng: Random) -> str:
    """Returns a text in capitals and small letters at random."""
    return "".join(char.upper() if rng.random() < 0.5 else char.lower() for char in text)


TRICKS: Mapping[str, Trick] = {
    trick.__name__: trick
    for trick in (
        zero_width, homoglyphs, mathematical, fullwidth, circled, tags, bidi, zalgo,
        base64, hexadecimal, rot13, url, entities, backwards,
        leet, spacing, dots, drawn_out, swaps, drops, doubles, case,
    )
}  # fmt: skip
"""All of them, by name."""

UNICODE = frozenset(
    {"zero_width", "homoglyphs", "mathematical", "fullwidth", "circled", "tags", "bidi", "zalgo"}
)
"""Those that need more than ASCII."""

ENCODINGS = frozenset({"base64", "hexadecimal", "rot13", "url", "entities", "backwards"})
"""Those after which nothing of the text can be read any more."""

SPELLINGS = frozenset(TRICKS) - UNICODE - ENCODINGS
"""Those after which people can still read it."""


def _replaced(text: str, by: Mapping[str, str], share: float, rng: Random) -> str:
    return "".join(
        rng.choice(by.get(char) or by[char.lower()])
        if (char in by or char.lower() in by) and rng.random() < share
        else char
        for char in text
    )


def _moved(text: str, capital_a: int, small_a: int) -> str:
    table = {ord("A") + at: capital_a + at for at in range(26)}
    table |= {ord("a") + at: small_a + at for at in range(26)}
    return text.translate(table)


def _marks(rng: Random) -> str:
    return "".join(chr(rng.choice(MARKS)) for _ in range(rng.randint(3, 8)))


def _drawn(word: str, rng: Random) -> str:
    at = rng.randrange(len(word))
    return word[:at] + word[at] * rng.randint(3, 6) + word[at:]


def _mistyped(text: str, mistake: Callable[[str, int], str], rng: Random) -> str:
    def mistyped(match: re.Match[str]) -> str:
        word = match.group()
        # Few people mistake the first letter of a word.
        at = rng.randrange(1, len(word) - 1)
        return mistake(word, at) if rng.random() < SOMETIMES else word

    return _LONGER_WORD.sub(mistyped, text)
