"""The methods of a service, read from the descriptor of its contract."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from bartizan.plugins.errors import InvalidArgument, TooLarge
from bartizan.server.rpc import salvage
from bartizan.server.rpc.call import Service

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The largest message taken in, before and after decompression. OTLP recommends this default."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of one service, and who answers it."""

    service: str
    rpc: str
    request: type[Message]
    response: type[Message]
    client_streaming: bool
    server_streaming: bool
    scope: int | None
    handler: Callable[..., Any]
    """The bound method of the service: a coroutine function or an async generator function."""

    @property
    def name(self) -> str:
        """The full name, as in `bartizan.v1.TraceService/ListTraces`."""
        return f"{self.service}/{self.rpc}"

    @property
    def path(self) -> str:
        """The path of its requests, as in `/bartizan.v1.TraceService/ListTraces`."""
        return f"/{self.name}"

    def parse(self, data: bytes) -> Message:
        """Reads a request from its binary form; raises InvalidArgument."""
        try:
            return salvage.parse(self.request, data)
        except DecodeError:
            raise malformed(self.request, "protobuf") from None


def malformed(message: type[Message], form: str, field: str = "") -> InvalidArgument:
    """Returns the error for bytes that are no message of that type. It never quotes them."""
    name = message.DESCRIPTOR.full_name
    return InvalidArgument(
        "MALFORMED_MESSAGE", f"the request is not a valid {name} in {form}", field=field
    )


def too_large(size: int | None = None) -> TooLarge:
    """Returns the error for a message over the limit; `size` in bytes where it is known."""
    facts = {"limit_bytes": str(MAX_MESSAGE_BYTES)}
    said = "more"
    if size is not None:
        facts["size_bytes"] = said = str(size)
    return TooLarge(
        "MESSAGE_TOO_LARGE",
        f"a message may have {MAX_MESSAGE_BYTES} bytes after decompression, this one has {said}",
        metadata=facts,
    )


def methods_of(service: Service) -> Sequence[Method]:
    """Returns the methods of a service in the order of its contract.

    Raises TypeError when the service lacks a method or does not say which scope one needs.
    """
    return [_method(service, method) for method in service.DESCRIPTOR.methods]


def _method(service: Service, method: MethodDescriptor) -> Method:
    handler = getattr(service, method.name, None)
    if handler is None or method.name not in service.SCOPES:
        raise TypeError(f"{type(service).__name__} must have {method.name} and name its scope")
    return Method(
        service=service.DESCRIPTOR.full_name,
        rpc=method.name,
        request=GetMessageClass(method.input_type),
        response=GetMessageClass(method.output_type),
        client_streaming=method.client_streaming,
        server_streaming=method.server_streaming,
        scope=service.SCOPES[method.name],
        handler=handler,
    )
