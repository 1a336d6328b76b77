r"""Undoes the escapes of URLs, of HTML and of program text: %69, &#105;, \x69, \u0069.

They stay part of the text around them.
"""

import re
from collections.abc import Iterator
from html import unescape

from bartizan.guardrails.engine.normalise_view import Edit, View

ENOUGH_ESCAPES = 2
"""In one text. A single one may be anything: 100%25, a format, a path of Windows."""

_ESCAPE = re.compile(
    r"(?P<bytes>(?:%[0-9A-Fa-f]{2})+|(?:\\x[0-9A-Fa-f]{2})+)"
    r"|(?P<units>(?:\\u[0-9A-Fa-f]{4})+)"
    r"|\\U(?P<long>[0-9A-Fa-f]{8})|\\u\{(?P<braced>[0-9A-Fa-f]{1,6})\}"
    r"|(?P<html>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,23});)"
    r"|(?P<open>&#(?:[0-9]{2,3}|[xX][0-9A-Fa-f]{2})(?![0-9A-Fa-f;]))"
)


def unescaped(view: View) -> View:
    """Returns a view with its escapes undone, unless there are too few to mean anything."""
    edits = list(_edits(view.text))
    return view.edited(edits) if len(edits) >= ENOUGH_ESCAPES else view


def _edits(text: str) -> Iterator[Edit]:
    for match in _ESCAPE.finditer(text):
        found, start, kind = match.group(), match.start(), match.lastgroup
        if kind == "bytes":
            yield from _bytes(found, start)
        elif kind == "units":
            yield from _units(found, start)
        elif kind in ("long", "braced"):
            yield from _one(int(match.group(kind), 16), *match.span())
        else:
            shown = unescape(found)
            if shown != found and _is_shown(shown):
                yield start, match.end(), shown


def _bytes(found: str, start: int) -> Iterator[Edit]:
    width = 4 if found[0] == "\\" else 3
    encoded = bytes.fromhex(found.replace("%", "").replace("\\x", ""))
    try:
        shown = encoded.decode()
    except UnicodeDecodeError:
        return
    if not _is_shown(shown):
        return
    for char in shown:
        end = start + width * len(char.encode())
        yield start, end, char
        start = end


def _units(found: str, start: int) -> Iterator[Edit]:
    encoded = bytes.fromhex(found.replace("\\u", ""))
    for char in encoded.decode("utf-16-be", errors="surrogatepass"):
        end = start + (12 if ord(char) > 0xFFFF else 6)
        if _is_shown(char):
            yield start, end, char
        start = end


def _one(code: int, start: int, end: int) -> Iterator[Edit]:
    if code <= 0x10FFFF and _is_shown(chr(code)):
        yield start, end, chr(code)


def _is_shown(text: str) -> bool:
    """Returns True unless a control character or half of a pair is in the text."""
    return not _UNSHOWN.search(text)


_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
