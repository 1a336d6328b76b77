"""Reads what escapes stand for: in JSON, in string literals and in URLs, with a map back.

However often a text was put into a string, a run of backslashes and what follows it is one
character: `\\\\\\\\u0040` is an `@` in JSON inside JSON. So one pass is enough, and bounded.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator

HEX = "[0-9a-fA-F]"

BACKSLASHED = (
    rf"\\+(?:u[dD][89abAB]{HEX}{{2}}\\+u[dD][c-fC-F]{HEX}{{2}}|u{HEX}{{4}}|x{HEX}{{2}}"
    r"|[\"'/bfnrt])"
)
PERCENT = rf"%(?:25){{0,3}}{HEX}{{2}}"
ESCAPE = re.compile(rf"{BACKSLASHED}|(?:{PERCENT})+")
ONE_BYTE = re.compile(PERCENT)

LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

PLAIN = re.compile(rf"\\[uxbf]|%{HEX}{{2}}")
"""In a text without these the escapes are few and of one letter."""

Escape = tuple[int, int, str]
"""Where an escape is in the text, and the one character it stands for."""


class Unescaped:
    """A text as it reads without escapes.

    Attributes:
        text: what it reads.
    """

    def __init__(self, value: str) -> None:
        """Reads a text."""
        parts: list[str] = []
        self._at: list[int] = []
        self._spans: list[tuple[int, int]] = []
        last = length = 0
        for start, end, char in _escapes(value):
            parts += value[last:start], char
            length += start - last
            self._at.append(length)
            self._spans.append((start, end))
            length += 1
            last = end
        parts.append(value[last:])
        self.text = "".join(parts)

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Returns where a stretch of `text`, not an empty one, is in the text that was given."""
        return self._place(start)[0], self._place(end - 1)[1]

    def _place(self, at: int) -> tuple[int, int]:
        index = bisect_right(self._at, at) - 1
        if index < 0:
            return at, at + 1
        if self._at[index] == at:
            return self._spans[index]
        place = self._spans[index][1] + at - self._at[index] - 1
        return place, place + 1


def has_escapes(value: str) -> bool:
    """Returns True if a text may read otherwise without its escapes."""
    return ("\\" in value or "%" in value) and ESCAPE.search(value) is not None


def without_escapes(value: str) -> str:
    """Returns about what a text reads without escapes. Cheaper, and as good to scan."""
    if PLAIN.search(value):
        return Unescaped(value).text
    for escape, char in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r"), ("\\/", "/")):
        value = value.replace(escape, char)
    return value


def _escapes(value: str) -> Iterator[Escape]:
    for match in ESCAPE.finditer(value):
        start, end = match.span()
        if value[start] == "%":
            yield from _percent(value, start, end)
        elif (char := _character(match.group().lstrip("\\"))) is not None:
            yield start, end, char


def _character(escape: str) -> str | None:
    kind = escape[0]
    if kind == "u" and len(escape) > 5:
        pair = int(escape[1:5], 16), int(escape[-4:], 16)
        return chr(0x10000 + ((pair[0] & 0x3FF) << 10) + (pair[1] & 0x3FF))
    if kind in "ux":
        code = int(escape[1:], 16)
        return None if 0xD800 <= code < 0xE000 else chr(code)
    return LETTERS.get(kind, kind)


def _percent(value: str, start: int, end: int) -> Iterator[Escape]:
    """Gives the characters of a run, if its bytes are UTF-8."""
    found = [(one.start(), one.end()) for one in ONE_BYTE.finditer(value, start, end)]
    try:
        text = bytes(int(value[at - 2 : at], 16) for _, at in found).decode()
    except UnicodeDecodeError:
        return
    place = 0
    for char in text:
        size = len(char.encode())
        yield found[place][0], found[place + size - 1][1], char
        place += size
