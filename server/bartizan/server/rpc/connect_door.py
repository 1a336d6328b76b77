"""The Connect door: the same services over HTTP, for browsers, curl and gRPC-web.

Carries unary and server-streaming methods, as JSON and as protobuf. Where the client streams, it
says what to use in its place.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint
from google.protobuf.message import Message

from bartizan.server.rpc.call import Service
from bartizan.server.rpc.connect_calls import Calls, Context
from bartizan.server.rpc.connect_codec import JsonCodec, ProtobufCodec
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.methods import MAX_MESSAGE_BYTES, Method, methods_of

_STREAM_CONTENT = b"application/connect+"


class ConnectDoor:
    """An ASGI application for the methods of some services.

    Attributes:
        paths: those it answers; give it no others.
    """

    def __init__(self, services: Sequence[Service], gate: Gate) -> None:
        methods = {m.path: m for service in services for m in methods_of(service)}
        calls = Calls(gate, methods)
        self.paths: Sequence[str] = list(methods)
        self._app = _Application({p: _endpoint(m, calls) for p, m in methods.items()}, calls)
        refused = {p: _refused(m) for p, m in methods.items() if m.client_streaming}
        self._refused = frozenset(refused)
        self._streams = _Application(refused, calls)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        # Connect has other content types for streams. A client-streaming method is refused in both:
        # a person with curl sends plain JSON.
        content = dict(scope["headers"]).get(b"content-type", b"")
        streams = scope["path"] in self._refused and content.startswith(_STREAM_CONTENT)
        await (self._streams if streams else self._app)(scope, receive, send)


class _Application(ConnectASGIApplication[None]):
    """Connect's own application over a fixed table of endpoints."""

    def __init__(self, endpoints: Mapping[str, Endpoint[Any, Any]], calls: Calls) -> None:
        super().__init__(
            service=None,
            endpoints=lambda _: endpoints,  # type: ignore[arg-type, return-value]
            interceptors=[calls],
            read_max_bytes=MAX_MESSAGE_BYTES,
            codecs=[ProtobufCodec(), JsonCodec()],
        )

    @property
    def path(self) -> str:
        """The prefix of every path."""
        return "/"


def _endpoint(method: Method, calls: Calls) -> Endpoint[Any, Any]:
    async def unary(request: Message, context: Context) -> Message:
        response: Message = await method.handler(request, calls.of(context, request))
        return response

    async def server_stream(request: Message, context: Context) -> AsyncIterator[Message]:
        call = calls.of(context, request)
        async with aclosing(method.handler(request, call)) as responses:
            async for response in responses:
                yield response

    if method.server_streaming and not method.client_streaming:
        return Endpoint.server_stream(_info(method, StreamType.SERVER_STREAM), server_stream)
    return Endpoint.unary(_info(method, StreamType.UNARY), unary)


def _refused(method: Method) -> Endpoint[Any, Any]:
    return Endpoint.bidi_stream(_info(method, StreamType.BIDI_STREAM), method.handler)


def _info(method: Method, shape: StreamType) -> MethodInfo[Any, Any]:
    return MethodInfo(
        name=method.rpc,
        service_name=method.service,
        input=method.request,
        output=method.response,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=shape,
    )
