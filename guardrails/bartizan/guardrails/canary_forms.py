"""The forms in which a planted token leaves the house."""

import base64
import codecs
import string
from collections.abc import Iterator
from typing import NamedTuple

_KEPT = (string.digits + string.ascii_letters).encode()
_LEFT_OUT = bytes(set(range(256)) - set(_KEPT))
_IN_LOWER_CASE = bytes(range(256)).lower()

BASE64_SHIFTS = 3
"""A token begins at any of three places in the groups of base64."""


class Form(NamedTuple):
    """A token as it may stand in a text, without signs and in lower case.

    Attributes:
        code: the reason code of a finding.
        needle: what to look for.
        growth: how many of its characters one of the token becomes.
    """

    code: str
    needle: str
    growth: float


def compact(text: str) -> str:
    """Returns the letters and digits of ASCII alone, in lower case."""
    return text.encode("ascii", "ignore").translate(_IN_LOWER_CASE, _LEFT_OUT).decode()


def forms(token: str) -> Iterator[Form]:
    """Yields the forms of a token; the token itself first."""
    plain = compact(token)
    for code, spelt in _spelt(token):
        needle = compact(spelt)
        yield Form(code, needle, len(needle) / len(plain))


def _spelt(token: str) -> Iterator[tuple[str, str]]:
    raw = token.encode()
    yield "CANARY_PLAIN", token
    yield "CANARY_REVERSED", token[::-1]
    yield "CANARY_ROT13", codecs.encode(token, "rot13")
    yield "CANARY_HEX", raw.hex()
    yield "CANARY_ESCAPED", "".join(f"x{byte:02x}" for byte in raw)
    yield "CANARY_ESCAPED", "".join(f"u{ord(char):04x}" for char in token)
    yield "CANARY_DECIMAL", "".join(str(ord(char)) for char in token)
    yield "CANARY_BASE32", base64.b32encode(raw).decode().rstrip("=")[:-1]
    for shift in range(BASE64_SHIFTS):
        yield "CANARY_BASE64", _in_base64(raw, shift)
        yield "CANARY_BASE64", _in_base64(raw[::-1], shift)


def _in_base64(raw: bytes, shift: int) -> str:
    """Returns what does not depend on the neighbours: six bits a character."""
    encoded = base64.b64encode(bytes(shift) + raw).decode()
    first = -(-shift * 8 // 6)
    return encoded[first : (shift + len(raw)) * 8 // 6]
