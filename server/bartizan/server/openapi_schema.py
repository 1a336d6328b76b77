"""JSON schemas of protobuf messages, in the proto3 JSON form, with the comments of the contract."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

Schema = dict[str, Any]
Comments = Mapping[str, str]
"""Full name to comment."""

_F = FieldDescriptorProto

_WELL_KNOWN: Mapping[str, Schema] = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
        "examples": ["1.5s"],
    },
    ".google.protobuf.FieldMask": {"type": "string", "examples": ["displayName,retention"]},
    ".google.protobuf.Struct": {"type": "object"},
    ".google.protobuf.Value": {},
    ".google.protobuf.ListValue": {"type": "array"},
}

_INT64: Schema = {"type": "string", "format": "int64"}
_INT32: Schema = {"type": "integer", "format": "int32"}

_SCALARS: Mapping[int, Schema] = {
    _F.TYPE_STRING: {"type": "string"},
    _F.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    _F.TYPE_BOOL: {"type": "boolean"},
    _F.TYPE_DOUBLE: {"type": "number", "format": "double"},
    _F.TYPE_FLOAT: {"type": "number", "format": "float"},
    _F.TYPE_INT32: _INT32,
    _F.TYPE_SINT32: _INT32,
    _F.TYPE_SFIXED32: _INT32,
    _F.TYPE_UINT32: {**_INT32, "minimum": 0},
    _F.TYPE_FIXED32: {**_INT32, "minimum": 0},
    _F.TYPE_INT64: _INT64,
    _F.TYPE_SINT64: _INT64,
    _F.TYPE_SFIXED64: _INT64,
    _F.TYPE_UINT64: {**_INT64, "format": "uint64"},
    _F.TYPE_FIXED64: {**_INT64, "format": "uint64"},
}


def reference(type_name: str) -> Schema:
    """Returns the schema that stands for a message or enum by its full name with a leading dot."""
    if type_name in _WELL_KNOWN:
        return dict(_WELL_KNOWN[type_name])
    return {"$ref": f"#/components/schemas/{type_name[1:]}"}


def schemas_of(file: FileDescriptorProto, comments: Comments) -> Iterator[tuple[str, Schema]]:
    """Returns name and schema of every message and enum of a file."""
    for enum in file.enum_type:
        yield _enum(enum, file.package, comments)
    for message in file.message_type:
        yield from _messages(message, file.package, comments)


def _messages(
    message: DescriptorProto, outer: str, comments: Comments
) -> Iterator[tuple[str, Schema]]:
    name = f"{outer}.{message.name}"
    maps = {f".{name}.{m.name}": m for m in message.nested_type if m.options.map_entry}
    yield name, _message(message, name, maps, comments)
    for enum in message.enum_type:
        yield _enum(enum, name, comments)
    for inner in message.nested_type:
        if not inner.options.map_entry:
            yield from _messages(inner, name, comments)


def _message(
    message: DescriptorProto, name: str, maps: Mapping[str, DescriptorProto], comments: Comments
) -> Schema:
    about = " ".join([comments.get(name, ""), *_choices(message)]).strip()
    properties = {
        field.json_name: _field(field, maps, comments.get(f"{name}.{field.name}", ""))
        for field in message.field
    }
    return {"type": "object", "description": about, "properties": properties}


def _choices(message: DescriptorProto) -> Iterator[str]:
    for index, _ in enumerate(message.oneof_decl):
        names = [
            field.json_name
            for field in message.field
            if field.HasField("oneof_index")
            and field.oneof_index == index
            and not field.proto3_optional
        ]
        if names:
            yield f"At most one of {', '.join(names)} is set."


def _field(field: FieldDescriptorProto, maps: Mapping[str, DescriptorProto], about: str) -> Schema:
    described = {"description": about} if about else {}
    if field.type_name in maps:
        value = maps[field.type_name].field[1]
        return {"type": "object", "additionalProperties": _value(value), **described}
    if field.label == _F.LABEL_REPEATED:
        return {"type": "array", "items": _value(field), **described}
    return {**_value(field), **described}


def _value(field: FieldDescriptorProto) -> Schema:
    if field.type in (_F.TYPE_MESSAGE, _F.TYPE_ENUM):
        return reference(field.type_name)
    return dict(_SCALARS[field.type])


def _enum(enum: EnumDescriptorProto, outer: str, comments: Comments) -> tuple[str, Schema]:
    name = f"{outer}.{enum.name}"
    meanings = [f"- {v.name}: {comments.get(f'{name}.{v.name}', '')}" for v in enum.value]
    about = "\n".join([comments.get(name, ""), "", *meanings])
    return name, {"type": "string", "enum": [v.name for v in enum.value], "description": about}


def comments_of(file: FileDescriptorProto) -> Comments:
    """Returns the comment before each thing in a file, unwrapped to one line a paragraph."""
    return {
        _name(file, location.path): _unwrap(location.leading_comments)
        for location in file.source_code_info.location
        if location.leading_comments and len(location.path) % 2 == 0
    }


def _name(file: FileDescriptorProto, path: Sequence[int]) -> str:
    """Follows a path of field numbers and places, as descriptor.proto defines it."""
    names, node = [file.package], file
    for number, place in zip(path[::2], path[1::2], strict=True):
        field = node.DESCRIPTOR.fields_by_number[number]
        node = getattr(node, field.name)[place]
        names.append(node.name)
    return ".".join(names)


def _unwrap(comment: str) -> str:
    paragraphs = comment.strip().split("\n\n")
    return "\n\n".join(" ".join(line.strip() for line in p.splitlines()) for p in paragraphs)
