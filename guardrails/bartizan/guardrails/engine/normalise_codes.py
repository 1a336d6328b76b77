"""Decodes what a text carries in base64, in hexadecimal digits, in ROT13 and back to front.

Only what reads like a text afterwards counts: keys, hashes and pictures do not.
"""

import binascii
import codecs
import re
from collections.abc import Callable, Iterator

from bartizan.guardrails.engine.normalise_english import COMMON_WORDS, fluency, is_common
from bartizan.guardrails.engine.normalise_view import Segment

LEAST_BASE64 = 16
"""Characters, which is twelve bytes: below that a name may happen to decode to letters."""

LEAST_HEX = 8
"""Bytes."""

FIRST_BYTES = 24
"""Looked at alone: enough to tell a picture or a key from a text."""

PROSE_LETTERS = 0.6
"""The least share of letters and blanks in what counts as text. JSON of short keys has less."""

PROSE_FLUENCY = 3.7
"""The least fluency of Latin letters. Letters at random have about 2.5."""

LEAST_LETTERS = 6

ENOUGH_WORDS = 3
"""How many more common words there have to be decoded than as they stand."""

LONG_WORD = 5
"""Characters. A long word is hardly another one by chance, and counts twice."""

_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/_-])(?:[A-Za-z0-9+/_-]{16,}|[A-Za-z0-9+/_-]{4,}(?=\r?\n[A-Za-z0-9+/_-]{2}))"
    r"(?:\r?\n[A-Za-z0-9+/_-]{2,})*={0,2}(?![A-Za-z0-9+/_-])"
)
_HEX = re.compile(
    r"(?i)(?<![0-9a-z])(?:(?:0x)?[0-9a-f]{2}(?:[ ,:;\t\r\n|-]{1,3}(?:0x)?[0-9a-f]{2}){7,}"
    r"|(?:0x)?(?:[0-9a-f]{2}){8,})(?![0-9a-z])"
)
_PREFIX = re.compile("0[xX]")
_PAIR = re.compile("[0-9A-Fa-f]{2}")
_LINE_BREAKS = re.compile(r"[\r\n]+")
_WORD = re.compile(r"[A-Za-z]+")
_LETTER = re.compile(r"[^\W\d_]|\s")
_UNPRINTED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd]")


def from_base64(text: str) -> Iterator[Segment]:
    """Returns the texts in base64 in a text, plain or for URLs, padded or not, in lines or not."""
    for match in _BASE64.finditer(text):
        if len(match.group()) < LEAST_BASE64:
            continue
        whole = _base64(match.group(), match.start())
        if whole is not None:
            yield whole
            continue
        start = match.start()
        lines = match.group().splitlines(keepends=True)
        for line in lines if len(lines) > 1 else ():
            alone = _base64(line.rstrip("\r\n"), start) if len(line) >= LEAST_BASE64 else None
            if alone is not None:
                yield alone
            start += len(line)


def from_hex(text: str) -> Iterator[Segment]:
    """Returns the texts in hexadecimal digits in a text, in one run or byte by byte."""
    for match in _HEX.finditer(text):
        found = _PREFIX.sub("  ", match.group())
        pairs = list(_PAIR.finditer(found))
        if len(pairs) < LEAST_HEX:
            continue
        encoded = bytes(int(pair.group(), 16) for pair in pairs)
        starts = [match.start() + pair.start() for pair in pairs]
        segment = _prose(encoded, starts, match.end())
        if segment is not None:
            yield segment


def from_rot13(text: str) -> Iterator[Segment]:
    """Returns the stretches of a text that are English moved by 13 letters."""
    turned = codecs.encode(text, "rot13")
    for start, end in _stretches(text, lambda word: codecs.encode(word, "rot13")):
        yield Segment(turned[start:end], range(start, end), end)


def from_reversed(text: str) -> Iterator[Segment]:
    """Returns the stretches of a text that are English back to front."""
    for start, end in _stretches(text, lambda word: word[::-1]):
        yield Segment(text[start:end][::-1], [start] * (end - start), end)


def is_prose(text: str) -> bool:
    """Returns True if a text may be meant to be read by people."""
    if _UNPRINTED.search(text):
        return False
    letters = len(_LETTER.findall(text))
    if letters < LEAST_LETTERS or letters < PROSE_LETTERS * len(text):
        return False
    if 2 * sum(map(len, _WORD.findall(text))) < letters:
        return True
    return " " in text.strip() and fluency(text) >= PROSE_FLUENCY


def _base64(found: str, start: int) -> Segment | None:
    compact = _LINE_BREAKS.sub("", found).rstrip("=").replace("-", "+").replace("_", "/")
    if len(compact) % 4 == 1:
        return None
    first = _decoded(compact[: FIRST_BYTES // 3 * 4]).decode(errors="ignore")
    if _UNPRINTED.search(first.replace("\0", "")):
        return None
    places = [at for at, char in enumerate(found, start) if char not in "\r\n="]
    encoded = _decoded(compact)
    starts = [places[at * 4 // 3] for at in range(len(encoded))]
    return _prose(encoded, starts, start + len(found))


def _decoded(compact: str) -> bytes:
    return binascii.a2b_base64(compact + "=" * (-len(compact) % 4))


def _prose(encoded: bytes, starts: list[int], end: int) -> Segment | None:
    is_wide = len(encoded) % 2 == 0 and not any(encoded[1::2])
    try:
        text = encoded.decode("utf-16-le" if is_wide else "utf-8")
    except UnicodeDecodeError:
        return None
    if not (is_prose(text) or _carries(text)):
        return None
    if is_wide:
        return Segment(text, starts[::2], end)
    if len(text) == len(encoded):
        return Segment(text, starts, end)
    firsts = [at for at, byte in enumerate(encoded) if byte & 0xC0 != 0x80]
    return Segment(text, [starts[at] for at in firsts], end)


def _carries(text: str) -> bool:
    """Returns True if a text that says nothing itself was encoded once more."""
    if _UNPRINTED.search(text):
        return False
    return any(next(decode(text), None) is not None for decode in DECODERS.values())


def _stretches(text: str, decode: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """Returns where words are common ones only if they are decoded.

    Words that are known neither way belong to the stretch that they stand in or before.
    """
    score = best = 0
    start: int | None = None
    end = 0
    for match in _WORD.finditer(text):
        gain = _gain(match.group(), decode)
        if gain >= 0 and start is None:
            start = match.start()
        score += gain
        if score >= best:
            best, end = score, match.end()
        if (score <= 0 and gain < 0) or best - score >= ENOUGH_WORDS:
            if start is not None and best >= ENOUGH_WORDS:
                yield start, end
            score, best, start = 0, 0, None
    if start is not None and best >= ENOUGH_WORDS:
        yield start, end


def _gain(word: str, decode: Callable[[str], str]) -> int:
    turned = decode(word)
    if is_common(word):
        # Many a short word is one either way: be and or, saw and was.
        return 0 if is_common(turned) else -1
    if turned.lower() in COMMON_WORDS:
        return 2 if len(word) >= LONG_WORD else 1
    return 0


DECODERS: dict[str, Callable[[str], Iterator[Segment]]] = {
    "base64": from_base64, "hex": from_hex, "rot13": from_rot13, "reversed": from_reversed,
}  # fmt: skip
"""What each kind of view is decoded with."""
