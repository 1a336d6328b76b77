"""Taking out of texts what must not leave the process."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from re import Pattern
from typing import Callable, Union

from bartizan.client._calls.errors import InvalidArgument

Expression = Union[str, Pattern[str]]
Patterns = Union[Expression, Iterable[Expression], Mapping[str, Expression]]
Redaction = Union[Callable[[str], str], Patterns]
"""A callback; or regular expressions; or names of what is found with the expressions for it."""

MASK = "[REDACTED]"
WITHHELD = "[WITHHELD: redaction failed]"


def make_redactor(redaction: Redaction | None) -> Callable[[str], str] | None:
    """Returns a function that redacts a text and never raises; None when there is nothing to do.

    What an expression matches becomes `[REDACTED]`, or `[NAME]` when it has a name. A text for
    which the callback fails, or returns no text, is withheld whole.

    Raises:
        InvalidArgument: a pattern is no regular expression.
    """
    if not redaction:
        return None
    return _guarded(redaction if callable(redaction) else _by_patterns(redaction))


def _by_patterns(given: Patterns) -> Callable[[str], str]:
    if isinstance(given, (str, re.Pattern)):
        given = (given,)
    named = given.items() if isinstance(given, Mapping) else ((MASK[1:-1], one) for one in given)
    # A name is no template: a backslash in it must not refer to a group.
    patterns = [
        (_compile(pattern), f"[{name.upper()}]".replace("\\", r"\\")) for name, pattern in named
    ]

    def redact(text: str) -> str:
        for pattern, mask in patterns:
            text = pattern.sub(mask, text)
        return text

    return redact


def _compile(pattern: Expression) -> Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, TypeError) as error:
        raise InvalidArgument(
            f"A pattern for redaction is no regular expression: {error}.", field="redact"
        ) from None


def _guarded(redact: Callable[[str], str]) -> Callable[[str], str]:
    def guarded(text: str) -> str:
        try:
            redacted = redact(text)
        except Exception:
            return WITHHELD
        return redacted if isinstance(redacted, str) else WITHHELD

    return guarded
