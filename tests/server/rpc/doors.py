"""Services with canned answers, served at real doors on the loopback."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import asyncpg
import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from prometheus_client import CollectorRegistry

from bartizan.plugins.errors import (
    InvalidArgument,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Call, Principal, Scope, Service
from bartizan.server.rpc.gate import Gate
from bartizan.v1 import trace_pb2

KEY = "good-key"
READER = "reader-key"
SECRET = "what the customer wrote"

Scopes = Mapping[str, int | None]

TRACES = "/bartizan.v1.TraceService"
INGEST = "/bartizan.v1.IngestService"

ERRORS: Mapping[str, BaseException] = {
    "invalid": InvalidArgument("BAD_TOKEN", "the page token is not ours", field="page_token"),
    "missing": NotFound("TRACE_NOT_FOUND", "there is no such trace", metadata={"id": "7"}),
    "full": Overloaded("QUEUE_FULL", "the queue is full", retry_delay_s=2.5),
    "large": TooLarge("BATCH_TOO_LARGE", "too many spans", metadata={"limit": "10000"}),
    "away": Unavailable("DATABASE_UNAVAILABLE", "the database is away"),
    "reset": ConnectionResetError(SECRET),
    "disk": asyncpg.DiskFullError(SECRET),
    "bug": RuntimeError(SECRET),
    "inner": asyncio.CancelledError(),
}
"""What ListTraces raises for a page token of that name."""


class Keys:
    """Knows two keys."""

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        key = metadata.get("x-api-key") or metadata.get("authorization", "").removeprefix("Bearer ")
        if key == KEY:
            return _principal({Scope.SCOPE_READ, Scope.SCOPE_INGEST})
        if key == READER:
            return _principal({Scope.SCOPE_READ})
        raise Unauthenticated("INVALID_KEY", "the API key is missing or not valid")


def _principal(scopes: set[int]) -> Principal:
    return Principal(1, 2, 3, "default", "demo", frozenset(scopes))


@dataclass
class Traces:
    """A TraceService. TailTraces sends large messages without an end."""

    DESCRIPTOR: ClassVar = trace_pb2.DESCRIPTOR.services_by_name["TraceService"]
    SCOPES: ClassVar[Scopes] = {method.name: Scope.SCOPE_READ for method in DESCRIPTOR.methods}
    calls: list[Call] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Forgets what happened."""
        self.calls.clear()
        self.began.clear()
        self.closed.clear()

    async def ListTraces(
        self, request: trace_pb2.ListTracesRequest, call: Call
    ) -> trace_pb2.ListTracesResponse:
        self.calls.append(call)
        if request.page_token in ERRORS:
            raise ERRORS[request.page_token]
        if request.page_token == "never":
            await self._never()
        call.trailers["x-pages"] = "1"
        return trace_pb2.ListTracesResponse(
            traces=[trace_pb2.Trace(trace_id="t1", span_count=3)], next_page_token=""
        )

    async def _never(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def GetTrace(
        self, request: trace_pb2.GetTraceRequest, call: Call
    ) -> AsyncIterator[trace_pb2.GetTraceResponse]:
        yield trace_pb2.GetTraceResponse(trace=trace_pb2.Trace(trace_id=request.name))
        if request.name in ERRORS:
            raise ERRORS[request.name]
        yield trace_pb2.GetTraceResponse()

    async def TailTraces(
        self, request: trace_pb2.TailTracesRequest, call: Call
    ) -> AsyncIterator[trace_pb2.TailTracesResponse]:
        trace = trace_pb2.Trace(display_name="x" * 100_000)
        self.began.set()
        try:
            while True:
                yield trace_pb2.TailTracesResponse(traces=[trace])
        finally:
            self.closed.set()

    async def ListSessions(
        self, request: trace_pb2.ListSessionsRequest, call: Call
    ) -> trace_pb2.ListSessionsResponse:
        return trace_pb2.ListSessionsResponse()

    async def GetSession(
        self, request: trace_pb2.GetSessionRequest, call: Call
    ) -> trace_pb2.GetSessionResponse:
        return trace_pb2.GetSessionResponse()


@dataclass
class Ingest:
    """An IngestService that acks what it gets."""

    DESCRIPTOR: ClassVar = trace_pb2.DESCRIPTOR.services_by_name["IngestService"]
    SCOPES: ClassVar[Scopes] = {
        "StreamTraces": Scope.SCOPE_INGEST,
        "ExportTraces": Scope.SCOPE_INGEST,
    }
    sizes: list[int] = field(default_factory=list)

    async def StreamTraces(
        self, requests: AsyncIterator[trace_pb2.StreamTracesRequest], call: Call
    ) -> AsyncIterator[trace_pb2.StreamTracesResponse]:
        async for request in requests:
            self.sizes.append(call.request_bytes)
            ack = trace_pb2.Ack(seq=request.batch.seq, stored=len(request.batch.spans))
            yield trace_pb2.StreamTracesResponse(ack=ack)
        yield trace_pb2.StreamTracesResponse(summary=trace_pb2.StreamSummary())

    async def ExportTraces(
        self, request: trace_pb2.ExportTracesRequest, call: Call
    ) -> trace_pb2.ExportTracesResponse:
        self.sizes.append(call.request_bytes)
        return trace_pb2.ExportTracesResponse(ack=trace_pb2.Ack(stored=len(request.spans)))


@dataclass
class Otlp:
    """An OTLP service that counts spans, and raises `error` where it is set."""

    DESCRIPTOR: ClassVar = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"]
    SCOPES: ClassVar[Scopes] = {"Export": Scope.SCOPE_INGEST}
    error: BaseException | None = None
    spans: int = 0

    async def Export(self, request: Any, call: Call) -> Message:
        if self.error is not None:
            raise self.error
        self.spans += sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        response: Message = trace_service_pb2.ExportTraceServiceResponse()
        return response


class House:
    """The three services behind one gate."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.gate = Gate(Keys(), Metrics(self.registry))
        self.traces, self.ingest, self.otlp = Traces(), Ingest(), Otlp()
        self.services: list[Service] = [self.traces, self.ingest, self.otlp]
        self._before: dict[tuple[str, str], float] = {}

    def reset(self) -> None:
        """Forgets what happened, so that a running house can serve the next test."""
        self.traces.reset()
        self.ingest.sizes.clear()
        self.otlp.error, self.otlp.spans = None, 0
        for sample in next(iter(self.gate.metrics.rpc_requests.collect())).samples:
            if sample.name.endswith("_total"):
                self._before[sample.labels["method"], sample.labels["code"]] = sample.value

    def calls(self, method: str, code: str) -> float:
        """Returns how many calls of a method ended so since the last reset."""
        name = method.removeprefix("/")
        labels = {"method": name, "code": code}
        now = self.registry.get_sample_value("bartizan_rpc_requests_total", labels) or 0.0
        return now - self._before.get((name, code), 0.0)


@dataclass(frozen=True)
class Details:
    """The details of an error, one of each kind at most."""

    info: Any
    bad_request: Any
    retry: Any


def details_of(packed: Sequence[Any]) -> Details:
    """Unpacks the `Any`s of a google.rpc.Status; fails on kinds that are there twice."""
    kinds = [
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
    ]
    found: list[Any] = []
    for kind in kinds:
        (detail, *more) = [d for d in packed if d.Is(kind.DESCRIPTOR)] or [None]
        assert not more
        message = kind()
        found.append(message if detail is not None and detail.Unpack(message) else None)
    assert len(packed) == len([f for f in found if f is not None])
    return Details(*found)


def grpc_details(error: grpc.aio.AioRpcError) -> Details:
    """Returns the details in the trailers of a gRPC error."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return details_of(status.details)


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
    """Makes one HTTP request; underscores in header names become hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asyncio.to_thread(_ask, port, method, path, body, named)


def _ask(port: int, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, named, response.read())
    finally:
        connection.close()


@asynccontextmanager
async def channel(port: int) -> AsyncIterator[Any]:
    """Opens a gRPC channel that sends messages of any size."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as opened:
        yield opened
