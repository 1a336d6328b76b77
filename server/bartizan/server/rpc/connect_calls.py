"""Takes the calls of the Connect door through the gate and gives their errors its form."""

import asyncio
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from connectrpc.code import Code as ConnectCode
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.request import RequestContext
from google.protobuf.message import Message
from protobuf.wkt import Any as WireAny

from bartizan.plugins.errors import (
    BartizanError,
    DeadlineExceeded,
    InvalidArgument,
    Unimplemented,
)
from bartizan.server.rpc.call import Call
from bartizan.server.rpc.gate import Gate, Visit, told_apart
from bartizan.server.rpc.methods import MAX_MESSAGE_BYTES, Method, too_large
from bartizan.server.rpc.status import TABLE, http_headers, status_proto

Context = RequestContext[Any, Any]


class Calls:
    """An interceptor of Connect: it admits before the body is read and sees every error last."""

    def __init__(self, gate: Gate, methods: Mapping[str, Method]) -> None:
        self._gate = gate
        self._methods = methods
        self._open: dict[Context, Call] = {}

    def of(self, context: Context, request: Message) -> Call:
        """Returns the admitted call that a handler is given."""
        call = self._open[context]
        call.request_bytes = request.ByteSize()
        return call

    async def on_start(self, context: Context) -> Visit:
        """Admits a call; raises ConnectError."""
        info = context.method
        method = self._methods[f"/{info.service_name}/{info.name}"]
        visit = self._gate.visit(method, dict(context.request_headers))
        context.response_headers.update(visit.trailers)
        try:
            call = await visit.admit()
            self._check_shape(method)
        except BaseException as error:
            refusal = visit.leave(told_apart(error))
            if refusal is None:
                raise
            raise _connect_error(refusal, context) from None
        call.time_left = partial(_time_left, context)
        self._open[context] = call
        return visit

    async def on_end(self, visit: Visit, context: Context, error: Exception | None) -> None:
        """Ends a call; what it raises is what the caller gets in place of `error`."""
        del self._open[context]
        sent = context.response_headers
        context.response_trailers.update(
            {name: value for name, value in visit.trailers.items() if name not in sent}
        )
        refusal = visit.leave(_ours(error, context))
        if refusal is not None:
            raise _connect_error(refusal, context) from None

    def _check_shape(self, method: Method) -> None:
        if not method.client_streaming:
            return
        unary = [
            m.rpc
            for m in self._methods.values()
            if m.service == method.service
            and not (m.client_streaming or m.server_streaming)
            and _words(m.rpc) & _words(method.rpc)
        ]
        instead = f", or the unary {' or '.join(unary)} here" if unary else ""
        raise Unimplemented(
            "CLIENT_STREAMING",
            f"{method.rpc} needs a client that streams, which HTTP/1.1 cannot carry:"
            f" use native gRPC{instead}",
        )


def _words(name: str) -> set[str]:
    """Returns the words of a method's name, by which CheckStream and Check are akin."""
    return set(re.findall("[A-Z][a-z]+", name))


def _time_left(context: Context) -> float | None:
    left_ms = context.timeout_ms
    return None if left_ms is None else left_ms / 1_000


def _connect_error(error: BartizanError, context: Context) -> ConnectError:
    context.response_headers.update(http_headers(error))
    details = [
        ErrorDetail(WireAny(type_url=detail.type_url, value=detail.value))
        for detail in status_proto(error).details
    ]
    return ConnectError(TABLE[error.code].connect, error.message, details)


def _ours(error: Exception | None, context: Context) -> BaseException | None:
    """Turns an error of Connect itself, which has no details, into one of ours."""
    if not isinstance(error, ConnectError):
        return error
    if isinstance(error.__cause__, BartizanError):
        return error.__cause__
    match error.code:
        case ConnectCode.CANCELED:
            return asyncio.CancelledError()
        case ConnectCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded("DEADLINE_EXCEEDED", "the call outlasted its timeout")
        case ConnectCode.RESOURCE_EXHAUSTED:
            return too_large(_declared_size(context))
        case ConnectCode.UNIMPLEMENTED:
            return Unimplemented("UNKNOWN_ENCODING", error.message)
        case ConnectCode.INVALID_ARGUMENT:
            return InvalidArgument(
                "MALFORMED_MESSAGE", "the request's body, compression or framing is broken"
            )
    return error


def _declared_size(context: Context) -> int | None:
    declared = context.request_headers.get("content-length", "")
    size = int(declared) if declared.isdecimal() else 0
    return size if size > MAX_MESSAGE_BYTES else None
