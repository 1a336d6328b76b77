"""Reads one attribute of OTLP and says where it goes."""

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from bartizan.server.ingest.checks import (
    MAX_JSON_DEPTH,
    Reason,
    Rejection,
    check_count,
    check_json,
)
from bartizan.server.ingest.semconv.flattened import flat_path
from bartizan.server.ingest.semconv.table import (
    CONTENT,
    OF_RESOURCE,
    RESOURCE_RANK,
    ROWS,
    SOURCES,
)
from bartizan.server.ingest.span import Json

MAX_KEY_CHARS = 256
MAX_KNOWN_KEYS = 8_192
"""Instrumentations use few keys; what is known of them is kept for all requests."""
OTHER = -1
IN_CONTENT = -2
IN_FLAT = -3
"""Places that are not typed fields."""

_TOO_DEEP = f"is nested deeper than {MAX_JSON_DEPTH} levels"
_from_string = KeyValue.FromString
_new = tuple.__new__


_MAX_HEADERS = 4096


def _text_headers(sizes: int) -> list[bytes]:
    """Returns what stands before the text in a KeyValue, by the size of all after the key."""
    headers = [b"\xff"] * sizes
    for length in range(sizes):
        value = KeyValue(value=AnyValue(string_value="x" * length)).SerializeToString()
        if len(value) < sizes:
            headers[len(value)] = value[: len(value) - length]
    return headers


_HEADERS = _text_headers(_MAX_HEADERS)
_NUMBER_HEADERS = [bytes((18, max(0, size - 2), 24)) for size in range(9)]
"""The same before a number of up to five bytes, which is not negative."""


class Read(NamedTuple):
    """One attribute. `place` is a field of the table, or OTHER, IN_CONTENT or IN_FLAT."""

    place: int
    key: str
    value: Any
    """Converted where the place is a field."""
    original: Json
    whole: bool
    """Whether the field says all that the attribute does."""
    rank: int
    """Among the sources of its field; the lower wins."""


def read(raw: bytes) -> Read:
    """Returns what one encoded KeyValue says; raises Rejection, its field empty if unmapped.

    Texts and small numbers whose bytes are as every encoder writes them need no decoder.
    """
    if len(raw) > 3 and raw[0] == 10 and raw[1] < 128:
        end = raw[1] + 2
        size = len(raw) - end
        known = _known_key(raw[2:end])
        if known is not None and size < _MAX_HEADERS:
            key, place, rank = known
            header = _HEADERS[size]
            if raw.startswith(header, end):
                text = raw[end + len(header) :]
                if text.isascii() and b"\0" not in text:
                    return filed(key, place, rank, text.decode())
            elif 4 < size < 9 and raw.startswith(_NUMBER_HEADERS[size], end) and raw[-1] < 128:
                return filed(key, place, rank, _number(raw[end + 3 :]))
    key, value = pair(raw)
    place, rank = _placed(key)
    return filed(key, place, rank, value)


@lru_cache(maxsize=MAX_KNOWN_KEYS)
def _known_key(raw: bytes) -> tuple[str, int, int] | None:
    """Returns a key with its place and rank; None leaves it to the decoder to say what is odd."""
    if not raw.isascii() or b"\0" in raw:
        return None
    key = raw.decode()
    return key, *_placed(key)


def _placed(key: str) -> tuple[int, int]:
    source = SOURCES.get(key)
    if source is not None:
        return source
    if key in CONTENT:
        return IN_CONTENT, 0
    return (IN_FLAT if flat_path(key) is not None else OTHER), 0


def _number(varint: bytes) -> int:
    number = 0
    for byte in reversed(varint):
        number = number << 7 | byte & 127
    return number


def filed(key: str, place: int, rank: int, original: Json) -> Read:
    """Returns an attribute with its value converted to what its place takes; raises Rejection."""
    if place < 0:
        return _new(Read, (place, key, original, original, True, 0))
    converted = ROWS[place].convert(original, key)
    if converted is None:
        return _new(Read, (OTHER, key, original, original, True, 0))
    value, whole = converted
    return _new(Read, (place, key, value, original, whole, rank))


def read_of_resource(raw: bytes) -> Read:
    """Returns what an attribute of a resource says: its own place comes after any of a span."""
    found = read(raw)
    key = f"resource.{found.key}"
    if found.place in OF_RESOURCE:
        return found._replace(key=key, rank=found.rank + RESOURCE_RANK)
    return Read(OTHER, key, found.original, found.original, True, 0)


def pair(raw: bytes) -> tuple[str, Json]:
    """Returns the key and the value of one encoded KeyValue; raises Rejection."""
    try:
        attribute = _from_string(raw)
    except DecodeError as error:
        raise _undecodable(error) from None
    key: str = attribute.key
    value = attribute.value
    # Most values are non-empty texts: asking for the text first saves asking what it is.
    text: str = value.string_value
    if "\0" in text or "\0" in key:
        raise Rejection(Reason.REJECT_REASON_BAD_TEXT, "", "holds the NUL character")
    if len(key) > MAX_KEY_CHARS:
        raise Rejection(
            Reason.REJECT_REASON_TOO_LARGE,
            "",
            f"has a key of {len(key)} characters, limit {MAX_KEY_CHARS}",
        )
    return key, text or _value(value, key if key in SOURCES else "")


def pairs(raws: Sequence[bytes], field: str, limit: int) -> dict[str, Json]:
    """Returns the keys and values of a list that is not mapped; raises Rejection."""
    check_count(len(raws), limit, field)
    result: dict[str, Json] = {}
    for index, raw in enumerate(raws):
        try:
            key, value = pair(raw)
        except Rejection as error:
            raise located(error, f"{field}[{index}]") from None
        result[key] = value
    return result


def decoded(raw: bytes, field: str) -> str:
    """Returns a text; raises Rejection when it is not UTF-8 or holds NUL."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise Rejection(Reason.REJECT_REASON_BAD_TEXT, field, "is not valid UTF-8") from None
    if "\0" in text:
        raise Rejection(Reason.REJECT_REASON_BAD_TEXT, field, "holds the NUL character")
    return text


def located(error: Rejection, path: str) -> Rejection:
    """Returns the same refusal with its field named, if it does not name it yet."""
    return error if error.field else Rejection(error.reason, path, error.detail)


def _undecodable(error: DecodeError) -> Rejection:
    if "UTF-8" in str(error):
        return Rejection(Reason.REJECT_REASON_BAD_TEXT, "", "is not valid UTF-8")
    if "Depth" in str(error):
        return Rejection(Reason.REJECT_REASON_TOO_LARGE, "", _TOO_DEEP)
    return Rejection(Reason.REJECT_REASON_MALFORMED, "", "is not an OTLP attribute")


def _value(value: Any, field: str) -> Json:
    which = value.WhichOneof("value")
    if which == "int_value" or which == "bool_value" or which == "string_value":
        return getattr(value, which)  # type: ignore[no-any-return]
    return check_json(_nested(value, 1), field)


def _nested(value: Any, depth: int) -> Json:
    if depth > MAX_JSON_DEPTH:
        raise Rejection(Reason.REJECT_REASON_TOO_LARGE, "", _TOO_DEEP)
    which = value.WhichOneof("value")
    if which is None:
        return None
    plain = getattr(value, which)
    if which == "array_value":
        return [_nested(item, depth + 1) for item in plain.values]
    if which == "kvlist_value":
        return {item.key: _nested(item.value, depth + 1) for item in plain.values}
    if which == "bytes_value":
        return base64.b64encode(plain).decode()
    return plain  # type: ignore[no-any-return]
