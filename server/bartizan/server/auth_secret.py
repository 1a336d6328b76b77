"""What an API key looks like: `bz_` and 32 random bytes in base 62. Only its SHA-256 is kept."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

RandomBytes = Callable[[int], bytes]
"""Returns so many random bytes, as `secrets.token_bytes` does."""

PREFIX_CHARACTERS = 10
"""Shown to recognise a key by; the 36 base 62 characters left unsaid hold over 200 bits."""

_SECRET_BYTES = 32
_KEY_ID_BYTES = 10
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_WIDTH = 43
"""The least number of base 62 digits that holds 32 bytes."""
_FORM = re.compile(rf"bz_[0-9A-Za-z]{{{_WIDTH}}}")


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A secret that was just made. Its text is left out of its repr."""

    text: str = field(repr=False)
    sha256: bytes = field(repr=False)
    prefix: str


def new_secret(random_bytes: RandomBytes) -> NewSecret:
    """Returns a new secret."""
    number = int.from_bytes(random_bytes(_SECRET_BYTES))
    digits = ""
    for _ in range(_WIDTH):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    text = f"bz_{digits}"
    return NewSecret(text, _sha256(text), text[:PREFIX_CHARACTERS])


def new_key_id(random_bytes: RandomBytes) -> str:
    """Returns the last part of a new key's name: `k` and 16 random letters and digits."""
    return "k" + base64.b32encode(random_bytes(_KEY_ID_BYTES)).decode().lower()


def digest_of(text: str) -> bytes | None:
    """Returns the SHA-256 of what may be a key; None for what cannot be one."""
    return _sha256(text) if _FORM.fullmatch(text) else None


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode("ascii")).digest()
