"""Checksums and structures that formats of secrets have."""

import base64
import binascii
import json
import re
import zlib

from bartizan.guardrails.secrets_values import is_random

CHECKSUM = 1.0
"""A chance match: one in billions."""

STRUCTURE = 0.95
"""All that can be checked of the form is right."""

PREFIX = 0.75
"""The prefix and the length are right, but a checksum is not: made up, cut, or a newer form."""

NO = 0.0

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECKSUM_DIGITS = 6
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BASE32_OF_AWS = re.compile(r"[A-Z2-7]+")


def base62_crc32(token: str) -> float:
    """Checks what GitHub and npm append: the CRC-32 of the random part, in base 62."""
    secret = token.rpartition("_")[2]
    number = zlib.crc32(secret[:-_CHECKSUM_DIGITS].encode())
    digits = ""
    for _ in range(_CHECKSUM_DIGITS):
        number, digit = divmod(number, len(_BASE62))
        digits = _BASE62[digit] + digits
    return CHECKSUM if secret.endswith(digits) else PREFIX


def hexadecimal_crc32(token: str) -> float:
    """Checks what Grafana appends: the CRC-32 of all before it, the last byte first."""
    secret, _, digits = token.rpartition("_")
    right = zlib.crc32(secret.encode()).to_bytes(4, "little").hex()
    return CHECKSUM if digits.lower() == right else PREFIX


def bech32(key: str) -> float:
    """Checks the six characters at the end of a key of age (BIP 173)."""
    prefix, _, data = key.lower().rpartition("1")
    values = [ord(char) >> 5 for char in prefix] + [0] + [ord(char) & 31 for char in prefix]
    remainder = 1
    for value in values + [_BECH32.find(char) for char in data]:
        top = remainder >> 25
        remainder = (remainder & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_BECH32_GENERATOR):
            remainder ^= generator if top >> bit & 1 else 0
    return CHECKSUM if remainder == 1 else PREFIX


def aws_key_id(key: str) -> float:
    """Checks the alphabet of the ids that AWS gives out now."""
    return STRUCTURE if _BASE32_OF_AWS.fullmatch(key[4:]) else _random(key[4:])


def random(token: str) -> float:
    """Checks that the token, or what follows its prefix, was made by a generator."""
    parts = (token, token.rpartition("_")[2], token.rpartition("-")[2])
    return STRUCTURE if any(map(is_random, parts)) else NO


def infixed(token: str) -> float:
    """Checks the mark in the middle of OpenAI's keys; without it the rest has to be random."""
    return STRUCTURE if "T3BlbkFJ" in token else _random(token)


def two_parts(token: str) -> float:
    """Checks the two parts of GitHub's fine-grained tokens: 22 and 59 letters and digits."""
    first, _, second = token.removeprefix("github_pat_").partition("_")
    fits = len(first) == 22 and len(second) == 59 and "_" not in second
    return STRUCTURE if fits else _random(token)


def with_digits(token: str) -> float:
    """Checks that there is a digit."""
    return STRUCTURE if any(map(str.isdigit, token)) else NO


def jwt(token: str) -> float:
    """Checks that the first part is JSON that names an algorithm."""
    header = _json_of(token.partition(".")[0])
    return STRUCTURE if isinstance(header, dict) and ("alg" in header or "enc" in header) else NO


def json_in_base64(token: str) -> float:
    """Checks that the part before a last underscore is a JSON object, without its prefix."""
    part = token[token.find("eyJ") :].partition("_")[0]
    return STRUCTURE if isinstance(_json_of(part), dict) else PREFIX


def discord(token: str) -> float:
    """Checks that the first part is the number of an account."""
    return STRUCTURE if (_decoded(token.partition(".")[0]) or b"").isdigit() else NO


def sixty_four_bytes(key: str) -> float:
    """Checks that a value of base64 holds 64 bytes."""
    return STRUCTURE if len(_decoded(key) or b"") == 64 else NO


def private_key_in_base64(block: str) -> float:
    """Checks that a PEM block in base64 is of a private key."""
    head = _decoded(block[:64]) or b""
    return STRUCTURE if b"PRIVATE KEY-----" in head else NO


def _random(value: str) -> float:
    return PREFIX if is_random(value) else NO


def _decoded(value: str) -> bytes | None:
    padded = value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4)
    try:
        return base64.b64decode(padded.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return None


def _json_of(value: str) -> object:
    try:
        return json.loads(_decoded(value) or b"")
    except (ValueError, RecursionError):
        return None
