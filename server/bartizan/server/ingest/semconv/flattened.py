"""Puts flattened lists together again: `llm.input_messages.0.message.role` and the like."""

from collections.abc import Mapping
from typing import Any

from bartizan.server.ingest.semconv.table import FLAT
from bartizan.server.ingest.span import Json

_WRAPPERS = ("message", "prompt", "completion", "embedding", "document")
"""OpenInference names the class of an item once more inside the item."""


def group(flat: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Returns the attributes of each flattened list, by the list's key in the table."""
    groups: dict[str, dict[str, Json]] = {}
    for key, value in flat.items():
        name = next(name for name in FLAT if key.startswith(name))
        groups.setdefault(name, {})[key] = value
    return groups


def nest(name: str, attributes: Mapping[str, Json]) -> list[Json]:
    """Returns the items of one list, with their paths turned into dicts and lists."""
    tree: dict[str, Any] = {}
    for key, value in attributes.items():
        *path, leaf = key[len(name) :].split(".")
        node = tree
        for step in path:
            below = node.setdefault(step, {})
            # A path that goes on where another ended: the one that came first counts.
            node = below if isinstance(below, dict) else {}
        node.setdefault(leaf, value)
    return [_unwrapped(_rebuilt(tree[index])) for index in _in_order(tree)]


def _in_order(node: Mapping[str, Any]) -> list[str]:
    return sorted(node, key=lambda step: (len(step), step))


def _rebuilt(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(step.isdecimal() for step in node):
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
