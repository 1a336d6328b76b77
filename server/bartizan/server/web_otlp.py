"""OTLP over HTTP: `POST /v1/traces` in protobuf and in JSON."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import status_pb2
from starlette.requests import Request
from starlette.responses import Response

from bartizan.plugins.errors import BartizanError, InvalidArgument
from bartizan.server.ingest.otlp_json import parse_json, response_json
from bartizan.server.rpc.call import Call, Service
from bartizan.server.rpc.gate import Gate, Visit, told_apart
from bartizan.server.rpc.methods import Method, methods_of
from bartizan.server.rpc.status import http_headers, http_status, status_proto
from bartizan.server.web_body import BodyMemory, UnknownEncoding

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
PARSED_AT_ONCE = 64 * 1024
"""Larger bodies are parsed in a thread."""


class UnknownContent(InvalidArgument):
    """Raised when a body is neither protobuf nor JSON."""


class UnknownSignal(InvalidArgument):
    """Raised when something other than traces is sent."""


@dataclass(frozen=True, slots=True)
class Form:
    """One of the two forms of OTLP messages."""

    content: str
    parse: Callable[[bytes], Message]
    write: Callable[[Message], bytes]
    write_error: Callable[[status_pb2.Status], bytes]


class OtlpDoor:
    """Gives what comes over HTTP to the one method of the OTLP service."""

    def __init__(self, service: Service, gate: Gate, memory: BodyMemory) -> None:
        (self._method,) = methods_of(service)
        self._gate = gate
        self._memory = memory
        self._forms = {PROTOBUF: _protobuf(self._method), JSON: _json()}

    async def traces(self, request: Request) -> Response:
        """Answers one export, after its commit."""
        visit = self._gate.visit(self._method, dict(request.headers))
        # What cannot be read is answered in JSON, for the person who tries it out.
        form = self._forms.get(_content(request), self._forms[JSON])
        try:
            body = await self._export(request, visit)
        except BaseException as error:
            refusal = visit.leave(told_apart(error))
            if refusal is None:
                raise
            return _refuse(refusal, form, visit)
        visit.leave()
        return Response(body, media_type=form.content, headers=visit.trailers)

    async def no_traces(self, request: Request) -> Response:
        """Answers an export of logs or metrics."""
        signal = request.url.path.rsplit("/", 1)[-1]
        refusal = UnknownSignal(
            "TRACES_ONLY",
            f"Bartizan takes traces only, at /v1/traces; turn the exporter of {signal} off",
        )
        return _refuse(refusal, self._forms.get(_content(request), self._forms[JSON]), None)

    async def _export(self, request: Request, visit: Visit) -> bytes:
        call = await visit.admit()
        form = self._forms.get(_content(request))
        if form is None:
            raise UnknownContent(
                "UNKNOWN_CONTENT", f"the content-type must be {PROTOBUF} or {JSON}"
            )
        async with self._memory.read(request.headers, request.stream()) as body:
            export = await _parsed(form, body)
            return form.write(await self._call(export, len(body), call))

    async def _call(self, export: Message, size: int, call: Call) -> Message:
        call.request_bytes = size
        response: Message = await self._method.handler(export, call)
        return response


async def _parsed(form: Form, body: bytes) -> Message:
    # Large JSON takes 60 ms a MiB, for which the loop cannot stand still.
    if len(body) > PARSED_AT_ONCE:
        return await asyncio.to_thread(form.parse, body)
    return form.parse(body)


def _content(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refuse(error: BartizanError, form: Form, visit: Visit | None) -> Response:
    return Response(
        form.write_error(status_proto(error)),
        _http_status(error),
        {**http_headers(error), **(visit.trailers if visit else {})},
        form.content,
    )


def _http_status(error: BartizanError) -> HTTPStatus:
    if isinstance(error, UnknownSignal):
        return HTTPStatus.NOT_FOUND
    if isinstance(error, UnknownContent | UnknownEncoding):
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    return http_status(error)


def _protobuf(method: Method) -> Form:
    return Form(PROTOBUF, method.parse, _bytes_of, _bytes_of)


def _json() -> Form:
    return Form(JSON, parse_json, response_json, _json_of)


def _bytes_of(message: Message) -> bytes:
    return message.SerializeToString()


def _json_of(message: Message) -> bytes:
    return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()
