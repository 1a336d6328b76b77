import json
import re
from collections.abc import Iterator
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from bartizan.server import openapi
from bartizan.server.openapi_schema import schemas_of
from bartizan.v1 import admin_pb2, common_pb2, evaluation_pb2, guardrail_pb2, trace_pb2

FILES = (admin_pb2, common_pb2, evaluation_pb2, guardrail_pb2, trace_pb2)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        yield from (ref for value in node.values() for ref in _references(value))
    elif isinstance(node, list):
        yield from (ref for value in node for ref in _references(value))


def test_the_descriptors_are_those_of_the_stubs() -> None:
    files = {file.name: file for file in openapi._contract()}
    for module in FILES:
        stub = FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(stub)
        file = FileDescriptorProto()
        file.CopyFrom(files[stub.name])
        file.ClearField("source_code_info")
        # The compiler writes json_name into the one and not into the other.
        for message in _messages(file):
            for field in message.field:
                field.ClearField("json_name")
        assert file == stub


def _messages(node: Any) -> Iterator[Any]:
    for message in [*getattr(node, "message_type", ()), *getattr(node, "nested_type", ())]:
        yield message
        yield from _messages(message)


def test_every_method_without_a_client_stream_has_its_path() -> None:
    expected = {
        f"/{service.full_name}/{method.name}"
        for module in FILES
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if not method.client_streaming
    }
    assert set(openapi.document()["paths"]) == expected


def test_every_reference_leads_somewhere() -> None:
    document = openapi.document()
    names = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= names


def test_everything_has_its_comment() -> None:
    document = openapi.document()
    for schema in document["components"]["schemas"].values():
        assert schema.get("description") or "code" in schema["properties"]
    for path in document["paths"].values():
        assert path["post"]["summary"]


def test_one_operation() -> None:
    operation = openapi.document()["paths"]["/bartizan.v1.TraceService/ListTraces"]["post"]
    assert operation == {
        "operationId": "TraceService_ListTraces",
        "tags": ["TraceService"],
        "summary": "Lists traces, newest first",
        "description": "Lists traces, newest first.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/bartizan.v1.ListTracesRequest"}
                }
            },
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {
                    "application/json": {
                        "schema": {"$ref": "#/components/schemas/bartizan.v1.ListTracesResponse"}
                    }
                },
            },
            "default": {
                "description": "An error.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }


def test_a_stream_says_that_it_is_one() -> None:
    operation = openapi.document()["paths"]["/bartizan.v1.TraceService/GetTrace"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/connect+json"}
    assert "envelope" in operation["description"]


def test_fields_are_in_their_json_form() -> None:
    schemas = openapi.document()["components"]["schemas"]
    trace = schemas["bartizan.v1.Trace"]["properties"]
    assert trace["spanCount"] == {
        "type": "string",
        "format": "int64",
        "description": "Spans stored.",
    }
    assert trace["startTime"]["format"] == "date-time"
    assert trace["tags"]["items"] == {"type": "string"}
    ack = schemas["bartizan.v1.Ack"]["properties"]
    assert ack["rejected"]["items"] == {"$ref": "#/components/schemas/bartizan.v1.RejectedSpan"}
    status = schemas["bartizan.v1.StatusCode"]
    assert status["enum"][2] == "STATUS_CODE_ERROR"
    request = schemas["bartizan.v1.StreamTracesRequest"]
    assert "At most one of open, batch is set." in request["description"]


_ODD = """
package: "p"
message_type {
  name: "M"
  field { name: "by_name" json_name: "byName" type: TYPE_MESSAGE label: LABEL_REPEATED
          type_name: ".p.M.ByNameEntry" }
  field { name: "maybe" json_name: "maybe" type: TYPE_BYTES label: LABEL_OPTIONAL
          oneof_index: 0 proto3_optional: true }
  oneof_decl { name: "_maybe" }
  nested_type {
    name: "ByNameEntry"
    options { map_entry: true }
    field { name: "key" type: TYPE_STRING }
    field { name: "value" type: TYPE_UINT64 }
  }
  nested_type { name: "Inner" }
}
"""


def test_maps_nested_messages_and_optional_fields() -> None:
    file = text_format.Parse(_ODD, FileDescriptorProto())
    schemas = dict(schemas_of(file, {}))
    assert set(schemas) == {"p.M", "p.M.Inner"}
    assert schemas["p.M"] == {
        "type": "object",
        "description": "",
        "properties": {
            "byName": {
                "type": "object",
                "additionalProperties": {"type": "string", "format": "uint64"},
            },
            "maybe": {"type": "string", "contentEncoding": "base64"},
        },
    }


def test_it_is_json_of_the_names_that_openapi_permits() -> None:
    document = json.loads(openapi.document_json())
    assert document == openapi.document()
    assert all(re.fullmatch(r"[\w.-]+", name) for name in document["components"]["schemas"])
