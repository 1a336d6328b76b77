"""Decodes the keys and values of OTLP, and says what is wrong with those that are not storable."""

import base64
from collections.abc import Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from bartizan.server.ingest.checks import (
    MAX_JSON_DEPTH,
    Reason,
    Rejection,
    check_count,
    check_json,
)
from bartizan.server.ingest.semconv.table import SOURCES
from bartizan.server.ingest.span import Json

MAX_KEY_CHARS = 256

_TOO_DEEP = f"is nested deeper than {MAX_JSON_DEPTH} levels"
_from_string = KeyValue.FromString


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
