"""Reading traces and sessions back."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import ClassVar
from uuid import UUID

from google.protobuf.message import Message
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server.rpc import trace_filters, trace_messages, trace_names
from bartizan.server.rpc.call import Call, Principal, Scope
from bartizan.server.store.clock import from_ns, to_ns
from bartizan.server.store.paging import PageTokens, page_size
from bartizan.server.store.search import Found, TraceSearch
from bartizan.server.store.sessions import SessionKey, SessionReader
from bartizan.server.store.spans import SpanReader, TraceBounds
from bartizan.server.store.tail import Tail
from bartizan.server.store.trace_filter import TraceFilter
from bartizan.server.store.traces import TraceKey, TraceReader
from bartizan.v1 import trace_pb2

DEFAULT_PAGE = 50
DEFAULT_SPANS = 500
MAX_PAGE = 1_000


class TraceService:
    """Answers from the caller's own project only."""

    DESCRIPTOR: ClassVar = trace_pb2.DESCRIPTOR.services_by_name["TraceService"]
    SCOPES: ClassVar[Mapping[str, int | None]] = {
        method.name: Scope.SCOPE_READ for method in DESCRIPTOR.methods
    }

    def __init__(
        self,
        engine: AsyncEngine,
        tail: Tail,
        tokens: PageTokens,
        *,
        check_key: Callable[[Principal], None] | None = None,
    ) -> None:
        """Makes the service.

        Args:
            check_key: raises Unauthenticated once a principal's key has ended; asked before each
                message of a tail, which may outlive its key.
        """
        self._engine = engine
        self._tail = tail
        self._tokens = tokens
        self._check_key = check_key

    async def ListTraces(
        self, request: trace_pb2.ListTracesRequest, call: Call
    ) -> trace_pb2.ListTracesResponse:
        """Returns a page of traces, newest first."""
        trace_names.check_parent(request.parent, call.principal)
        wanted, text = trace_filters.traces(request.filter), trace_filters.text(request.filter)
        query = _query(call, request.filter)
        after = self._trace_place(query, request.page_token)
        limit = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        project_id = call.principal.project_id
        if text:
            found = await TraceSearch(self._engine, project_id).newest(wanted, text, after, limit)
        else:
            found = await self._listed(project_id, wanted, after, limit)
        return trace_pb2.ListTracesResponse(
            traces=[trace_messages.trace(row, call.principal) for row in found.traces],
            next_page_token=self._seal(query, found.resume),
        )

    async def GetTrace(
        self, request: trace_pb2.GetTraceRequest, call: Call
    ) -> AsyncGenerator[trace_pb2.GetTraceResponse, None]:
        """Streams one trace: its summary with the first spans, then the others."""
        trace_id = trace_names.read_trace_id(request.name, call.principal)
        size = page_size(request.page_size, DEFAULT_SPANS, MAX_PAGE)
        project_id = call.principal.project_id
        row = await TraceReader(self._engine, project_id).get(trace_id)
        if row is None:
            raise trace_names.trace_not_found()
        summary: trace_pb2.Trace | None = trace_messages.trace(row, call.principal)
        bounds = TraceBounds(trace_id, row.start_time, row.end_time)
        spans = SpanReader(self._engine, project_id)
        async with aclosing(spans.pages(bounds, size, content=not request.omit_content)) as pages:
            async for page in pages:
                yield trace_pb2.GetTraceResponse(
                    trace=summary,
                    spans=[
                        trace_messages.span(span, page.payloads.get(span.span_id))
                        for span in page.spans
                    ],
                    findings=map(trace_messages.finding, page.findings),
                )
                summary = None
        if summary is not None:  # its spans are past their retention, or not yet in the summary
            yield trace_pb2.GetTraceResponse(trace=summary)

    async def ListSessions(
        self, request: trace_pb2.ListSessionsRequest, call: Call
    ) -> trace_pb2.ListSessionsResponse:
        """Returns a page of sessions, last active first."""
        trace_names.check_parent(request.parent, call.principal)
        wanted = trace_filters.sessions(request.filter)
        query = _query(call, request.filter)
        after = self._session_place(query, request.page_token)
        limit = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        reader = SessionReader(self._engine, call.principal.project_id)
        rows = await reader.latest(wanted, after, limit + 1)
        page = rows[:limit]
        more = SessionKey(page[-1].end_time, page[-1].session_id) if len(rows) > limit else None
        return trace_pb2.ListSessionsResponse(
            sessions=[trace_messages.session(row, call.principal) for row in page],
            next_page_token=self._seal(query, more),
        )

    async def GetSession(
        self, request: trace_pb2.GetSessionRequest, call: Call
    ) -> trace_pb2.GetSessionResponse:
        """Returns one session."""
        session_id = trace_names.read_session_id(request.name, call.principal)
        row = await SessionReader(self._engine, call.principal.project_id).get(session_id)
        if row is None:
            raise trace_names.session_not_found()
        return trace_pb2.GetSessionResponse(session=trace_messages.session(row, call.principal))

    async def TailTraces(
        self, request: trace_pb2.TailTracesRequest, call: Call
    ) -> AsyncGenerator[trace_pb2.TailTracesResponse, None]:
        """Streams traces as they are committed, until the caller or the server stops."""
        trace_names.check_parent(request.parent, call.principal)
        wanted = trace_filters.live(request.filter)
        with self._tail.follow(call.principal.project_id, wanted) as follower:
            # Says that from here on nothing is missed.
            yield trace_pb2.TailTracesResponse()
            while True:
                rows, skipped = await follower.read()
                if self._check_key is not None:
                    self._check_key(call.principal)
                yield trace_pb2.TailTracesResponse(
                    traces=[trace_messages.trace(row, call.principal) for row in rows],
                    skipped=skipped,
                )

    async def _listed(
        self, project_id: int, wanted: TraceFilter, after: TraceKey | None, limit: int
    ) -> Found:
        rows = await TraceReader(self._engine, project_id).newest(wanted, after, limit + 1)
        page = rows[:limit]
        more = len(rows) > limit
        return Found(page, TraceKey(page[-1].start_time, page[-1].trace_id) if more else None)

    def _trace_place(self, query: str, token: str) -> TraceKey | None:
        if not token:
            return None
        start_ns, trace_id = self._tokens.open(query, token)
        return TraceKey(from_ns(int(start_ns)), UUID(trace_id))

    def _session_place(self, query: str, token: str) -> SessionKey | None:
        if not token:
            return None
        end_ns, session_id = self._tokens.open(query, token)
        return SessionKey(from_ns(int(end_ns)), session_id)

    def _seal(self, query: str, place: TraceKey | SessionKey | None) -> str:
        if place is None:
            return ""
        time, name = place
        return self._tokens.seal(query, (str(to_ns(time)), str(name)))


def _query(call: Call, wanted: Message) -> str:
    """Returns what a list depends on, for its page tokens."""
    exact = wanted.SerializeToString(deterministic=True).hex()
    return f"{call.method} {call.principal.project_id} {exact}"
