"""Finds the URLs in a text, and what they stand in."""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

MOST_TRIMMED = 50
MOST_SCHEME_CHARACTERS = 15
REACH_CHARACTERS = 500
"""So far back it is looked for what a URL stands in."""

_REST = r"(?:[^\s<>\"'`\\^]|\\(?=[/@])){1,8000}"
_URL = re.compile(
    r"(?::[/\\]{2,4}|(?<=[(\"'=<])//(?=[a-z0-9\[])|(?<![\w@./-])www\d?\.(?=\w))" + _REST,
    re.IGNORECASE,
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{1,14}$", re.IGNORECASE)
_OPAQUE = re.compile(
    r"(?<![\w-])(?P<scheme>(?:j\s?a\s?v\s?a|vb)\s?script|data)\s?:(?P<rest>" + _REST + ")",
    re.IGNORECASE,
)
_MAY_BE_OPAQUE = re.compile(r"(?:script|data)\s?:", re.IGNORECASE)
_BARE = re.compile(r"(?<![\w@/.\\-])(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_TAG = re.compile(r"<(\w{1,20})\b[^<>]*$")
_IN_STYLE = re.compile(r"\burl\(\s*[\"']?$", re.IGNORECASE)
_REFERENCE = re.compile(r"(?:^|\n)[ ]{0,3}\[([^\]\n]{1,100})\]:\s*<?$")
_IMAGE_LABEL = re.compile(r"!\[([^\]\n]{0,200})\](?:\[([^\]\n]{0,100})\])?")
_IMAGE_TAGS = frozenset(
    [
        "img",
        "image",
        "source",
        "video",
        "audio",
        "iframe",
        "embed",
        "object",
        "link",
        "script",
        "input",
    ]
)
_PAIRED = {")": "(", "]": "[", "}": "{"}


class Place(Enum):
    """What a URL stands in."""

    PROSE = auto()
    LINK = auto()
    IMAGE = auto()
    """What is fetched with nobody clicking: an image, a frame, a style."""


class Found(NamedTuple):
    """A URL in a text.

    Attributes:
        start: offset of the first character.
        end: offset one past the last one.
        scheme: in lower case; empty where none is written.
        rest: what follows the scheme and its slashes.
        place: what it stands in.
    """

    start: int
    end: int
    scheme: str
    rest: str
    place: Place


def urls(text: str) -> Iterator[Found]:
    """Yields the URLs with a host, in order."""
    labels: frozenset[str] | None = None
    for match in _URL.finditer(text):
        start, end = match.start(), _trimmed(text, *match.span())
        scheme = _scheme(text, start) if text[start] == ":" else ""
        rest = text[start:end].lstrip(":/\\")
        start -= len(scheme)
        place, reference = _place(text, start)
        if reference is not None:
            labels = _image_labels(text) if labels is None else labels
            place = Place.IMAGE if reference in labels else Place.LINK
        yield Found(start, end, scheme.lower(), rest, place)


def _scheme(text: str, colon: int) -> str:
    found = _SCHEME.search(text[max(0, colon - MOST_SCHEME_CHARACTERS) : colon])
    return found[0] if found is not None else ""


def opaque(text: str) -> Iterator[Found]:
    """Yields the URLs that hold a script or a document themselves."""
    for match in _OPAQUE.finditer(text) if _MAY_BE_OPAQUE.search(text) else ():
        end = _trimmed(text, match.start(), match.end())
        scheme = "".join(match["scheme"].split()).lower()
        place, _ = _place(text, match.start())
        yield Found(match.start(), end, scheme, text[match.start("rest") : end], place)


def bare_hosts(text: str) -> Iterator[tuple[int, int]]:
    """Yields where something stands that may be a host without a scheme: `example.com`."""
    return (match.span() for match in _BARE.finditer(text))


def _trimmed(text: str, start: int, end: int) -> int:
    """Returns where a URL ends: without the sentence's signs, and the brackets around it."""
    least = max(start, end - MOST_TRIMMED)
    while end > least:
        last = text[end - 1]
        opening = _PAIRED.get(last)
        if opening is not None:
            if text.count(opening, start, end) >= text.count(last, start, end):
                break
        elif last not in ".,;:!?*_":
            break
        end -= 1
    return end


def _place(text: str, start: int) -> tuple[Place, str | None]:
    """Returns what a URL stands in, or the label that it is the reference of."""
    before = text[max(0, start - REACH_CHARACTERS) : start]
    if before.rstrip(" <").endswith("]("):
        opening = before.rfind("![")
        is_image = opening >= 0 and "](" not in before[opening:].rstrip(" <")[:-2]
        return (Place.IMAGE if is_image else Place.LINK), None
    if _IN_STYLE.search(before[-20:]):
        return Place.IMAGE, None
    reference = _REFERENCE.search(before[-120:])
    if reference is not None:
        return Place.LINK, reference[1].lower()
    tag = _TAG.match(before[before.rfind("<") :]) if "<" in before else None
    if tag is None:
        return Place.PROSE, None
    return (Place.IMAGE if tag[1].lower() in _IMAGE_TAGS else Place.LINK), None


def _image_labels(text: str) -> frozenset[str]:
    return frozenset((match[2] or match[1]).lower() for match in _IMAGE_LABEL.finditer(text))
