"""Replaces found text by tokens that whoever holds the vault's key can turn back. Stores nothing.

A token is the found text itself, encrypted and authenticated (AES-SIV, RFC 5297): the same text of
the same kind in the same project gets the same token, and its length can be told from it.
"""

import base64
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bartizan.plugins.errors import InvalidArgument, TooLarge

MIN_KEY_BYTES = 32

MAX_CHARACTERS = 1_024
"""Of a text: a token is 1.6 times as long in ASCII, and 6.4 times at most."""

VERSION = "v1"

AES_SIV_KEY_BYTES = 64

TOKEN = re.compile(
    rf"\[(?P<label>[A-Z0-9_]{{1,200}}):{VERSION}\.(?P<sealed>[A-Z2-7]{{1,{7 * MAX_CHARACTERS}}})\]"
)


class Pseudonyms:
    """Makes and reads the tokens of one project."""

    def __init__(self, vault_key: bytes, project: str) -> None:
        """Takes the operator's key, at least 32 random bytes. Raises ValueError if it is short.

        Tokens of one project are nothing to another.
        """
        if len(vault_key) < MIN_KEY_BYTES:
            raise ValueError(f"the key of the vault must have {MIN_KEY_BYTES} bytes at least")
        purpose = f"bartizan pseudonyms {VERSION}\0{project}".encode()
        derived = HKDF(SHA512(), AES_SIV_KEY_BYTES, salt=None, info=purpose).derive(vault_key)
        self._cipher = AESSIV(derived)

    def token(self, found: str, category: str) -> str:
        """Returns the token of a found text: `[EMAIL_ADDRESS:v1.…]`.

        Raises TooLarge for a text of more than MAX_CHARACTERS, InvalidArgument for an empty one.
        """
        if len(found) > MAX_CHARACTERS:
            raise TooLarge("PSEUDONYM_TOO_LARGE", f"more than {MAX_CHARACTERS} characters")
        if not found:
            raise InvalidArgument("PSEUDONYM_EMPTY", "there is nothing to replace")
        label = category.rpartition(".")[2].upper()
        sealed = self._cipher.encrypt(found.encode("utf-8", "surrogatepass"), [label.encode()])
        return f"[{label}:{VERSION}.{_written(sealed)}]"

    def reveal(self, token: str) -> str:
        """Returns the text that a token stands for.

        Raises InvalidArgument if it is no token, was changed, or is of another project or key.
        """
        match = TOKEN.fullmatch(token)
        if match is None:
            raise _invalid()
        try:
            sealed = base64.b32decode(match["sealed"] + "=" * (-len(match["sealed"]) % 8))
            found = self._cipher.decrypt(sealed, [match["label"].encode()])
        except (ValueError, InvalidTag):
            raise _invalid() from None
        if _written(sealed) != match["sealed"]:
            # The last letter has bits that say nothing.
            raise _invalid()
        return found.decode("utf-8", "surrogatepass")


def _written(sealed: bytes) -> str:
    return base64.b32encode(sealed).decode().rstrip("=")


def _invalid() -> InvalidArgument:
    return InvalidArgument("PSEUDONYM_INVALID", "this is no pseudonym that this vault can read")
