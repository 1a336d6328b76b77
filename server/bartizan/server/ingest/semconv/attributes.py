"""Reads one attribute of OTLP and says where it goes."""

import struct
from functools import lru_cache
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from bartizan.server.ingest.semconv.convert import Converter
from bartizan.server.ingest.semconv.decode import pair
from bartizan.server.ingest.semconv.flattened import flat_path
from bartizan.server.ingest.semconv.table import (
    CONTENT,
    OF_RESOURCE,
    RESOURCE_RANK,
    ROWS,
    SOURCES,
)
from bartizan.server.ingest.span import Json

MAX_KNOWN_KEYS = 8_192
"""Instrumentations use few keys; what is known of them is kept for all requests."""
MAX_KNOWN_BYTES = 128
"""Attributes longer than this are hardly ever met again, so what they say is not kept."""
MAX_KNOWN = 16_384
"""At most some 6 MB."""
OTHER = -1
IN_CONTENT = -2
IN_FLAT = -3
"""Places that are not typed fields."""

Read = tuple[int, str, Any, Json, bool, int]
"""One attribute: place, key, value, original, whole, rank. Bare, because spans have many.

* place: a field of the table, or OTHER, IN_CONTENT or IN_FLAT.
* value: converted where the place is a field.
* whole: whether the field says all that the attribute does.
* rank: among the sources of its field; the lower wins.
"""
Route = tuple[str, int, int, Converter | None]
"""A key, its place, its rank there, and what converts its values."""

_TEXT_TAG = 10
MAX_HEADERS = 4096
_MAX_NUMBER_SIZE = 16
_MAX_INTEGER_SIZE = 12
"""Nine bytes of varint: 63 bits, and no sign."""
_DOUBLE = b"\x12\x09\x21"
_DOUBLE_SIZE = 11
_INFINITY = float("inf")
_double_at = struct.Struct("<d").unpack_from
_routes: dict[bytes, Route] = {}
"""By what a KeyValue starts with: the tag, the size and the bytes of its key."""
_known: dict[bytes, Read] = {}
known = _known.get
"""Returns what `read` said of an attribute of up to MAX_KNOWN_BYTES, or None."""


def _text_headers(sizes: int) -> list[bytes]:
    headers = [b""] * sizes
    for length in range(sizes):
        value = KeyValue(value=AnyValue(string_value="x" * length)).SerializeToString()
        if len(value) < sizes:
            headers[len(value)] = value[: len(value) - length]
    return headers


HEADERS = _text_headers(MAX_HEADERS)
"""What stands before a text, by the size of all after the key; empty where none comes to it."""


def read(raw: bytes) -> Read:
    """Returns what one encoded KeyValue says; raises Rejection, its field empty if unmapped.

    Texts and numbers whose bytes are as every encoder writes them need no decoder.
    """
    start = raw[1] + 2 if len(raw) > 1 else 0
    head = raw[:start]
    route = _routes.get(head) or _known_route(head)
    value: Json = None if route is None else _plain(raw, start)
    if route is None or value is None:
        key, value = pair(raw)
        route = _route(key)
    found = filed(route, value)
    if len(raw) <= MAX_KNOWN_BYTES:
        if len(_known) >= MAX_KNOWN:
            _known.clear()
        _known[raw] = found
    return found


def filed(route: Route, original: Json) -> Read:
    """Returns an attribute with its value converted to what its place takes; raises Rejection."""
    key, place, rank, convert = route
    if convert is None:
        return place, key, original, original, True, 0
    converted = convert(original, key)
    if converted is None:
        return OTHER, key, original, original, True, 0
    value, whole = converted
    return place, key, value, original, whole, rank


def route_to(key: str, place: int, rank: int) -> Route:
    """Returns the way of a key to a field of the table."""
    return key, place, rank, ROWS[place].convert


def _route(key: str) -> Route:
    source = SOURCES.get(key)
    if source is not None:
        return route_to(key, *source)
    if key in CONTENT:
        return key, IN_CONTENT, 0, None
    return key, OTHER if flat_path(key) is None else IN_FLAT, 0, None


def _known_route(head: bytes) -> Route | None:
    """Returns the way of a key; None leaves it to the decoder to say what is odd about it."""
    if len(head) < 2 or head[0] != _TEXT_TAG or head[1] != len(head) - 2:
        return None
    if not head.isascii() or b"\0" in head[2:]:
        return None
    if len(_routes) >= MAX_KNOWN_KEYS:
        _routes.clear()
    route = _routes[head] = _route(head[2:].decode())
    return route


def _plain(raw: bytes, start: int) -> str | int | float | None:
    """Returns a text or a number; None leaves it to the decoder."""
    size = len(raw) - start
    if 4 <= size < _MAX_NUMBER_SIZE and raw[start + 2] != _TEXT_TAG:
        return _number(raw, start, size)
    header = HEADERS[size] if size < MAX_HEADERS else b""
    if not header or not raw.startswith(header, start):
        return None
    try:
        text = raw[start + len(header) :].decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _number(raw: bytes, start: int, size: int) -> int | float | None:
    if size == _DOUBLE_SIZE and raw.startswith(_DOUBLE, start):
        number: float = _double_at(raw, start + 3)[0]
        return number if -_INFINITY < number < _INFINITY else None
    return _integer(raw[start:])


@lru_cache(maxsize=MAX_KNOWN)
def _integer(raw: bytes) -> int | None:
    """Returns the integer or truth that a KeyValue without its key holds, and nothing else."""
    if raw[0] != 18 or raw[1] != len(raw) - 2 or raw[-1] >= 128:
        return None
    if raw[2] == 16:
        return raw[3] != 0 if len(raw) == 4 else None
    if raw[2] != 24 or len(raw) > _MAX_INTEGER_SIZE:
        return None
    number = raw[-1]
    for byte in raw[-2:2:-1]:
        if byte < 128:
            return None
        number = number << 7 | byte & 127
    return number


def read_of_resource(raw: bytes) -> Read:
    """Returns what an attribute of a resource says: its own place comes after any of a span."""
    place, key, value, original, whole, rank = read(raw)
    key = f"resource.{key}"
    if place in OF_RESOURCE:
        return place, key, value, original, whole, rank + RESOURCE_RANK
    return OTHER, key, original, original, True, 0
