"""Documents of rules: as dictionaries, and as they travel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format, struct_pb2

from bartizan.client._calls.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXACT = 2**53
"""Whole numbers beyond it lose digits on the way: numbers of documents travel as doubles."""
DEEPEST = 50


def as_struct(document: Mapping[str, Any]) -> struct_pb2.Struct:
    """Returns a document as it travels; raises InvalidArgument for what JSON cannot say."""
    wrong = next(_wrong(document, "", 0), None)
    if wrong is not None:
        sentence = f"The rule {document.get('id')!r} cannot be sent: {wrong}"
        raise InvalidArgument(sentence, reason="BAD_DOCUMENT", field="document")
    return json_format.ParseDict(_plain(document), struct_pb2.Struct())


def as_document(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Returns a document, with integers where it has whole numbers."""
    document: dict[str, Any] = _integers(json_format.MessageToDict(struct))
    return document


def _wrong(value: Any, path: str, depth: int) -> Iterator[str]:
    """Yields what JSON cannot say."""
    if depth > DEEPEST:
        yield f"'{path[:80]}…' is nested deeper than {DEEPEST} levels."
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _wrong(item, f"{path}.{key}" if path else key, depth + 1)
            else:
                yield f"The key {key!r} in '{path}' is no text; put it in quotes."
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _wrong(item, f"{path}[{number}]", depth + 1)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value) or (isinstance(value, int) and abs(value) > EXACT):
            yield f"'{path}' is a number that cannot be sent exactly; put it in quotes."
    elif value is not None and not isinstance(value, (str, bool)):
        yield f"'{path}' is a {type(value).__name__}; put it in quotes to make it a text."


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_integers(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= EXACT
    return int(value) if whole else value
