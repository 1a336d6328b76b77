"""Tells values that may be secret from words, placeholders and code."""

import base64
import binascii
import re
from collections import Counter
from itertools import pairwise
from math import log2

from bartizan.guardrails.secrets_words import FOLLOWERS, NEVER, SHORT

MAX_JUDGED_CHARACTERS = 256
"""More than this of a long value says nothing new."""


_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SHORTEST_WORD = 4
_LEAST_SHARE_OF_PAIRS = 0.64

_HEXADECIMAL = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_DIGEST = re.compile(r"(?:sha-?\d{1,3}|md5|blake2\w?|crc32)[-:=$_]", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")


_FILLED_IN_LATER = re.compile(
    r"your|example|placeholder|xxxx|\*\*\*|\.\.\.|\u2026|redacted|change.?me|replace|insert|dummy"
    r"|masked|withheld|goes.?here|put.?here|todo|not.?set|-here\b|_here\b|fake|notreal|not.?a.?real"
    r"|[<\[({]\s*(?:token|secret|key|password)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(
    r"\$\{|\$\(|\{\{|<%|#\{|\$[A-Za-z_]\w*\W?\Z|%[A-Za-z_]\w*%|%\(\w+\)|%[sdv]\Z|\{[\w.\[\]]*\}"
    r"|<[^<>]*>?\Z|\[[A-Za-z_ ]*(?::[0-9a-f]+)?\]?\Z|:[a-z_]+\Z|@[A-Za-z_.]+\Z|__\w+__\Z|@\{"
    r"|&[A-Za-z_]+\Z|([A-Za-z*.#-])\1+\Z"
)
_NAMED_FOR_WHAT_IT_IS = re.compile(
    r"(?:(?:my|db|user|test|some|the|a|an|super|top|very|new|old|admin|strong|weak|secure|database"
    r"|mysql|postgres|redis|root|sample|api|access|auth|client|secret|app|service|random|long)[-_]?)*"
    r"(?:password|passwd|pass|pwd|pw|secret|token|key)s?",
    re.IGNORECASE,
)
_COUNTED_OUT = re.compile(r"12345|abcde|qwert|98765", re.IGNORECASE)
_READ_FROM_ELSEWHERE = re.compile(
    r"(?:os|process|sys|env|ENV|System|config|cfg|conf|settings|self|this|secrets?|vault|var|vars"
    r"|local|data|module|params?|args?|opts?|options|kwargs|request|req|res|ctx|context|event|input"
    r"|props|state|user|session|inputs|github|Deno|import|app|steps|values?|Values)(?:\.|->|\[|\()"
    r"|getenv|env\(|[A-Za-z_][\w.]*\(|[A-Za-z_][\w.]*\[['\"\w]|\.{1,2}/|~/|[A-Za-z]:\\"
    r"|/?(?:run|etc|var|opt|usr|tmp|home|mnt)/|\w+://|arn:|data:|op://|file:|ref:|ssm:"
    r"|A[KS]IA[0-9A-Z]{16}/|[a-z]+(?:[_.-][a-z]+)*[_.-]v?\d+(?:\.\d+)+"
)
_ADDRESS = re.compile(r"[\w.+-]+@[A-Za-z0-9-]+\.[a-z]{2,}(?:\.[a-z]{2,})?", re.ASCII)
_NAMES_IN_A_ROW = re.compile(r"/?[A-Za-z_$][\w$-]*(?:(?:\.|::|->|/)[A-Za-z_$][\w$-]*)+/?")
_NUMBER_OR_DATE = re.compile(r"[\d.,:/TZ+_-]+|0x[0-9a-fA-F]{1,16}|\d[\d.]*[a-zA-Z]{1,3}")


def entropy(value: str) -> float:
    """Returns Shannon's entropy of a value, in bits per character."""
    length = len(value)
    return -sum(count / length * log2(count / length) for count in Counter(value).values())


def is_wordy(value: str) -> bool:
    """Returns True if at least half of the letters and digits are in what reads like words."""
    pieces = _PIECE.findall(value)
    in_words = sum(len(piece) for piece in pieces if _reads_like_a_word(piece.lower()))
    return in_words > 0 and 2 * in_words >= sum(map(str.isalnum, value))


def is_run(value: str) -> bool:
    """Returns True for `12345…`, `abcdef…` and what `is_monotonous`."""
    steps = sum(-1 <= ord(one) - ord(other) <= 1 for one, other in pairwise(value))
    return 2 * steps > len(value) or is_monotonous(value)


def is_monotonous(value: str) -> bool:
    """Returns True for `aaaa…`: values of few different characters."""
    return len(set(value)) < min(6, len(value) / 2)


def is_placeholder(value: str) -> bool:
    """Returns True for what stands where a secret will be, or says where it comes from."""
    return (
        value.strip(".,;:!?*-_ ").lower() in NEVER
        or _TEMPLATE.match(value) is not None
        or _FILLED_IN_LATER.search(value) is not None
    )


def is_named_for_what_it_is(value: str) -> bool:
    """Returns True for `my_secret_token`."""
    return _NAMED_FOR_WHAT_IT_IS.fullmatch(value) is not None


def is_counted_out(value: str) -> bool:
    """Returns True for what fingers find on a keyboard: `abc-12345`."""
    return _COUNTED_OUT.search(value) is not None


def is_address(value: str) -> bool:
    """Returns True for what is a URL, or an address of mail."""
    return "://" in value or _ADDRESS.fullmatch(value) is not None


def is_code(value: str) -> bool:
    """Returns True for expressions, paths, addresses and names: what a program would read."""
    if _READ_FROM_ELSEWHERE.match(value) or _NUMBER_OR_DATE.fullmatch(value):
        return True
    return _NAMES_IN_A_ROW.fullmatch(value) is not None and is_wordy(value)


def is_digest(value: str) -> bool:
    """Returns True for hashes that say so: `sha256:…`."""
    return _DIGEST.match(value) is not None


def is_uuid(value: str) -> bool:
    """Returns True for a UUID."""
    return _UUID.fullmatch(value) is not None


def is_random(value: str) -> bool:
    """Returns True for letters and digits as a generator makes them.

    The least entropy grows with the length, to four fifths of what is possible; it is less where
    the alphabet is smaller, and least for hexadecimal digits.
    """
    value = value[:MAX_JUDGED_CHARACTERS]
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if letters < 2 or (digits == 0 and not _is_long_and_mixed(value)):
        return False
    if is_run(value):
        return False
    if _HEXADECIMAL.fullmatch(value):
        return len(value) >= 16 and entropy(value) >= 2.8
    share = 0.8 if _is_mixed(value) else 0.75
    return not is_wordy(value) and entropy(value) >= share * log2(min(len(value), 40))


def decoded_pair(value: str) -> tuple[str, str] | None:
    """Returns the name and the password that a value of base64 holds; None if it holds none."""
    if not _BASE64.fullmatch(value):
        return None
    try:
        decoded = base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = decoded.partition(":")
    return (name, password) if colon and decoded.isprintable() else None


def _is_long_and_mixed(value: str) -> bool:
    return len(value) >= 16 and _is_mixed(value)


def _is_mixed(value: str) -> bool:
    return not value.islower() and not value.isupper()


def _reads_like_a_word(piece: str) -> bool:
    if len(piece) < _SHORTEST_WORD:
        return piece in SHORT
    known = sum(other in FOLLOWERS.get(one, ()) for one, other in pairwise(piece))
    return known >= _LEAST_SHARE_OF_PAIRS * (len(piece) - 1)
