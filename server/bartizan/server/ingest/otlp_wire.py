"""The OTLP trace messages, with texts and attributes left as bytes.

The wire format is OTLP's own. Decoding them later has two merits: a text that is not UTF-8 or a
value nested too deep costs its own span only, and an attribute that many spans of a request have
in common is decoded once.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from bartizan.plugins.errors import InvalidArgument

FieldProto = descriptor_pb2.FieldDescriptorProto
_KEY_VALUE = ".opentelemetry.proto.common.v1.KeyValue"
_LOOSE = {
    *("ResourceSpans", "ScopeSpans", "Span", "Event", "Link", "Status"),
    *("Resource", "InstrumentationScope"),
}


def _loosen(messages: Iterable[descriptor_pb2.DescriptorProto]) -> None:
    for message in messages:
        _loosen(message.nested_type)
        if message.name in _LOOSE:
            for field in message.field:
                if field.type == FieldProto.TYPE_STRING or field.type_name == _KEY_VALUE:
                    field.ClearField("type_name")
                    field.type = FieldProto.TYPE_BYTES


def _build_pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in (common_pb2, resource_pb2, trace_pb2, trace_service_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        _loosen(file.message_type)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


_pool = _build_pool()
SERVICE = _pool.FindServiceByName("opentelemetry.proto.collector.trace.v1.TraceService")
"""The service as the contract names it; its request is `Request`."""
Request: Any = message_factory.GetMessageClass(SERVICE.methods_by_name["Export"].input_type)
"""An `ExportTraceServiceRequest` whose texts and attributes are bytes."""


def parse(body: bytes) -> Any:
    """Returns the `Request` that protobuf bytes hold; raises InvalidArgument."""
    try:
        return Request.FromString(body)
    except DecodeError:
        raise InvalidArgument(
            "MALFORMED_REQUEST", "the body is not an OTLP trace export in protobuf"
        ) from None


def loose(request: Any) -> Any:
    """Returns a request as a `Request`, whichever class of the same message it came in."""
    return request if isinstance(request, Request) else parse(request.SerializeToString())


def not_traces(signal: str, path: str) -> InvalidArgument:
    """Returns the error for an export of another signal that was sent as traces."""
    return InvalidArgument(
        "NOT_TRACES",
        f"this looks like an export of {signal}, sent where traces belong; {signal} belong to"
        f" {path} of a server that takes them: this one takes traces only",
        metadata={"signal": signal},
    )
