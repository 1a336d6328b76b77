"""Tells URLs that carry data away: to open them, or to show the image, tells it to their host."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_plus

from bartizan.guardrails.urls.found import Place

LEAST_ENCODED = 20
"""Characters; what is shorter is an id."""

LEAST_WORDS, LEAST_SENTENCE = 5, 30
LONG_VALUE, LONG_QUERY = 100, 600
LONG_LABEL = 32
READABLE_SHARE = 0.95
ODD_BYTES = bytes(set(range(256)) - set(range(32, 127)) - {9, 10, 13})

_PARTS = re.compile(r"[/?&;=#]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_PLACEHOLDER = re.compile(
    r"\{\{?[^{}]{1,80}\}\}?|\[[A-Z][A-Z0-9_ ]{2,60}\]|\$\{?[A-Za-z_]\w{2,60}|%[A-Z_]{4,40}%"
)
_ENCODED_LABEL = re.compile(r"[0-9a-z]*[0-9][0-9a-z]*")


class Leak(NamedTuple):
    """Why a URL seems to carry data away."""

    code: str
    score: float


_SCORES = {
    "URL_CARRIES_ENCODED_TEXT": {Place.IMAGE: 0.95, Place.LINK: 0.8, Place.PROSE: 0.7},
    "URL_CARRIES_TEXT": {Place.IMAGE: 0.8, Place.LINK: 0.4, Place.PROSE: 0.3},
    "URL_CARRIES_PLACEHOLDER": {Place.IMAGE: 0.8, Place.LINK: 0.4},
    "URL_CARRIES_DATA": {Place.IMAGE: 0.6},
    "HOST_CARRIES_DATA": {Place.IMAGE: 0.8, Place.LINK: 0.7, Place.PROSE: 0.6},
}
"""By the place: an image is fetched with nobody asked, a link has to be opened."""


def leak(host: str, path: str, place: Place) -> Leak | None:
    """Returns why a URL seems to carry data away, as far as that tells in its place.

    `path` is all that follows the host.
    """
    codes = {*_codes_of_path(path), *_codes_of_host(host)}
    told = [Leak(code, _SCORES[code][place]) for code in codes if place in _SCORES[code]]
    return max(told, key=lambda one: (one.score, one.code), default=None)


def _codes_of_path(path: str) -> Iterator[str]:
    sent, _, query = path.partition("#")[0].partition("?")
    if _PLACEHOLDER.search(query):
        yield "URL_CARRIES_PLACEHOLDER"
    if len(query) >= LONG_QUERY:
        yield "URL_CARRIES_DATA"
    for part in _PARTS.split(f"{sent}?{query}"):
        if len(part) >= LEAST_ENCODED:
            yield from _codes_of_value(part)


def _codes_of_value(part: str) -> Iterator[str]:
    plain = unquote_plus(part)
    if _holds_text(plain):
        yield "URL_CARRIES_ENCODED_TEXT"
    elif len(plain) >= LEAST_SENTENCE and len(plain.split()) >= LEAST_WORDS:
        yield "URL_CARRIES_TEXT"
    elif len(plain) >= LONG_VALUE and (_BASE64.fullmatch(plain) or _HEX.fullmatch(plain)):
        yield "URL_CARRIES_DATA"


def _codes_of_host(host: str) -> Iterator[str]:
    for label in host.split(".")[:-2]:
        if _holds_text(label) or (len(label) >= LONG_LABEL and _ENCODED_LABEL.fullmatch(label)):
            yield "HOST_CARRIES_DATA"


def _holds_text(value: str) -> bool:
    """Returns True if a value is text in hexadecimal or base64."""
    if len(value) < LEAST_ENCODED:
        return False
    return any(_is_readable(raw) for raw in _decoded(value))


def _decoded(value: str) -> Iterator[bytes]:
    if _HEX.fullmatch(value):
        yield bytes.fromhex(value)
    if _BASE64.fullmatch(value):
        bare = value.rstrip("=")
        try:
            yield base64.b64decode(f"{bare}{'=' * (-len(bare) % 4)}", altchars=_altchars(value))
        except (binascii.Error, ValueError):
            return


def _altchars(value: str) -> bytes | None:
    return b"-_" if "-" in value or "_" in value else None


def _is_readable(raw: bytes) -> bool:
    kept = raw.translate(None, ODD_BYTES)
    if len(kept) < READABLE_SHARE * len(raw):
        return False
    # A number in hexadecimal digits may be letters by chance; not all of them.
    return sum(char in b" aeiouAEIOU" for char in kept) >= len(kept) / 6
