"""From services to native gRPC: admits, parses, runs and answers each call.

Requests and responses pass gRPC as bytes. Parsing them here makes a malformed message
INVALID_ARGUMENT with details, where gRPC itself would answer INTERNAL.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, NoReturn, Self, TypeVar, cast

import grpc
from google.protobuf.message import Message

from bartizan.plugins.errors import BartizanError
from bartizan.server.rpc.call import Call, Service
from bartizan.server.rpc.gate import Gate, told_apart
from bartizan.server.rpc.methods import Method, methods_of
from bartizan.server.rpc.status import DETAILS_TRAILER, TABLE, status_proto
from bartizan.server.rpc.write_watch import WRITE_TIMEOUT_SECONDS, WriteWatch

T = TypeVar("T")
Context = grpc.aio.ServicerContext[bytes, bytes]


def grpc_handler(
    service: Service, gate: Gate, *, write_timeout_s: float = WRITE_TIMEOUT_SECONDS
) -> grpc.GenericRpcHandler:
    """Returns the handler that serves a service over gRPC; raises TypeError for an unfit one."""
    handlers = {
        method.rpc: _Bridge(method, gate, write_timeout_s).handler()
        for method in methods_of(service)
    }
    return grpc.method_handlers_generic_handler(service.DESCRIPTOR.full_name, handlers)


class _Bridge:
    """Carries the calls of one method."""

    def __init__(self, method: Method, gate: Gate, write_timeout_s: float) -> None:
        self._method = method
        self._gate = gate
        self._write_timeout_s = write_timeout_s

    def handler(self) -> "grpc.RpcMethodHandler[Any, Any]":
        """Returns the method as gRPC wants it; no serialisers, so that bytes pass as they are."""
        match self._method.client_streaming, self._method.server_streaming:
            case False, False:
                return grpc.unary_unary_rpc_method_handler(cast(Any, self._unary_unary))
            case False, True:
                return grpc.unary_stream_rpc_method_handler(cast(Any, self._unary_stream))
            case True, False:
                return grpc.stream_unary_rpc_method_handler(cast(Any, self._stream_unary))
            case _:
                return grpc.stream_stream_rpc_method_handler(cast(Any, self._stream_stream))

    async def _unary_unary(self, data: bytes, context: Context) -> bytes:
        async def work(call: Call) -> bytes:
            return await self._answer(self._request(data, call), call)

        return await self._serve(context, work)

    async def _stream_unary(self, _: AsyncIterator[bytes], context: Context) -> bytes:
        async def work(call: Call) -> bytes:
            return await self._answer(_Requests(self._method, context, call), call)

        return await self._serve(context, work)

    async def _unary_stream(self, data: bytes, context: Context) -> None:
        async def work(call: Call) -> None:
            await self._stream_out(self._request(data, call), call, context)

        await self._serve(context, work)

    async def _stream_stream(self, _: AsyncIterator[bytes], context: Context) -> None:
        async def work(call: Call) -> None:
            await self._stream_out(_Requests(self._method, context, call), call, context)

        await self._serve(context, work)

    async def _serve(self, context: Context, work: Callable[[Call], Awaitable[T]]) -> T:
        visit = self._gate.visit(self._method, _metadata(context))
        try:
            call = await visit.admit()
            call.time_left = context.time_remaining
            result = await work(call)
        except BaseException as error:
            refusal = visit.leave(told_apart(error))
            if refusal is None:
                raise
            await _abort(context, refusal, visit.trailers)
        visit.leave()
        if visit.trailers:
            context.set_trailing_metadata(tuple(visit.trailers.items()))
        return result

    def _request(self, data: bytes, call: Call) -> Message:
        call.request_bytes = len(data)
        return self._method.parse(data)

    async def _answer(self, request: Any, call: Call) -> bytes:
        response: Message = await self._method.handler(request, call)
        return response.SerializeToString()

    async def _stream_out(self, request: Any, call: Call, context: Context) -> None:
        write, now = context.write, asyncio.get_running_loop().time
        async with (
            WriteWatch(self._write_timeout_s) as watch,
            aclosing(self._method.handler(request, call)) as responses,
        ):
            async for response in responses:
                watch.since = now()
                await write(response.SerializeToString())
                watch.since = None


class _Requests:
    """The messages of a client, parsed. Not a generator: a service may leave it half read."""

    def __init__(self, method: Method, context: Context, call: Call) -> None:
        self._read = context.read
        self._parse = method.parse
        self._call = call
        self._end: object = grpc.aio.EOF

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        data = await self._read()
        if data is self._end:
            raise StopAsyncIteration
        self._call.request_bytes = len(data)
        return self._parse(data)


def _metadata(context: Context) -> dict[str, str]:
    pairs = context.invocation_metadata() or ()
    return {name: value for name, value in pairs if isinstance(value, str)}


async def _abort(context: Context, error: BartizanError, trailers: dict[str, str]) -> NoReturn:
    details = (DETAILS_TRAILER, status_proto(error).SerializeToString())
    await context.abort(TABLE[error.code].grpc, error.message, (*trailers.items(), details))
