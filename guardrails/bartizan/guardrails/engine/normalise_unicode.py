"""Undoes what Unicode hides: invisible characters, other alphabets of Latin letters, stacked marks.

Where a script or an emoji needs such a character, it stays.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from bartizan.guardrails.engine.normalise_english import fluency
from bartizan.guardrails.engine.normalise_view import Edit, Segment, View

ENOUGH_MARKS = 3
"""On one letter. No language writes so many: Vietnamese has two."""

CLEARLY_BETTER = 0.25
"""By how much reversed text has to be more fluent, so that it counts as what was meant."""

TAG_BLOCK = 0xE0000
"""Tag characters are ASCII moved up to here."""

SMALL_CAPITALS = dict(zip("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "ABCDEFGHIJKLMNOPRSTUVWYZ", strict=True))

_COMPATIBLE = (
    (0x02B0, 0x02B8), (0x02E0, 0x02E4), (0x1D2C, 0x1D6A), (0x2071, 0x2071), (0x207F, 0x207F),
    (0x2090, 0x209C), (0x2102, 0x2138), (0x213C, 0x2149), (0x2160, 0x217F), (0x249C, 0x24E9),
    (0xFB00, 0xFB06), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0x1D400, 0x1D7FF), (0x1F110, 0x1F12A),
    (0x1F130, 0x1F149),
)  # fmt: skip
"""Where Unicode itself says which letters a character is made of."""

_IN_BOXES = (0x1F150, 0x1F170)
"""White on black, A-Z each: of these Unicode does not say it."""

_REGIONAL_A = 0x1F1E6

_REGIONS = {
    "A": "CDEFGILMOQRSTUWXZ", "B": "ABDEFGHIJLMNOQRSTVWYZ", "C": "ACDFGHIKLMNOPRUVWXYZ",
    "D": "EGJKMOZ", "E": "ACEGHRSTU", "F": "IJKMOR", "G": "ABDEFGHILMNPQRSTUWY", "H": "KMNRTU",
    "I": "CDELMNOQRST", "J": "EMOP", "K": "EGHIMNPRWYZ", "L": "ABCIKRSTUVY",
    "M": "ACDEFGHKLMNOPQRSTUVWXYZ", "N": "ACEFGILOPRUZ", "O": "M", "P": "AEFGHKLMNRSTWY", "Q": "A",
    "R": "EOSUW", "S": "ABCDEGHIJKLMNORSTVXYZ", "T": "ACDFGHJKLMNORTVWZ", "U": "AGMNSYZ",
    "V": "ACEGINU", "W": "FS", "X": "K", "Y": "ET", "Z": "AMW",
}  # fmt: skip

_FLAGS = frozenset(first + second for first in _REGIONS for second in _REGIONS[first])

_MARKS = "\u0300-\u034e\u0350-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe20-\ufe2f"
_STACKED = re.compile(f"[{_MARKS}]+")
_OVERLAYS = re.compile("[\u0334-\u0338\u0489\u20d2\u20d3\u20d8-\u20da\u20dd-\u20e6\u20ea\u20eb]")
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef\u180b-\u180d\u180f"
_CONTROLS = "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a"
)
_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u2800"

_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_HIDDEN_BYTES = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff]")
_JOINING = re.compile(
    "[\u0590-\u109f\u1780-\u18af\u1a00-\u1cff\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f]"
)
_PICTURE = re.compile("[#*0-9\u00a9\u00ae\u203c-\u3299\ufe0f\U0001f000-\U0001faff]")


def unveiled(view: View) -> View:
    """Returns a view without what is not seen, its odd letters as plain ones."""
    plain = view.edited(_edits(view.text))
    return plain.edited(_unstacked(plain.text))


def hidden(view: View) -> View | None:
    """Returns what a view says in characters that are not seen; None if nothing."""
    tags = list(_TAGS.finditer(view.text))
    segments = [] if len(tags) < 2 else [_tagged([match.span() for match in tags], view.text)]
    for match in _HIDDEN_BYTES.finditer(view.text):
        encoded = bytes(_byte(char) for char in match.group())
        segments.append(_whole(encoded.decode(errors="replace"), *match.span()))
    return view.decoded("hidden", sorted(segments, key=lambda segment: segment.end))


def _edits(text: str) -> Iterator[Edit]:
    at = 0
    # A class alone is looked for ten times as fast as the alternatives.
    while first := _ODD.search(text, at):
        match = _WHAT.match(text, first.start())
        assert match is not None
        start, end = match.span()
        new = _REWRITE[match.lastgroup or ""](match.group(), text, start, end)
        if new is not None:
            yield start, end, new
        at = end


def _unstacked(text: str) -> Iterator[Edit]:
    for match in _STACKED.finditer(text):
        start, end = max(0, match.start() - 1), match.end()
        found, base = text[start:end], text[start]
        if match.start() == 0:
            yield start, end, ""
        elif base.isalpha():
            new = _unmarked(base, match.group())
            if new != found:
                yield start, end, new


def _unmarked(base: str, marks: str) -> str:
    composed = unicodedata.normalize("NFC", base + marks)
    # What composes is how a language writes its letters.
    is_noise = len(marks) >= ENOUGH_MARKS or len(composed) >= ENOUGH_MARKS
    return base if is_noise or _OVERLAYS.search(marks) else composed


def _nothing(found: str, text: str, start: int, end: int) -> str:
    return ""


def _space(found: str, text: str, start: int, end: int) -> str:
    return " " * len(found)


def _letters(found: str, text: str, start: int, end: int) -> str:
    return found.translate(LETTERS)


def _override(found: str, text: str, start: int, end: int) -> str:
    inside = found[1:].rstrip("\u202c\u2069")
    if _RIGHT_TO_LEFT.search(inside):
        return inside
    turned = inside[::-1]
    meant = turned if fluency(turned) > fluency(inside) + CLEARLY_BETTER else inside
    return View.of("", meant).edited(_edits(meant)).text


def _tags(found: str, text: str, start: int, end: int) -> str:
    return "".join(chr(ord(char) - TAG_BLOCK) for char in found if _TAGS.match(char))


def _kept(found: str, text: str, start: int, end: int) -> None:
    return None


def _regional(found: str, text: str, start: int, end: int) -> str | None:
    letters = "".join(chr(ord(char) - _REGIONAL_A + ord("A")) for char in found)
    pairs = [letters[at : at + 2] for at in range(0, len(letters), 2)]
    return None if all(pair in _FLAGS for pair in pairs) else letters


def _selectors(found: str, text: str, start: int, end: int) -> str | None:
    before = text[start - 1 : start]
    is_one = len(found) == 1 and bool(before) and ord(before) not in LETTERS
    kept = is_one and (_PICTURE.match(before) or before >= "\u180b")
    return None if kept else ""


def _invisible(found: str, text: str, start: int, end: int) -> str | None:
    before, after = text[start - 1 : start], text[end : end + 1]
    is_needed = len(found) == 1 and bool(before and after) and _is_needed(found, before, after)
    return None if is_needed else ""


def _is_needed(found: str, before: str, after: str) -> bool:
    if found in "\u200c\u200d":
        is_emoji = found == "\u200d" and _PICTURE.match(before)
        return bool(is_emoji or _JOINING.match(before) or _JOINING.match(after))
    if found in "\u200e\u200f\u061c":
        return bool(_RIGHT_TO_LEFT.match(before) or _RIGHT_TO_LEFT.match(after))
    return found in "\u115f\u1160" and "\u1100" <= before <= "\u11ff"


def _tagged(spans: list[tuple[int, int]], text: str) -> Segment:
    places = [at for start, end in spans for at in range(start, end)]
    found = "".join(chr(ord(text[at]) - TAG_BLOCK) for at in places)
    return Segment(found, places, spans[-1][1])


def _whole(found: str, start: int, end: int) -> Segment:
    shown = found if all(char.isprintable() or char.isspace() for char in found) else ""
    return Segment(shown, [start] * len(shown), end)


def _byte(char: str) -> int:
    code = ord(char)
    return code - 0xFE00 if code < 0xFE10 else code - 0xE0100 + 16


def _letters_of_unicode() -> Iterator[tuple[int, str]]:
    yield from ((ord(char), letter.lower()) for char, letter in SMALL_CAPITALS.items())
    for first in _IN_BOXES:
        yield from ((first + at, chr(ord("A") + at)) for at in range(26))
    for first, last in _COMPATIBLE:
        for code in range(first, last + 1):
            letters = unicodedata.normalize("NFKC", chr(code)).strip("()\u3014\u3015")
            if letters != chr(code) and (letters.isalpha() or letters.isdecimal()):
                yield code, letters


LETTERS = dict(_letters_of_unicode())
"""Characters that stand for letters, and these letters."""


def _ranges(codes: Iterable[int]) -> Iterator[str]:
    """Returns the inside of a class. Ranges, as `re` is slow with single ones beyond U+FFFF."""
    known = sorted(codes)
    for _, run in groupby(enumerate(known), lambda item: item[1] - item[0]):
        members = [code for _, code in run]
        yield f"{chr(members[0])}-{chr(members[-1])}"


_FOLDING = "".join(_ranges(LETTERS))

_REWRITE: Mapping[str, Callable[[str, str, int, int], str | None]] = {
    "override": _override, "": _kept, "flag": _kept, "tags": _tags, "regional": _regional,
    "colour": _nothing, "selectors": _selectors, "controls": _nothing, "invisible": _invisible,
    "letters": _letters, "spaces": _space,
}  # fmt: skip

_WHAT = re.compile(
    "(?P<override>\u202e[^\u202c\u202e\u2069\n]*[\u202c\u2069]?)"
    "|(?P<flag>\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f)"
    "|(?P<tags>[\U000e0000-\U000e007f]+)|(?P<regional>[\U0001f1e6-\U0001f1ff]+)"
    r"|(?P<colour>\x1b\[[0-9;]{0,16}[A-Za-z])"
    f"|(?P<selectors>[{_SELECTORS}]+)|(?P<controls>[{_CONTROLS}]+)"
    f"|(?P<invisible>[{_INVISIBLE}\ud800-\udfff]+)|(?P<letters>[{_FOLDING}]+)|(?P<spaces>[{_SPACES}]+)"
    "|\U0001f3f4"
)

_ODD_ONES = (
    f"{_SELECTORS}{_CONTROLS}{_INVISIBLE}{_FOLDING}{_SPACES}"
    "\U000e0000-\U000e007f\U0001f1e6-\U0001f1ff\U0001f3f4"
)

_ODD = re.compile(f"[{_ODD_ONES}\ud800-\udfff]")

UNSEEN = f"[{_ODD_ONES}{_MARKS}]"
"""A class: what of a text `unveiled` may change, but for halves of pairs."""
