"""The client: one object for sending, reading and managing."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, TypeVar

import grpc

from bartizan.client._admin import Admin
from bartizan.client._channel import Tls, dial, resolve
from bartizan.client._errors import from_rpc
from bartizan.client._outbox import Limits, check_batch
from bartizan.client._query import SessionQuery, TraceQuery, session_filter, trace_filter
from bartizan.client._retry import Backoff
from bartizan.client._spans import Source, Span
from bartizan.client._stream import Stream
from bartizan.v1 import trace_pb2, trace_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Unpack

    from bartizan.v1 import common_pb2

T = TypeVar("T")

TIMEOUT_S = 30.0
"""One attempt of one call."""
ATTEMPTS = 5
"""Of a call that may be tried again, before its error is raised."""
PAGE_SIZE = 200


@dataclass(frozen=True)
class TraceView:
    """One whole trace.

    Attributes:
        trace: its summary.
        spans: by start time.
        findings: what rules found in the spans.
    """

    trace: trace_pb2.Trace
    spans: list[common_pb2.Span] = field(default_factory=list)
    findings: list[common_pb2.Finding] = field(default_factory=list)


class Bartizan:
    """Talks to one Bartizan server. Safe to use from several threads; close it at the end.

    Args:
        api_key: the key; from the environment variable BARTIZAN_API_KEY when not given.
        endpoint: HOST:PORT, or http://… or https://… for TLS with public roots; from
            BARTIZAN_ENDPOINT when not given, else localhost:4317.
        tls: the files for TLS with a private authority or for mutual TLS.
        timeout_s: how long one attempt of one call may take, in seconds.
        max_attempts: how often a call that may be tried again is tried.
        backoff: how long to wait in between.
        sleep: waits so many seconds; passed in by tests.
        source: where ids and times of spans come from; passed in by tests.

    Raises:
        InvalidArgument: the endpoint is not of its form, or a TLS file cannot be read.
    """

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        tls: Tls | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        max_attempts: int = ATTEMPTS,
        backoff: Backoff | None = None,
        sleep: Callable[[float], object] | None = None,
        source: Source | None = None,
    ) -> None:
        target = resolve(api_key, endpoint, tls)
        self.endpoint = target.address
        self._metadata = target.metadata
        self._channel = dial(target)
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._source = source or Source()
        self._ingest = trace_pb2_grpc.IngestServiceStub(self._channel)
        self._traces = trace_pb2_grpc.TraceServiceStub(self._channel)
        self.admin = Admin(self._channel, self._unary)
        """Organizations, projects and keys."""

    def __enter__(self) -> Bartizan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; streams that are still open break."""
        self._channel.close()

    def export(
        self, spans: Iterable[common_pb2.Span], want_verdicts: bool = False
    ) -> trace_pb2.Ack:
        """Sends one batch and returns its ack, which means that it is committed.

        It is tried again while the server is away or full.

        Raises:
            InvalidArgument: the batch is empty or too large.
            BartizanError: the server refused it, or was away for too long.
        """
        request = trace_pb2.ExportTracesRequest(spans=spans, want_verdicts=want_verdicts)
        check_batch(len(request.spans), request.ByteSize())
        response: trace_pb2.ExportTracesResponse = self._unary(self._ingest.ExportTraces, request)
        return response.ack

    def stream(
        self,
        stream_id: str | None = None,
        want_verdicts: bool = False,
        *,
        limits: Limits | None = None,
        max_attempts: int | None = None,
    ) -> Stream:
        """Opens a stream, for sending much or for long.

        Args:
            stream_id: names it through reconnects and restarts; a new one when not given.
            want_verdicts: ask for the verdicts of the inline rules in each ack.
            limits: how much may wait for acks before `send` waits.
            max_attempts: give up after so many failures in a row; never when not given.
        """
        opening = trace_pb2.StreamOpen(
            stream_id=stream_id or str(uuid.uuid4()), want_verdicts=want_verdicts
        )
        return Stream(
            lambda requests: self._ingest.StreamTraces(requests, metadata=self._metadata),
            opening,
            backoff=self._backoff,
            limits=limits or Limits(),
            max_attempts=max_attempts,
            sleep=self._sleep,
        )

    def span(
        self,
        name: str,
        *,
        kind: str = "",
        agent: str = "",
        model: str = "",
        provider: str = "",
        tool_name: str = "",
        user_id: str = "",
        session_id: str = "",
        environment: str = "",
        machine: str = "",
        workspace: str = "",
    ) -> Span:
        """Records the block that follows as a span and sends it at its end.

        A span inside another one joins its trace and takes over its agent, user, session,
        environment, machine and workspace. The kind is "llm" when a model is given, "tool" when
        a tool is, else "chain"; "agent", "retriever" and the others of the contract can be told.

        Raises:
            InvalidArgument: there is no such kind; at the end: the server refused the span.
            BartizanError: at the end: the span could not be sent.
        """
        fields = {
            "agent": agent,
            "model": model,
            "provider": provider,
            "tool_name": tool_name,
            "user_id": user_id,
            "session_id": session_id,
            "environment": environment,
            "machine": machine,
            "workspace": workspace,
        }
        return Span(self.export, self._source, name, kind, fields)

    def list_traces(
        self, limit: int | None = None, **query: Unpack[TraceQuery]
    ) -> Iterator[trace_pb2.Trace]:
        """Yields traces, newest first, page by page as they are asked for.

        Raises InvalidArgument for a wrong filter and BartizanError when a call fails.
        """
        request = trace_pb2.ListTracesRequest(filter=trace_filter(query, _now()))
        return self._pages(self._traces.ListTraces, request, "traces", limit)

    def get_trace(self, name: str, omit_content: bool = False) -> TraceView:
        """Returns a trace with its spans, by its name or trace id; raises NotFound."""
        request = trace_pb2.GetTraceRequest(name=name, omit_content=omit_content)
        view = TraceView(trace_pb2.Trace())
        for part in self._server_stream(self._traces.GetTrace, request, self._timeout_s):
            if part.HasField("trace"):
                view.trace.CopyFrom(part.trace)
            view.spans.extend(part.spans)
            view.findings.extend(part.findings)
        return view

    def list_sessions(
        self, limit: int | None = None, **query: Unpack[SessionQuery]
    ) -> Iterator[trace_pb2.Session]:
        """Yields sessions, last active first, page by page as they are asked for.

        Raises InvalidArgument for a wrong filter and BartizanError when a call fails.
        """
        request = trace_pb2.ListSessionsRequest(filter=session_filter(query, _now()))
        return self._pages(self._traces.ListSessions, request, "sessions", limit)

    def get_session(self, name: str) -> trace_pb2.Session:
        """Returns a session by its name or session id; raises NotFound."""
        request = trace_pb2.GetSessionRequest(name=name)
        response: trace_pb2.GetSessionResponse = self._unary(self._traces.GetSession, request)
        return response.session

    def tail(self, **query: Unpack[TraceQuery]) -> Iterator[trace_pb2.TailTracesResponse]:
        """Yields traces as their spans are committed, from now until the caller stops.

        Raises InvalidArgument for a wrong filter and BartizanError when the connection breaks.
        """
        request = trace_pb2.TailTracesRequest(filter=trace_filter(query, _now()))
        return self._server_stream(self._traces.TailTraces, request, None)

    def call(self, method: str, request: bytes) -> bytes:
        """Calls any unary method of the server, `package.Service/Method`, with serialized messages.

        Raises BartizanError when the call fails.
        """
        response: bytes = self._unary(self._channel.unary_unary(f"/{method}"), request)
        return response

    def _unary(self, method: Callable[..., Any], request: Any) -> Any:
        failures = 0
        while True:
            try:
                return method(request, metadata=self._metadata, timeout=self._timeout_s)
            except grpc.RpcError as raised:
                error = from_rpc(raised)
            failures += 1
            if not error.retryable or failures >= self._max_attempts:
                raise error
            (self._sleep or time.sleep)(self._backoff.delay_s(failures, error.retry_delay_s))

    def _pages(
        self, method: Callable[..., Any], request: Any, items: str, limit: int | None
    ) -> Iterator[Any]:
        left = limit
        while left is None or left > 0:
            request.page_size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            page = self._unary(method, request)
            found = getattr(page, items)
            yield from found if left is None else found[:left]
            left = left if left is None else left - len(found)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return

    def _server_stream(
        self, method: Callable[..., Any], request: Any, timeout_s: float | None
    ) -> Iterator[Any]:
        call = method(request, metadata=self._metadata, timeout=timeout_s)
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()


def _now() -> datetime:
    return datetime.now(timezone.utc)
