"""Undoes the tricks that hide a text from guardrails, and keeps the way back to the original.

One scan tells which tricks a text may hold; a text without any, most of them, costs nothing more.
All work is linear in the text, whatever it holds.
"""

import codecs
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import re2

from bartizan.guardrails.engine.normalise_codes import DECODERS
from bartizan.guardrails.engine.normalise_english import COMMON_WORDS
from bartizan.guardrails.engine.normalise_escapes import unescaped
from bartizan.guardrails.engine.normalise_lookalikes import FOREIGN, latinised
from bartizan.guardrails.engine.normalise_unicode import UNSEEN, hidden, unveiled
from bartizan.guardrails.engine.normalise_view import View
from bartizan.guardrails.engine.normalise_words import joined, shortened, spelt
from bartizan.guardrails.engine.prefilter import Expression, options

FOLDED = "folded"
"""The kind of the view that is the document itself."""

MAX_DEPTH = 2
"""What is decoded is decoded again, but not what that gives."""

MAX_GROWTH = 2
"""All that is decoded together has no more than so many times the characters of the text."""

LEAST_TELLING = 4
"""Letters of a word whose reverse or ROT13 tells something."""

_A, _NOT = "[A-Za-z]", "[^0-9A-Za-z]"
_LEET = "[0134578@$!|+]"


def _turned(turn: Callable[[str], str]) -> str:
    """Returns what matches the words that are common only if they are turned."""
    turned = {turn(word) for word in COMMON_WORDS if len(word) >= LEAST_TELLING}
    return rf"(?i)\b(?:{'|'.join(sorted(turned - COMMON_WORDS))})\b"


_SIGNS = {
    "escapes": r"&#[0-9xX]|&[A-Za-z0-9]{2,24};|\\[xuU][0-9a-fA-F{]|%[0-9a-fA-F]{2}",
    "controls": r"[\x00-\x08\x0e-\x1b\x7f]",
    "base64": r"[A-Za-z0-9+/_-]{16}|(?:[A-Za-z0-9+/_-]{4,}\r?\n){2}",
    "hex": r"[0-9a-fA-F]{16}|(?:[0-9a-fA-F]{2}[ ,:;\t\r\n|-]{1,3}(?:0[xX])?){7}",
    "leet": f"{_A}{_LEET}{{1,3}}{_A}|(?:^|{_NOT}){_LEET}{{1,2}}{_A}{{2}}"
    f"|{_A}{_LEET}{{2}}(?:{_NOT}|$)|{_A}{{2}}[0134578@$](?:{_NOT}|$)",
    "spaced": rf"(?:^|{_NOT})(?:[0-9A-Za-z@$!]{_NOT}{{1,3}}){{3}}"
    rf"|{_A}[._*~^-]{_A}{{1,5}}[._*~^-]{_A}",
    "drawn": "|".join(3 * letter for letter in map(chr, (*range(65, 91), *range(97, 123)))),
    "rot13": _turned(lambda word: codecs.encode(word, "rot13")),
    "reversed": _turned(lambda word: word[::-1]),
}  # fmt: skip
"""What a text of ASCII has to match for each trick to be worth a look."""

_UNSEEN = Expression(UNSEEN)
_FOREIGN = Expression(FOREIGN)


def _compiled() -> "re2.Set":
    signs = re2.Set.SearchSet(options())
    for sign in _SIGNS.values():
        signs.Add(sign)
    # Always met, unless the set runs out of memory: it does not say so otherwise.
    signs.Add(r"\A")
    signs.Compile()
    return signs


_SET = _compiled()
_NAMES = (*_SIGNS, "")
_ALL = frozenset(_NAMES)


def views(text: str) -> Sequence[View]:
    """Returns the readings of a text: the document with its tricks undone, then what it carries.

    The first is of kind `folded` and is the text itself where there was nothing to undo. Each of
    the others has all that was decoded from one encoding, a segment a line.
    """
    if text.isascii() and len(signs(text)) == 1:
        return (View.of(FOLDED, text),)
    return tuple(_bounded(_readings(View.of(FOLDED, text), 0), MAX_GROWTH * len(text)))


def signs(text: str) -> frozenset[str]:
    """Returns which tricks a text may hold, as far as its characters of ASCII tell."""
    met = _SET.Match(text.encode("ascii", "replace").replace(b"\0", b"\1"))
    return frozenset(_NAMES[place] for place in met) if met else _ALL


def _readings(view: View, depth: int) -> Iterator[View]:
    unfolded = _unescaped(view)
    is_veiled = _is_veiled(unfolded.text)
    plain = _latin(unveiled(unfolded) if is_veiled else unfolded)
    found = signs(plain.text)
    yield _respelt(plain, found)
    if depth == MAX_DEPTH:
        return
    carried = [hidden(unfolded)] if is_veiled else []
    for kind, decode in DECODERS.items():
        if kind in found:
            carried.append(plain.decoded(kind, decode(plain.text)))
    for one in carried:
        if one is not None:
            yield from _readings(one, depth + 1)


def _bounded(found: Iterable[View], most: int) -> Iterator[View]:
    left = most
    for place, view in enumerate(found):
        if place == 0:
            yield view
        elif left > 0:
            yield view.cut(left)
            left -= len(view.text)


def _unescaped(view: View) -> View:
    for _ in range(MAX_DEPTH):
        if "escapes" not in signs(view.text):
            return view
        view = unescaped(view)
    return view


def _is_veiled(text: str) -> bool:
    return "controls" in signs(text) if text.isascii() else _has(_UNSEEN, text)


def _latin(view: View) -> View:
    is_mixed = not view.text.isascii() and _has(_FOREIGN, view.text)
    return latinised(view) if is_mixed else view


def _has(characters: Expression, text: str) -> bool:
    try:
        return characters.end_of_match(text.encode().replace(b"\0", b"\1")) >= 0
    except UnicodeEncodeError:
        return True


def _respelt(view: View, found: Collection[str]) -> View:
    if "spaced" in found:
        view = joined(view)
    if "spaced" in found or "leet" in found:
        view = spelt(view)
    return shortened(view) if "drawn" in found else view
