"""Fits what is taken out of a text to the text's structure, so that what is left can be read.

In JSON a mask stays inside its string, escapes are taken whole, a number becomes a string, and
what spans several tokens is taken token by token, also in JSON that stands in a string of JSON.
What is not JSON from its first character on is fitted by what stands around: it may be a piece.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

BEGINS_AS_JSON = re.compile(r'\s*["{\[]')

STRING = r'"[^"\\]*(?:\\.[^"\\]*)*\\?(?:"|\Z)'
NUMBER_OR_WORD = (
    r"(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|-?Infinity|NaN|true|false|null)(?![\w.+-])"
    r"|[\w.+-]+\Z"
)
"""At the end of a piece a word may go on."""

TOKENS = re.compile(
    rf"(?P<string>{STRING})|(?:[\s,:{{}}\[\]]+|{NUMBER_OR_WORD})+", re.DOTALL | re.ASCII
)
"""A string, or all that stands between two strings."""

WORDS = re.compile(NUMBER_OR_WORD, re.ASCII)

MAX_DEPTH = 6
"""JSON in a string of JSON, so many times: each reads the text once more."""

ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[0-9a-fA-F]{4}|.)", re.DOTALL)

ANY_ESCAPE = re.compile(r"""\\+(?:u[0-9a-fA-F]{4}|["'/bfnrt])""")
ESCAPE_REACH = 32

AFTER_A_KEY = re.compile(r"""(\\*["'])\s{0,8}:\s{0,8}\Z""")
KEY_REACH = 64
SCALAR = re.compile(r"(?:-?\d+(?:\.\d+)?|true|false|null|True|False|None)(?=\s*(?:[,}\]]|\Z))")
SCALAR_REACH = 400

AUTHORITY_REACH = 1_024
OUTSIDE_AUTHORITY = re.compile(r"""[/?#\s"'<>\\]""")

LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

Stretch = tuple[int, int]

Owned = tuple[int, Stretch]
"""A stretch, and the index that it was given with."""

Touched = tuple[re.Match[str], Sequence[Owned]]


class Piece(NamedTuple):
    """A part of a text to be replaced.

    Attributes:
        owner: the index of the stretch that it comes of.
        quote: what must stand before and after the replacement.
        in_authority: True in that part of a URL where only some characters may stand.
    """

    start: int
    end: int
    owner: int
    quote: str = ""
    in_authority: bool = False


def pieces(text: str, stretches: Sequence[Stretch]) -> list[Piece]:
    """Returns what to replace, in the order of the text, so that its structure stays.

    Takes stretches that are in order, not empty and apart. What two pieces share is in both.
    """
    return _pieces(text, list(enumerate(stretches)), 0)


def _pieces(text: str, owned: Sequence[Owned], depth: int) -> list[Piece]:
    touched = _touched(text, owned) if BEGINS_AS_JSON.match(text) else None
    if touched is None:
        return [_by_surroundings(text, *one) for one in owned]
    found: list[Piece] = []
    for match, touching in touched:
        if match.lastgroup:
            found += _in_string(text, match, touching, depth)
        else:
            found += _between_strings(text, match, touching)
    return found


def _touched(text: str, owned: Sequence[Owned]) -> list[Touched] | None:
    """Returns the tokens that stretches lie in; None if the text is no JSON."""
    found: list[Touched] = []
    at = first = 0
    for match in TOKENS.finditer(text):
        start, end = match.span()
        if start != at:
            return None
        at = end
        if first < len(owned) and owned[first][1][0] < end:
            last = first
            while last < len(owned) and owned[last][1][0] < end:
                last += 1
            found.append((match, owned[first:last]))
            # The last of them may go on in the next token.
            first = last - (owned[last - 1][1][1] > end)
    return found if at == len(text) else None


def _between_strings(text: str, match: re.Match[str], owned: Sequence[Owned]) -> Iterator[Piece]:
    left = list(reversed(owned))
    for word in WORDS.finditer(text, *match.span()):
        while left and left[-1][1][1] <= word.start():
            left.pop()
        for owner, (start, _) in reversed(left):
            if start >= word.end():
                break
            yield Piece(*word.span(), owner, '"')


def _in_string(text: str, match: re.Match[str], owned: Sequence[Owned], depth: int) -> list[Piece]:
    start, end = match.start() + 1, match.end()
    if match.group().endswith('"') and end - start > 0:
        end -= 1
    inside = [
        (owner, (max(low, start) - start, min(high, end) - start))
        for owner, (low, high) in owned
        if max(low, start) < min(high, end)
    ]
    if not inside:
        return []
    read = _Decoded(text[start:end])
    stretches = [(owner, read.inner(*stretch)) for owner, stretch in inside]
    if depth < MAX_DEPTH:
        found = _pieces(read.text, stretches, depth + 1)
    else:
        found = [Piece(*stretch, owner) for owner, stretch in stretches]
    return [_outside(one, read, start) for one in found]


def _outside(piece: Piece, read: "_Decoded", shift: int) -> Piece:
    start, end = read.outer(piece.start, piece.end)
    quote = piece.quote.replace("\\", "\\\\").replace('"', '\\"')
    return piece._replace(start=start + shift, end=end + shift, quote=quote)


class _Decoded:
    """The text that a string of JSON stands for, with a map between both."""

    def __init__(self, content: str) -> None:
        parts: list[str] = []
        self._outer: list[Stretch] = []
        self._inner: list[int] = []
        last = length = 0
        for match in ESCAPE.finditer(content) if "\\" in content else ():
            start, end = match.span()
            parts += content[last:start], _character(match.group())
            length += start - last
            self._outer.append((start, end))
            self._inner.append(length)
            length += 1
            last = end
        parts.append(content[last:])
        self.text = "".join(parts)

    def inner(self, start: int, end: int) -> Stretch:
        return self._inner_place(start), self._inner_place(end - 1) + 1

    def outer(self, start: int, end: int) -> Stretch:
        return self._outer_place(start)[0], self._outer_place(end - 1)[1]

    def _inner_place(self, at: int) -> int:
        index = bisect_right(self._outer, (at, len(self.text) * 12 + 12)) - 1
        if index < 0:
            return at
        end = self._outer[index][1]
        return self._inner[index] if at < end else self._inner[index] + 1 + at - end

    def _outer_place(self, at: int) -> Stretch:
        index = bisect_right(self._inner, at) - 1
        if index < 0:
            return at, at + 1
        if self._inner[index] == at:
            return self._outer[index]
        place = self._outer[index][1] + at - self._inner[index] - 1
        return place, place + 1


def _character(escape: str) -> str:
    """Returns one character; where it does not matter which, a replacement."""
    kind = escape[1]
    if kind == "u":
        code = int(escape[2:6], 16) if len(escape) == 6 else 0xFFFD
        return chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"
    return LETTERS.get(kind, kind)


def _by_surroundings(text: str, owner: int, stretch: Stretch) -> Piece:
    start, end = _with_escapes(text, *stretch)
    if text.rfind(":", max(0, start - AUTHORITY_REACH), start) < 0:
        return Piece(start, end, owner)
    if (scalar := _after_a_key(text, start, end)) is not None:
        return Piece(*scalar[0], owner, scalar[1])
    return Piece(start, end, owner, in_authority=_is_in_authority(text, start))


def _with_escapes(text: str, start: int, end: int) -> Stretch:
    low, high = start, end
    if '"' not in text and "'" not in text:
        return low, high
    for edge in (start, end):
        if "\\" not in text[max(0, edge - ESCAPE_REACH) : edge]:
            continue
        for match in ANY_ESCAPE.finditer(text, max(0, edge - ESCAPE_REACH), edge + ESCAPE_REACH):
            if match.start() < edge < match.end():
                low, high = min(low, match.start()), max(high, match.end())
    return low, high


def _after_a_key(text: str, start: int, end: int) -> tuple[Stretch, str] | None:
    """Returns the number that a stretch lies in and its quote, if it stands as it does in JSON."""
    low = start
    while (
        low > 0 and start - low < KEY_REACH and (text[low - 1].isalnum() or text[low - 1] in "-.")
    ):
        low -= 1
    key = AFTER_A_KEY.search(text, max(0, low - KEY_REACH), low)
    if key is None:
        return None
    scalar = SCALAR.match(text, low, end + SCALAR_REACH)
    return (scalar.span(), key[1]) if scalar is not None and end <= scalar.end() else None


def _may_follow_a_key(text: str, start: int) -> bool:
    around = text[max(0, start - KEY_REACH) : start]
    return ":" in around and ('"' in around or "'" in around)


def _is_in_authority(text: str, start: int) -> bool:
    at = text.rfind("://", max(0, start - AUTHORITY_REACH), start)
    return at >= 0 and OUTSIDE_AUTHORITY.search(text, at + 3, start) is None
