"""What an answer says that can be looked up."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from bartizan.guardrails.grounded.config import Kind
from bartizan.guardrails.grounded.dates import DATE, TIME
from bartizan.guardrails.grounded.names import names
from bartizan.guardrails.grounded.numbers import NUMBER

URL = re.compile(r"(?:https?://|www\.)[^\s<>\"'`)\]}|\\]+", re.IGNORECASE)
IDENTIFIER = re.compile(
    r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
    r"|(?<![\w.])\d+(?:\.\d+){2,}"
    r"|(?<![^\W_])[^\W_]\w*(?:-\w+)*"
)
LEAST_IDENTIFIER, MOST_IDENTIFIER = 5, 200
_UNIT = re.compile(r"\d+(?:[.,]\d+)?(?:-?[^\W\d_]{1,4}|(?:-[^\W\d_]+)+)")
"""A number that its unit follows closely: 5kg, 12GB, 3rd, 30-day."""

_LIST_MARK = re.compile(r"^[ \t]*\d+[.)][ \t]", re.MULTILINE)
_CURRENCIES = "$\u20ac\u00a3\u00a5\u20b9"


class Claim(NamedTuple):
    """Something that can be looked up.

    Attributes:
        match: tells more of a number or a date; None for a name.
    """

    kind: Kind
    start: int
    end: int
    match: re.Match[str] | None


def claims(text: str, ignore_up_to: int) -> Iterator[Claim]:
    """Yields what a text claims; no two overlap. Whole numbers up to a bound are no claims."""
    taken = bytearray(len(text))
    for mark in _LIST_MARK.finditer(text):
        taken[mark.start() : mark.end()] = b"\1" * len(mark[0])
    for kind, pattern in (
        (Kind.URL, URL),
        (Kind.DATE, DATE),
        (Kind.DATE, TIME),
        (Kind.IDENTIFIER, IDENTIFIER),
        (Kind.NUMBER, NUMBER),
    ):
        for match in pattern.finditer(text):
            start, end = match.span()
            if kind is Kind.URL:
                end = start + len(match[0].rstrip(".,;:!?*_'\""))
            if end == start or any(taken[start:end]) or not _says(kind, match, ignore_up_to):
                continue
            taken[start:end] = b"\1" * (end - start)
            yield Claim(kind, start, end, match)
    for start, end in names(text):
        if not any(taken[start:end]):
            yield Claim(Kind.NAME, start, end, None)


def _says(kind: Kind, match: re.Match[str], ignore_up_to: int) -> bool:
    if kind is Kind.IDENTIFIER:
        return _is_identifier(match[0])
    return kind is not Kind.NUMBER or _is_quantity(match, ignore_up_to)


def _is_identifier(token: str) -> bool:
    if "@" in token or "." in token:
        return True
    return (
        LEAST_IDENTIFIER <= len(token) <= MOST_IDENTIFIER
        and any(map(str.isdecimal, token))
        and any(map(str.isalpha, token))
        and _UNIT.fullmatch(token) is None
    )


def _is_quantity(match: re.Match[str], ignore_up_to: int) -> bool:
    before = match.string[match.start() - 1 : match.start()]
    if before.isalnum() or before == "_":
        return False
    is_plain = not (match["rest"] or match["percent"] or match["scale"] or match["between"])
    if before in _CURRENCIES and before:
        is_plain = False
    return not (is_plain and len(match["whole"]) <= 7 and int(match["whole"]) <= ignore_up_to)
