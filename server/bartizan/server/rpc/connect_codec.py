"""How messages look on the Connect door: protobuf, and JSON that people can read and write."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.rpc import salvage
from bartizan.server.rpc.methods import malformed

_FIELD = re.compile(r"Failed to parse (\w+) field")
_UNKNOWN = re.compile(r'has no field named "(\w{1,64})"')


class ProtobufCodec:
    """Binary messages."""

    def name(self) -> str:
        """Returns the name in content types."""
        return "proto"

    def encode(self, message: Message) -> bytes:
        """Returns the message as bytes."""
        return message.SerializeToString()

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> Message:
        """Reads a message; raises InvalidArgument."""
        try:
            return salvage.parse(message_class, bytes(data))
        except DecodeError:
            raise malformed(message_class, "protobuf") from None


class JsonCodec:
    """Proto3 JSON on one line, with zero values written out.

    Unknown fields and enum values are refused: a filter with a slip in it must not match all.
    """

    def name(self) -> str:
        """Returns the name in content types."""
        return "json"

    def encode(self, message: Message) -> bytes:
        """Returns the message as UTF-8."""
        return json_format.MessageToJson(
            message, indent=None, always_print_fields_with_no_presence=True, ensure_ascii=False
        ).encode()

    def decode(self, data: bytes | bytearray, message_class: type[Message]) -> Message:
        """Reads a message; raises InvalidArgument, with the field where that is known."""
        try:
            return json_format.Parse(bytes(data) or b"{}", message_class())
        except (json_format.ParseError, ValueError, RecursionError) as error:
            raise _explain(str(error), message_class) from None


def _explain(complaint: str, message_class: type[Message]) -> InvalidArgument:
    """Tells which field is wrong; the parser's own words quote the value, which may be content."""
    field = ".".join(_known(_FIELD.findall(complaint), message_class.DESCRIPTOR))
    unknown = _UNKNOWN.search(complaint)
    if unknown is None:
        return malformed(message_class, "JSON", field)
    name = message_class.DESCRIPTOR.full_name
    return InvalidArgument(
        "UNKNOWN_FIELD", f'{name} has no field "{unknown[1]}" there', field=field or unknown[1]
    )


def _known(names: Sequence[str], message: Any) -> Iterator[str]:
    for name in names:
        if message is None or name not in message.fields_by_camelcase_name:
            return
        field = message.fields_by_camelcase_name[name]
        yield field.name
        message = field.message_type
