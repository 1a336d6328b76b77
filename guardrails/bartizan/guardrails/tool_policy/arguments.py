"""Reads the arguments of a call, and says where in the text each of them stands."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from bartizan.guardrails.engine.json_places import places

MAX_UNWRAPPED = 3
"""A string of JSON inside of JSON is read so many times over: that is how calls are carried."""

ITEM = "*"
"""Stands in a path for the items of an array."""

Path = tuple[str, ...]
Places = tuple[int, ...]


class Object(list[tuple[str, Any]]):
    """An object: its members in order, also those of the same name."""


class Argument(NamedTuple):
    """A value in the arguments.

    Attributes:
        path: the names of the members that lead to it.
        steps: their places, as far as they stand in the text itself.
        value: None, a bool, a number, a string, an Object or a list.
    """

    path: Path
    steps: Places
    value: Any


def read(text: str) -> Any:
    """Returns the value of a text of JSON. Raises ValueError if it is none or is too deep."""
    try:
        return json.loads(text, object_pairs_hook=Object)
    except RecursionError:
        raise ValueError("too deep") from None


def arguments(document: Any) -> Iterator[Argument]:
    """Yields every value, those inside of strings of JSON too."""
    left: list[tuple[Argument, int]] = [(Argument((), (), document), 0)]
    while left:
        argument, unwrapped = left.pop()
        yield argument
        path, steps, value = argument
        if isinstance(value, str) and unwrapped < MAX_UNWRAPPED:
            inner = _unwrapped(value)
            if inner is not None:
                left.append((Argument(path, steps, inner), unwrapped + 1))
        for place, (name, item) in enumerate(_members(value)):
            inside = steps if unwrapped else (*steps, place)
            left.append((Argument((*path, name), inside, item), unwrapped))


def repeated(value: Any) -> Iterator[int]:
    """Yields the places of an object's members whose name stood in it before."""
    if isinstance(value, Object):
        known: set[str] = set()
        for place, (name, _) in enumerate(value):
            if name in known:
                yield place
            known.add(name)


def located(text: str) -> dict[Places, tuple[int, int]]:
    """Returns where every value of a text of JSON stands; the quotes of a string stay outside."""
    return {
        steps: (start + 1, end - 1) if text[start] == '"' else (start, end)
        for steps, start, end in places(text)
    }


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Object):
        yield from value
    elif isinstance(value, list):
        for item in value:
            yield ITEM, item


def _unwrapped(value: str) -> Any:
    if not value.lstrip().startswith(("{", "[")):
        return None
    try:
        return read(value)
    except ValueError:
        return None
