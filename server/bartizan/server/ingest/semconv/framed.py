"""Reads lists of one message with one text, which are nearly all, past the parser of JSON.

Such a list is one of few frames, known by heart, around any one JSON string.
"""

from collections.abc import Iterator, Mapping

import orjson

from bartizan.server.ingest.semconv.attributes import HEADERS, IN_CONTENT, MAX_HEADERS, Read
from bartizan.server.ingest.semconv.decode import pair
from bartizan.server.ingest.semconv.messages import ROLES
from bartizan.server.ingest.semconv.table import INPUT_MESSAGES, OUTPUT_MESSAGES
from bartizan.server.ingest.span import Json, Message

Framed = tuple[list[Message], str, bytes]
"""What was read, the reason to stop that it gives or nothing, and the whole encoded KeyValue."""

_CONTENT = b'"content":'
_MAX_OPENING = 128
_FINISHES = ("stop", "length", "content_filter")
"""The reasons for which a model stops that leave a text behind."""
_Closings = list[tuple[bytes, str]]
"""What stands after the text, and the reason to stop that it gives or nothing."""

_KEYS = {bytes((10, len(key))) + key.encode(): key for key in (INPUT_MESSAGES, OUTPUT_MESSAGES)}
_loads = orjson.loads
_new = tuple.__new__


def framed(raw: bytes) -> Read | None:
    """Returns one encoded KeyValue with `Framed` as its value; None leaves it to `read`."""
    start = raw[1] + 2
    key = _KEYS.get(raw[:start])
    size = len(raw) - start
    if key is None or size >= MAX_HEADERS:
        return None
    header = HEADERS[size]
    if not header or not raw.startswith(header, start):
        return None
    start += len(header)
    end = raw.find(_CONTENT, start, start + _MAX_OPENING) + len(_CONTENT)
    frame = _FRAMES.get(raw[start:end])
    if frame is None:
        return None
    role, closings = frame
    for closing, reason in closings:
        if raw.endswith(closing):
            try:
                text = _loads(raw[end : -len(closing)])
            except ValueError:
                return None
            if type(text) is not str or "\0" in text:
                return None
            message = _new(Message, (role, text, "", "", "", False))
            return IN_CONTENT, key, ([message], reason, raw), None, True, 0
    return None


def unframed(content: Mapping[str, Json | Framed]) -> dict[str, Json]:
    """Returns attributes with the JSON texts in the place of what was read from them."""
    return {
        key: pair(value[2])[1] if isinstance(value, tuple) else value
        for key, value in content.items()
    }


def _frames() -> Iterator[tuple[bytes, tuple[int, _Closings]]]:
    """Yields what stands before the text and after it, in two spellings and two orders of keys."""
    for colon, comma in ((":", ","), (": ", ", ")):
        kind = f'"type"{colon}"text"'
        reasons = [("", "")]
        reasons += [(f'{comma}"finish_reason"{colon}"{name}"', name) for name in _FINISHES]
        for name, role in ROLES.items():
            opening = f'[{{"role"{colon}"{name}"{comma}"parts"{colon}[{{'
            for before, after in ((kind + comma, ""), ("", comma + kind)):
                closings = [(f"{after}}}]{said}}}]".encode(), reason) for said, reason in reasons]
                yield f"{opening}{before}".encode() + _CONTENT, (role, closings)


_FRAMES = dict(_frames())
