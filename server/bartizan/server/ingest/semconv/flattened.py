"""Puts flattened lists together again: `llm.input_messages.0.message.role` and the like."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from bartizan.server.ingest.semconv.table import FLAT
from bartizan.server.ingest.span import Json

MAX_KNOWN_PATHS = 8_192

_PREFIXES = tuple(FLAT)
_WRAPPERS = ("message", "prompt", "completion", "embedding", "document")
"""OpenInference names the class of an item once more inside the item."""


@lru_cache(maxsize=MAX_KNOWN_PATHS)
def flat_path(key: str) -> tuple[str, tuple[str, ...]] | None:
    """Returns the list that a key belongs to and the path in it; None for any other key."""
    if not key.startswith(_PREFIXES):
        return None
    name = next(name for name in FLAT if key.startswith(name))
    path = tuple(key[len(name) :].split("."))
    is_read = len(path) > 1 and path[0].isdecimal() and path[-1] in FLAT[name]
    return (name, path) if is_read else None


def group(flat: Iterable[str]) -> dict[str, list[str]]:
    """Returns the keys of each flattened list, by the list's name in the table."""
    groups: dict[str, list[str]] = {}
    for key in flat:
        found = flat_path(key)
        if found is not None:
            groups.setdefault(found[0], []).append(key)
    return groups


def take(keys: Iterable[str], flat: dict[str, Json]) -> list[Json]:
    """Takes one list out of `flat`; returns its items, paths turned into dicts and lists.

    Of two paths of which one goes on where the other ends, the second stays in `flat`.
    """
    tree = _Branch()
    for key in keys:
        found = flat_path(key)
        if found is not None and _plant(tree, found[1], flat[key]):
            del flat[key]
    return [_unwrapped(_rebuilt(tree[index])) for index in _in_order(tree)]


class _Branch(dict[str, Any]):
    """Told apart from the dicts that are values."""


def _plant(node: _Branch, path: tuple[str, ...], value: Json) -> bool:
    for step in path[:-1]:
        below = node.get(step)
        if below is None:
            below = node[step] = _Branch()
        elif type(below) is not _Branch:
            return False
        node = below
    leaf = path[-1]
    if leaf in node:
        return False
    node[leaf] = value
    return True


def _in_order(node: _Branch) -> list[str]:
    return sorted(node, key=lambda step: (len(step), step)) if len(node) > 1 else list(node)


def _rebuilt(node: Any) -> Any:
    if type(node) is not _Branch:
        return node
    if next(iter(node)).isdecimal():
        return [_rebuilt(node[step]) for step in _in_order(node)]
    return {step: _rebuilt(below) for step, below in node.items()}


def _unwrapped(item: Any) -> Json:
    if isinstance(item, dict):
        for wrapper in _WRAPPERS:
            if isinstance(item.get(wrapper), dict):
                item = item[wrapper]
                break
        if "text" in item and "role" not in item:
            item = {"type": "text", **item}
    return item  # type: ignore[no-any-return]
