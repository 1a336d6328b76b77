"""Tells from the name of a value whether the value is secret: `db_password`, `nextPageToken`."""

import re
from functools import lru_cache

from bartizan.guardrails.secrets_words import NOT_AFTER, NOT_BEFORE, OF_A_KEY, words

PASSWORD, API_KEY, TOKEN, CREDENTIAL, AWS_SECRET_ACCESS_KEY = (
    "password",
    "api_key",
    "token",
    "credential",
    "aws_secret_access_key",
)
CATEGORIES = frozenset({PASSWORD, API_KEY, TOKEN, CREDENTIAL, AWS_SECRET_ACCESS_KEY})

NAMES_REMEMBERED = 4_096

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

_PASSWORDS = words("password passwd passwort passphrase passcode pwd pswd psw pass pw")
_TOKENS = words("token secret credential credentials creds apikey auth authorization")
_GLUED = re.compile(
    r"(?P<before>[a-z]*?)(?P<last>(?:admin|db|ftp|mysql|pg|root|smtp|ssh|user)pass"
    r"|password|passwd|passphrase|token|secret|apikey"
    r"|(?:access|account|api|auth|client|encryption|master|private|secret|service|shared|signing)key)"
)


_STRONG = words("api client access secret private password passwd pwd signing")


@lru_cache(NAMES_REMEMBERED)
def category_of(name: str) -> str | None:
    """Returns the category of what has a name; None if the name does not tell of a secret."""
    parts = [part.lower() for part in _WORD.findall(name)]
    for at in range(len(parts) - 1, -1, -1):
        glued, last = _split(parts[at])
        before = [*parts[:at], *glued]
        kind = _kind(last, before)
        if kind is not None:
            fits = NOT_AFTER.isdisjoint(parts[at + 1 :]) and not _denied(kind, before)
            return kind if fits else None
    return None


@lru_cache(NAMES_REMEMBERED)
def is_strong(name: str) -> bool:
    """Returns True for names of things that are secret even if they are only a UUID."""
    parts = {part.lower() for part in _WORD.findall(name)}
    return not parts.isdisjoint(_STRONG) or bool(parts & OF_A_KEY and parts & {"key", "token"})


def _split(word: str) -> tuple[list[str], str]:
    glued = _GLUED.fullmatch(word)
    if glued is None:
        return [], word
    before, last = glued["before"], glued["last"]
    if last.endswith("key"):
        return [before, last.removesuffix("key")], "key"
    return [before] if before else [], "pass" if last.endswith("pass") else last


def _kind(word: str, before: list[str]) -> str | None:
    if word in _PASSWORDS:
        return PASSWORD
    if word == "key":
        return _kind_of_key(before)
    if word == "secret" and "aws" in before:
        return AWS_SECRET_ACCESS_KEY
    if word in _TOKENS:
        return {"token": TOKEN, "auth": TOKEN, "authorization": TOKEN, "apikey": API_KEY}.get(
            word, CREDENTIAL
        )
    return None


def _kind_of_key(before: list[str]) -> str | None:
    if "secret" in before and "access" in before:
        return AWS_SECRET_ACCESS_KEY
    if not before or before[-1] not in OF_A_KEY:
        return None
    return API_KEY if before[-1] == "api" else CREDENTIAL


def _denied(kind: str, before: list[str]) -> bool:
    if kind == PASSWORD:
        return bool(before) and before[-1] in {
            "no",
            "by",
            "forgot",
            "reset",
            "without",
            "has",
            "is",
        }
    return not NOT_BEFORE.isdisjoint(before[-2:])
