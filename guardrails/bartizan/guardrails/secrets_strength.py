"""How sure one can be that a value is secret, from what it is given to and how it is made."""

import re

from bartizan.guardrails.secrets_names import PASSWORD, is_strong
from bartizan.guardrails.secrets_values import (
    decoded_pair,
    is_address,
    is_code,
    is_counted_out,
    is_digest,
    is_named_for_what_it_is,
    is_placeholder,
    is_random,
    is_run,
    is_uuid,
    is_wordy,
)

RANDOM_UNDER_A_NAME = 0.7
"""Made by a generator, and named as a secret."""

PASSWORD_UNDER_A_NAME = 0.6
"""What people choose: letters with digits or signs among them, and named as a password."""

UUID_UNDER_A_NAME = 0.6

LEAST_PASSWORD_CHARACTERS = 6
LEAST_SECRET_CHARACTERS = 10

_NAMED_IN_PARTS = re.compile(r"[A-Za-z]+(?:[_./-][A-Za-z]+)*[_./-][A-Za-z0-9]*")
_SIGNS = re.compile(r"[^0-9A-Za-z_\-./\s]")


def strength(category: str, name: str, value: str, quoted: bool) -> float:
    """Returns how sure one can be of a value under a name, 0 to 1."""
    if is_placeholder(value) or is_named_for_what_it_is(value) or is_digest(value):
        return 0.0
    if category == PASSWORD:
        return password_strength(value, quoted)
    return _secret_strength(name, value)


def password_strength(value: str, quoted: bool) -> float:
    """Returns how sure one can be that what is called a password is one."""
    if len(value) < LEAST_PASSWORD_CHARACTERS or is_placeholder(value):
        return 0.0
    if is_address(value) or (is_code(value) and not quoted):
        return 0.0
    if is_random(value) and len(value) >= LEAST_SECRET_CHARACTERS:
        return RANDOM_UNDER_A_NAME
    letters = any(map(str.isalpha, value))
    digits = any(map(str.isdigit, value))
    signs = _SIGNS.search(value) is not None
    if not letters or not (digits or signs) or value.endswith(("()", "?")):
        return 0.0
    if not quoted and not signs and _NAMED_IN_PARTS.fullmatch(value) and is_wordy(value):
        return 0.0
    return PASSWORD_UNDER_A_NAME if digits or quoted else 0.0


def _secret_strength(name: str, value: str) -> float:
    if len(value) < LEAST_SECRET_CHARACTERS or is_run(value) or is_counted_out(value):
        return 0.0
    if is_uuid(value):
        return UUID_UNDER_A_NAME if is_strong(name) else 0.0
    if (pair := decoded_pair(value)) is not None and all(pair):
        return RANDOM_UNDER_A_NAME
    if is_code(value) or not is_random(value):
        return 0.0
    return RANDOM_UNDER_A_NAME
