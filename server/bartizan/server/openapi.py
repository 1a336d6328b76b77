"""The OpenAPI document of the Connect door, made of the contract and its comments."""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

from bartizan.server import __version__
from bartizan.server.openapi_schema import Comments, Schema, comments_of, reference, schemas_of
from bartizan.server.rpc.status import TABLE

_ENVELOPE = (
    "Streams its answer: each message in an envelope of one byte of flags and four bytes of length,"
    " as the Connect protocol says."
)

_ERROR = "Error"


@cache
def document() -> Schema:
    """Returns the document. Read it only: every caller gets the same one."""
    contract = [file for file in _contract() if file.service]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bartizan",
            "version": __version__,
            "summary": "Stores, redacts and judges the traces of AI agents.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {"apiKey": []}],
        "tags": [tag for file in contract for tag in _tags(file)],
        "paths": {path: item for file in contract for path, item in _paths(file)},
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {**_schemas(), _ERROR: _error()},
        },
    }


def document_json() -> bytes:
    """Returns the document as JSON."""
    return json.dumps(document(), ensure_ascii=False).encode()


@cache
def _contract() -> tuple[FileDescriptorProto, ...]:
    """Reads the descriptors that `make proto` writes: those in the stubs have no comments."""
    packed = files("bartizan.v1").joinpath("descriptors.binpb").read_bytes()
    return tuple(FileDescriptorSet.FromString(packed).file)


def _schemas() -> Schema:
    return {
        name: schema for file in _contract() for name, schema in schemas_of(file, comments_of(file))
    }


def _tags(file: FileDescriptorProto) -> Iterator[Schema]:
    comments = comments_of(file)
    for service in file.service:
        name = f"{file.package}.{service.name}"
        yield {"name": service.name, "description": comments.get(name, "")}


def _paths(file: FileDescriptorProto) -> Iterator[tuple[str, Schema]]:
    comments = comments_of(file)
    for service in file.service:
        for method in service.method:
            if not method.client_streaming:
                name = f"{file.package}.{service.name}/{method.name}"
                yield f"/{name}", {"post": _operation(service, method, comments, name)}


def _operation(
    service: ServiceDescriptorProto, method: MethodDescriptorProto, comments: Comments, name: str
) -> Schema:
    comment = comments.get(name.replace("/", "."), "")
    content = "application/connect+json" if method.server_streaming else "application/json"
    about = f"{comment}\n\n{_ENVELOPE}" if method.server_streaming else comment
    return {
        "operationId": f"{service.name}_{method.name}",
        "tags": [service.name],
        "summary": comment.partition(". ")[0].rstrip("."),
        "description": about,
        "requestBody": {"required": True, **_content(content, reference(method.input_type))},
        "responses": {
            "200": {
                "description": "The answer.",
                **_content(content, reference(method.output_type)),
            },
            "default": {
                "description": "An error.",
                **_content("application/json", {"$ref": f"#/components/schemas/{_ERROR}"}),
            },
        },
    }


def _content(content: str, schema: Schema) -> Schema:
    return {"content": {content: {"schema": schema}}}


def _error() -> Schema:
    detail = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "description": "The name of its message."},
            "value": {"type": "string", "description": "The message, in base64 without padding."},
        },
    }
    properties: dict[str, Any] = {
        "code": {"type": "string", "enum": [face.connect.value for face in TABLE.values()]},
        "message": {"type": "string", "description": "For people. Holds no content."},
        "details": {
            "type": "array",
            "items": detail,
            "description": "One google.rpc.ErrorInfo, and a BadRequest or RetryInfo where it fits.",
        },
    }
    return {"type": "object", "required": ["code", "message"], "properties": properties}
