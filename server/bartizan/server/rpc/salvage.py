"""Saves a batch from the one span, or item of feedback, in it whose text is not UTF-8.

Protobuf refuses a whole message for such a text. Here the text is overwritten from its first wrong
byte on with NUL, which the checks refuse in that span and field alone. Its length stays,
so the message keeps its shape. Runs only after a message did not parse.
"""

from collections.abc import Iterator
from typing import cast

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bartizan.v1 import evaluation_pb2, trace_pb2

MAX_FIELDS = 200_000
"""How many fields are looked at, about a fifth of a second of work. What takes more than that is
refused whole."""

_BATCH_REQUESTS = (
    trace_pb2.ExportTracesRequest,
    trace_pb2.StreamTracesRequest,
    evaluation_pb2.RecordFeedbackRequest,
)
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5


def parse(message: type[Message], data: bytes) -> Message:
    """Reads a message; of a request that carries a batch, also one whose texts are not all UTF-8.

    Raises DecodeError.
    """
    try:
        return message.FromString(data)
    except DecodeError:
        if message not in _BATCH_REQUESTS:
            raise
    return message.FromString(_Mender(data).mend(message))


class _Mender:
    """The bytes of one message while they are mended."""

    def __init__(self, data: bytes) -> None:
        self._data = bytearray(data)
        self._fields_left = MAX_FIELDS

    def mend(self, message: type[Message]) -> bytes:
        """Returns the bytes with every text made valid; raises DecodeError for what is broken."""
        self._mend_message(message, 0, len(self._data))
        return bytes(self._data)

    def _mend_message(self, message: type[Message], start: int, end: int) -> None:
        fields = message.DESCRIPTOR.fields_by_number
        for number, first, last in self._delimited(start, end):
            field = fields.get(number)
            if field is None:
                continue
            if field.type == FieldDescriptor.TYPE_STRING:
                self._mend_text(first, last)
            elif field.message_type is not None:
                self._mend_part(GetMessageClass(cast(Descriptor, field.message_type)), first, last)

    def _mend_part(self, message: type[Message], start: int, end: int) -> None:
        try:
            message.FromString(bytes(self._data[start:end]))
        except DecodeError:
            self._mend_message(message, start, end)

    def _mend_text(self, start: int, end: int) -> None:
        try:
            self._data[start:end].decode()
        except UnicodeDecodeError as error:
            first = start + error.start
            self._data[first:end] = bytes(end - first)

    def _delimited(self, at: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yields number, start and end of every field that has a length."""
        while at < end:
            self._fields_left -= 1
            if not self._fields_left:
                raise DecodeError
            tag, at = self._varint(at, end)
            wire_type = tag & 7
            if wire_type == _DELIMITED:
                size, at = self._varint(at, end)
                if at + size > end:
                    raise DecodeError
                yield tag >> 3, at, at + size
                at += size
            elif wire_type == _VARINT:
                _, at = self._varint(at, end)
            elif wire_type in (_FIXED64, _FIXED32):
                at += 8 if wire_type == _FIXED64 else 4
            else:
                raise DecodeError

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 64:
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise DecodeError
