"""Reads the documents of rules, and refuses what could not be kept."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError, TooLarge
from bartizan.plugins.rules import Rule

MAX_DOCUMENT_BYTES = 256 * 1024

Document = Mapping[str, Any]


def parse_rule(document: Document, where: str) -> Rule:
    """Returns the rule of a document; `where` names it. Raises ConfigError, TooLarge."""
    size = document_bytes(document, where)
    if size > MAX_DOCUMENT_BYTES:
        raise TooLarge(
            "RULE_TOO_LARGE",
            f"{where} has {size} bytes as JSON; the limit is {MAX_DOCUMENT_BYTES}",
            field=where,
            metadata={"limit": str(MAX_DOCUMENT_BYTES), "size": str(size)},
        )
    for problem in _unkept(document):
        raise ConfigError("INVALID_CONFIG", f"{where}: {problem}", field=where)
    try:
        return parse_config(Rule, document, where)
    except RecursionError:
        raise ConfigError("INVALID_CONFIG", f"{where}: nested too deeply", field=where) from None


def document_bytes(document: Document, where: str) -> int:
    """Returns how long a document is as JSON; raises ConfigError if it has no form there."""
    try:
        return len(orjson.dumps(document))
    except TypeError:
        # Its own message tells what was met: a value.
        problem = "nested too deeply, or holds a text or a number that JSON has no form for"
        raise ConfigError("INVALID_CONFIG", f"{where}: {problem}", field=where) from None


def _unkept(value: Any) -> Iterator[str]:
    """Yields why the database would refuse a value, or give another one back."""
    if isinstance(value, str):
        if "\0" in value:
            yield "a text in it holds the NUL character"
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield "a number in it is not finite"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unkept(key)
            yield from _unkept(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _unkept(item)
