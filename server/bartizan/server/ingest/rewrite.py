"""Puts another text in the place of one text of a span record."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bartizan.server.ingest.span import SpanRecord

Path = tuple[str | int, ...]
"""Where a text stands: field names, list positions and dictionary keys, from the record down."""

KEY: Final = "\0key"
"""The last part of a path that means a dictionary key itself; no key holds NUL."""


def describe(path: Path, renamed: Mapping[str, str]) -> str:
    """Returns a path for people: `input[0].content`, `attributes[crm.note]`.

    `renamed` are the keys that were redacted, to what: a path must not tell what its key held.
    """
    if path[0] == "dims":
        path = path[1:]
    described = str(path[0])
    in_json = described == "attributes"
    for part in path[1:]:
        if part == KEY:
            return described + ".key"
        shown = renamed.get(part, part) if isinstance(part, str) else part
        described += f"[{shown}]" if in_json or isinstance(part, int) else f".{shown}"
        in_json = in_json or part == "attributes"
    return described


def rewrite(record: SpanRecord, changes: Sequence[tuple[Path, str]]) -> SpanRecord:
    """Returns a copy of a record with the texts at some paths changed."""
    # Keys last and the deepest first, as a renamed key would lead no path any more.
    for path, text in sorted(changes, key=_order):
        record = _put(record, path, text)
    return record


def _order(change: tuple[Path, str]) -> tuple[bool, int]:
    path, _ = change
    return path[-1] == KEY, -len(path)


def _put(value: Any, path: Path, text: str) -> Any:
    if not path:
        return text
    head, rest = path[0], path[1:]
    if isinstance(value, tuple):
        field = str(head)
        return value._replace(**{field: _put(getattr(value, field), rest, text)})  # type: ignore[attr-defined]
    if isinstance(value, list):
        items = list(value)
        items[int(head)] = _put(items[int(head)], rest, text)
        return items
    if rest == (KEY,):
        return _rename(value, str(head), text)
    return {**value, head: _put(value[head], rest, text)}


def _rename(items: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    unique, number = new, 1
    while unique in items:
        number += 1
        unique = f"{new} ({number})"
    return {unique if key == old else key: item for key, item in items.items()}
