"""What tests of the trace service share: a service, a caller, and spans to read."""

from collections.abc import AsyncIterator
from typing import Any

from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Call, Principal, Scope
from bartizan.server.rpc.traces import TraceService
from bartizan.server.store.paging import PageTokens
from bartizan.server.store.tail import Tail
from bartizan.v1 import common_pb2, trace_pb2

NS = 1_000_000_000
START_NS = 1_760_000_000 * NS


def caller(project_id: int, method: str = "ListTraces") -> Call:
    """Returns a call with a key of a project."""
    scopes = frozenset({int(Scope.SCOPE_READ)})
    principal = Principal(1, project_id, 1, "acme", f"p{project_id}", scopes)
    return Call(f"bartizan.v1.TraceService/{method}", principal, {})


def make_service(engine: AsyncEngine, tail: Tail | None = None, **options: Any) -> TraceService:
    """Returns a service on a database."""
    tail = tail or Tail(engine, Metrics(CollectorRegistry()))
    return TraceService(engine, tail, PageTokens(b"test"), **options)


def make_span(number: int, *, start_ns: int = START_NS, **fields: Any) -> common_pb2.Span:
    """Returns a span of a trace of its own, numbered, unless the fields say otherwise."""
    span = common_pb2.Span(
        **{"trace_id": f"{number:032x}", "span_id": f"{number:016x}", "name": "chat"} | fields
    )
    if not span.HasField("start_time"):
        span.start_time.FromNanoseconds(start_ns)
    if not span.HasField("end_time"):
        span.end_time.FromNanoseconds(span.start_time.ToNanoseconds() + NS)
    return span


async def get_trace(
    service: TraceService, project_id: int, trace_id: str, **options: Any
) -> list[trace_pb2.GetTraceResponse]:
    """Returns all messages about a trace."""
    request = trace_pb2.GetTraceRequest(name=trace_id, **options)
    return [message async for message in service.GetTrace(request, caller(project_id, "GetTrace"))]


async def walk(
    service: TraceService, project_id: int, page_size: int = 3, **wanted: Any
) -> AsyncIterator[trace_pb2.ListTracesResponse]:
    """Yields the pages of a list."""
    token = ""
    while True:
        request = trace_pb2.ListTracesRequest(
            page_size=page_size, page_token=token, filter=trace_pb2.TraceFilter(**wanted)
        )
        page = await service.ListTraces(request, caller(project_id))
        yield page
        token = page.next_page_token
        if not token:
            return


async def listed(
    service: TraceService, project_id: int, page_size: int = 3, **wanted: Any
) -> list[int]:
    """Returns the numbers of all traces that match, in the order of the list."""
    pages = walk(service, project_id, page_size, **wanted)
    return [int(trace.trace_id, 16) async for page in pages for trace in page.traces]
