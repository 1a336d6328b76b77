"""Calls to the server: sending batches, reading, managing."""

from __future__ import annotations

import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

# What needs grpc is imported where it is used: `import bartizan.client` stays quick, and a program
# that forks its workers before the first span has no threads of gRPC yet.


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import grpc
    from typing_extensions import Unpack

    from bartizan.client._calls.admin import Admin
    from bartizan.client._calls.channel import Target
    from bartizan.client._calls.outbox import Limits
    from bartizan.client._calls.query import SessionQuery, TraceQuery
    from bartizan.client._calls.retry import Backoff
    from bartizan.client._calls.stream import Stream
    from bartizan.v1 import (
        common_pb2,
        evaluation_pb2,
        evaluation_pb2_grpc,
        guardrail_pb2_grpc,
        trace_pb2,
        trace_pb2_grpc,
    )

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


class Wire(NamedTuple):
    """A channel and what is called through it."""

    process: int
    channel: grpc.Channel
    ingest: trace_pb2_grpc.IngestServiceStub
    traces: trace_pb2_grpc.TraceServiceStub
    guardrails: guardrail_pb2_grpc.GuardrailServiceStub
    evaluations: evaluation_pb2_grpc.EvaluationServiceStub


class Api:
    """The calls of one server. Safe to use from several threads; connects at the first call.

    Args:
        target: where the server is.
        timeout_s: how long one attempt of one call may take, in seconds.
        max_attempts: how often a call that may be tried again is tried.
        backoff: how long to wait in between.
        sleep: waits so many seconds; passed in by tests.
    """

    def __init__(
        self,
        target: Target,
        timeout_s: float,
        max_attempts: int,
        backoff: Backoff,
        sleep: Callable[[float], object] | None,
    ) -> None:
        self.endpoint = target.address
        self._target = target
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._backoff = backoff
        self._sleep = sleep
        self._dialing = threading.Lock()
        self._dialed: Wire | None = None
        self._closed = False

    @property
    def admin(self) -> Admin:
        """Organizations, projects and keys."""
        from bartizan.client._calls.admin import Admin

        return Admin(self._wire.channel, self._unary)

    def export(
        self, spans: Iterable[common_pb2.Span], want_verdicts: bool = False
    ) -> trace_pb2.Ack:
        """Sends one batch and returns its ack, which means that it is committed.

        It is tried again while the server is away or full.

        Raises:
            InvalidArgument: the batch is empty or too large.
            BartizanError: the server refused it, or was away for too long.
        """
        from bartizan.client._calls.outbox import check_batch
        from bartizan.v1 import trace_pb2

        request = trace_pb2.ExportTracesRequest(spans=spans, want_verdicts=want_verdicts)
        check_batch(len(request.spans), request.ByteSize())
        response: trace_pb2.ExportTracesResponse = self._unary(
            self._wire.ingest.ExportTraces, request
        )
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
        from bartizan.client._calls.outbox import Limits
        from bartizan.client._calls.stream import Stream
        from bartizan.v1 import trace_pb2

        ingest = self._wire.ingest
        opening = trace_pb2.StreamOpen(
            stream_id=stream_id or str(uuid.uuid4()), want_verdicts=want_verdicts
        )
        return Stream(
            lambda requests: ingest.StreamTraces(requests, metadata=self._target.metadata),
            opening,
            backoff=self._backoff,
            limits=limits or Limits(),
            max_attempts=max_attempts,
            sleep=self._sleep,
        )

    def list_traces(
        self, limit: int | None = None, **query: Unpack[TraceQuery]
    ) -> Iterator[trace_pb2.Trace]:
        """Yields traces, newest first, page by page as they are asked for.

        Raises InvalidArgument for a wrong filter and BartizanError when a call fails.
        """
        from bartizan.client._calls.query import trace_filter
        from bartizan.v1 import trace_pb2

        request = trace_pb2.ListTracesRequest(filter=trace_filter(query, _now()))
        return self._pages(self._wire.traces.ListTraces, request, "traces", limit)

    def get_trace(self, name: str, omit_content: bool = False) -> TraceView:
        """Returns a trace with its spans, by its name or trace id; raises NotFound."""
        from bartizan.v1 import trace_pb2

        request = trace_pb2.GetTraceRequest(name=name, omit_content=omit_content)
        view = TraceView(trace_pb2.Trace())
        for part in self._server_stream(self._wire.traces.GetTrace, request, self._timeout_s):
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
        from bartizan.client._calls.query import session_filter
        from bartizan.v1 import trace_pb2

        request = trace_pb2.ListSessionsRequest(filter=session_filter(query, _now()))
        return self._pages(self._wire.traces.ListSessions, request, "sessions", limit)

    def get_session(self, name: str) -> trace_pb2.Session:
        """Returns a session by its name or session id; raises NotFound."""
        from bartizan.v1 import trace_pb2

        request = trace_pb2.GetSessionRequest(name=name)
        response: trace_pb2.GetSessionResponse = self._unary(self._wire.traces.GetSession, request)
        return response.session

    def list_feedback(
        self,
        limit: int | None = None,
        *,
        trace_id: str = "",
        session_id: str = "",
        user_id: str = "",
    ) -> Iterator[evaluation_pb2.Feedback]:
        """Yields feedback, newest first, page by page as it is asked for.

        Raises BartizanError when a call fails.
        """
        from bartizan.v1 import evaluation_pb2

        wanted = evaluation_pb2.FeedbackFilter(
            trace_id=trace_id, session_id=session_id, user_id=user_id
        )
        request = evaluation_pb2.ListFeedbackRequest(filter=wanted)
        return self._pages(self._wire.evaluations.ListFeedback, request, "feedback", limit)

    def tail(self, **query: Unpack[TraceQuery]) -> Iterator[trace_pb2.TailTracesResponse]:
        """Yields traces as their spans are committed, from now until the caller stops.

        Raises InvalidArgument for a wrong filter and BartizanError when the connection breaks.
        """
        from bartizan.client._calls.query import trace_filter
        from bartizan.v1 import trace_pb2

        request = trace_pb2.TailTracesRequest(filter=trace_filter(query, _now()))
        return self._server_stream(self._wire.traces.TailTraces, request, None)

    def guardrail(self, method: str) -> tuple[Any, tuple[tuple[str, str | bytes], ...]]:
        """Returns a method of GuardrailService, and the metadata to call it with."""
        return getattr(self._wire.guardrails, method), self._target.metadata

    def call(self, method: str, request: bytes) -> bytes:
        """Calls any unary method of the server, `package.Service/Method`, with serialized messages.

        Raises BartizanError when the call fails.
        """
        response: bytes = self._unary(self._wire.channel.unary_unary(f"/{method}"), request)
        return response

    def _close_wire(self) -> None:
        with self._dialing:
            self._closed = True
            dialed, self._dialed = self._dialed, None
        # A forked process leaves the connection of its parent alone.
        if dialed is not None and dialed.process == os.getpid():
            dialed.channel.close()

    @property
    def _wire(self) -> Wire:
        with self._dialing:
            if self._closed:
                from bartizan.client._calls.errors import FailedPrecondition

                raise FailedPrecondition("The client was closed.", reason="CLIENT_CLOSED")
            if self._dialed is None or self._dialed.process != os.getpid():
                self._dialed = _dial(self._target)
            return self._dialed

    def _unary(
        self, method: Callable[..., Any], request: Any, timeout_s: float | None = None
    ) -> Any:
        import grpc

        from bartizan.client._calls.errors import from_rpc

        timeout_s = timeout_s or self._timeout_s
        failures = 0
        while True:
            try:
                return method(request, metadata=self._target.metadata, timeout=timeout_s)
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
        import grpc

        from bartizan.client._calls.errors import from_rpc

        call = method(request, metadata=self._target.metadata, timeout=timeout_s)
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()


def _dial(target: Target) -> Wire:
    from bartizan.client._calls.channel import dial
    from bartizan.v1 import evaluation_pb2_grpc, guardrail_pb2_grpc, trace_pb2_grpc

    channel = dial(target)
    return Wire(
        os.getpid(),
        channel,
        trace_pb2_grpc.IngestServiceStub(channel),
        trace_pb2_grpc.TraceServiceStub(channel),
        guardrail_pb2_grpc.GuardrailServiceStub(channel),
        evaluation_pb2_grpc.EvaluationServiceStub(channel),
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)
