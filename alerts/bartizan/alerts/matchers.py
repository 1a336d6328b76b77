"""Matchers: which labels are meant. Written as `name=value`, `!=`, `=~` or `!~`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import re2
from pydantic import BeforeValidator, Field, PlainSerializer

from bartizan.alerts.values import Labels

_WRITTEN = re.compile(r"\s*([a-zA-Z_][a-zA-Z0-9_]{0,62})\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_BARE = re.compile(r"""[^"\x00-\x1f]*""")
MAX_CHARACTERS = 500
MAX_EXPRESSION_MEMORY = 1 << 20
"""Bytes of a compiled expression: enough for a list of a thousand names."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A label that is not there is empty.

    Attributes:
        is_regex: `value` is an expression of RE2 that has to match the whole label.
        is_equal: the label has to match; else it must not.
    """

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def matches(self, labels: Labels) -> bool:
        """Tells whether the labels satisfy it."""
        label = labels.get(self.name, "")
        if self.is_regex:
            found = _compiled(self.value).fullmatch(label) is not None
        else:
            found = label == self.value
        return found is self.is_equal

    def __str__(self) -> str:
        operator = _OPERATORS[self.is_equal, self.is_regex]
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{operator}"{value}"'


def parse_matcher(text: str) -> Matcher:
    """Returns the matcher that a text says. Raises ValueError with a sentence if it says none."""
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"a matcher has {MAX_CHARACTERS} characters at most")
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError(
            'must be a matcher such as severity=critical, agent!="x", model=~"gpt.*" or tag!~a|b'
        )
    name, operator, value = written.groups()
    matcher = Matcher(name, _value(value), operator.endswith("~"), operator.startswith("="))
    if matcher.is_regex:
        _compiled(matcher.value)
    return matcher


def all_match(matchers: Iterable[Matcher], labels: Labels) -> bool:
    """Tells whether the labels satisfy each of the matchers."""
    return all(matcher.matches(labels) for matcher in matchers)


def matches_everything(matchers: Iterable[Matcher]) -> bool:
    """Tells whether the matchers are satisfied by an alert that has none of their labels."""
    return all_match(matchers, {})


def _value(text: str) -> str:
    if quoted := _QUOTED.fullmatch(text):
        return re.sub(r"\\(.)", _unescaped, quoted[1], flags=re.DOTALL)
    if not _BARE.fullmatch(text):
        raise ValueError("a value with quotes in it has to be quoted and escaped as a whole")
    return text


def _unescaped(found: re.Match[str]) -> str:
    # What is no escape stays: an expression may hold \d.
    return {"n": "\n", '"': '"', "\\": "\\"}.get(found[1], found[0])


@lru_cache(maxsize=4_096)
def _compiled(expression: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_EXPRESSION_MEMORY
    try:
        return re2.compile(expression, options)
    except re2.error as error:
        told = error.args[0] if error.args else "cannot be read"
        told = told.decode(errors="replace") if isinstance(told, bytes) else str(told)
        raise ValueError(f"is not an expression of RE2: {told}") from None


def _parsed(value: object) -> object:
    if isinstance(value, Matcher):
        return value
    return parse_matcher(value if isinstance(value, str) else "")


WrittenMatcher = Annotated[
    Matcher, BeforeValidator(_parsed), PlainSerializer(str, return_type=str, when_used="json")
]
Matchers = Annotated[tuple[WrittenMatcher, ...], Field(max_length=32)]
