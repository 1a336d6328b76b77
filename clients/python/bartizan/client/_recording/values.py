"""Copies of values: quick, bounded, and whatever the value is.

The copy is taken in the caller's path, because the value may change later. It holds only None,
booleans, numbers, strings, lists and dicts, so it can be turned into JSON in the background.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import math
import pathlib
import uuid
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

MAX_CHARS = 262_144
"""Of one input, output or attribute. The server keeps more, but a trace is no file store."""
MAX_NODES = 2_000
"""Of one structure; copying them takes less than a millisecond."""
MAX_DEPTH = 24
"""The server takes 32, and messages have levels of their own around the content."""
REPR_CHARS = 2_000
_PLAIN = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    pathlib.PurePath,
    uuid.UUID,
)


def snapshot(value: Any) -> Any:
    """Returns a bounded copy of any value; never raises."""
    kind = type(value)
    if kind is str:
        return cut(value, MAX_CHARS)
    if value is None or kind is bool:
        return value
    try:
        return _Copy().copy(value, 0)
    except Exception:
        # Somebody else's __iter__, __getattr__ or __hash__, or a dict that changes meanwhile.
        return f"<{kind.__name__} that cannot be read>"


def cut(text: str, limit: int) -> str:
    """Returns a text of at most about so many characters: head, a note, and tail."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters cut …]\n{text[-half:]}"


class _Copy:
    def __init__(self) -> None:
        self._nodes = MAX_NODES
        self._chars = MAX_CHARS
        self._path: set[int] = set()

    def copy(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value)
        if kind is int:
            return value if -(2**63) <= value < 2**63 else _big(value)
        if kind is float:
            return value if math.isfinite(value) else str(value)
        if depth >= MAX_DEPTH:
            return "<deeper>"
        if id(value) in self._path:
            return "<cycle>"
        self._path.add(id(value))
        try:
            return self._structure(value, depth + 1)
        finally:
            self._path.discard(id(value))

    def _structure(self, value: Any, depth: int) -> Any:
        if isinstance(value, enum.Enum):
            return self.copy(value.value, depth)
        if isinstance(value, Mapping):
            return self._mapping(value.items(), len(value), depth)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return f"<{len(value):,} bytes>"
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if hasattr(value, "_asdict"):
            return self.copy(value._asdict(), depth)
        if isinstance(value, (list, tuple, Set)) or (
            isinstance(value, Sequence) and not isinstance(value, range)
        ):
            return self._sequence(value, len(value), depth)
        if isinstance(value, (int, float)):
            return self.copy(int(value) if isinstance(value, int) else float(value), depth)
        if isinstance(value, _PLAIN):
            return self._text(str(value))
        fields = _fields(value)
        return self._text(_repr(value)) if fields is None else self.copy(fields, depth)

    def _mapping(self, items: Iterable[tuple[Any, Any]], count: int, depth: int) -> dict[str, Any]:
        copied = {}
        for key, value in itertools.islice(items, self._take(count)):
            name = key if type(key) is str else _repr(key)
            copied[self._text(name)] = self.copy(value, depth)
        if len(copied) < count:
            copied["…"] = f"<{count - len(copied):,} more>"
        return copied

    def _sequence(self, items: Iterable[Any], count: int, depth: int) -> list[Any]:
        copied = [self.copy(item, depth) for item in itertools.islice(items, self._take(count))]
        if len(copied) < count:
            copied.append(f"<{count - len(copied):,} more>")
        return copied

    def _take(self, count: int) -> int:
        taken = min(count, self._nodes)
        self._nodes -= taken
        return taken

    def _text(self, text: str) -> str:
        if len(text) > self._chars:
            text = (
                cut(text, self._chars)
                if self._chars > REPR_CHARS
                else f"<{len(text):,} characters>"
            )
        self._chars = max(0, self._chars - len(text))
        return text


def _fields(value: Any) -> Mapping[str, Any] | None:
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        return {one.name: getattr(value, one.name) for one in dataclasses.fields(kind)}
    if hasattr(kind, "model_fields") or hasattr(kind, "__attrs_attrs__"):
        # pydantic keeps its fields there; calling model_dump would run validators of the caller.
        return dict(vars(value))
    return None


def _repr(value: Any) -> str:
    try:
        return cut(repr(value), REPR_CHARS)
    except Exception:
        return f"<{type(value).__name__} without a repr>"


def _big(value: int) -> str:
    # Python refuses to print very long numbers, and takes its time over long ones.
    return str(value) if value.bit_length() < 1_024 else f"<integer of {value.bit_length():,} bits>"
