"""An ingest service with a script: what goes wrong, on which connection, after how much."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from bartizan.v1 import common_pb2, trace_pb2, trace_pb2_grpc

KEY = "btz_right"
POISON = "poison"
"""A batch with a span of this name is refused as a whole."""
GATE_S = 20
STOP_S = 5
"""Calls that are over end at once; without a grace gRPC would log that it cancelled them."""


def fail(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    retry_delay_s: float | None = None,
) -> NoReturn:
    """Ends a call as Bartizan does: a status with an ErrorInfo, and a RetryInfo where it helps."""
    status = status_pb2.Status(code=code.value[0], message=message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain="bartizan.dev"))
    if retry_delay_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(retry_delay_s * 1000))
        status.details.add().Pack(retry)
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError


def check_key(context: grpc.ServicerContext, key: str = KEY) -> None:
    """Ends the call unless it carries the right key."""
    metadata: Any = context.invocation_metadata()
    if dict(metadata).get("authorization") != f"Bearer {key}":
        fail(context, grpc.StatusCode.UNAUTHENTICATED, "KEY_INVALID", "The API key is not valid.")


@dataclass(frozen=True)
class Plan:
    """What happens on one connection of a stream.

    Attributes:
        refuse: the code, reason and retry delay to end it with before anything is said.
        acks: after so many, the connection breaks.
        lost_acks: so many batches more are committed before it breaks, without a word.
        throttle_s: asked for before the first ack.
        quiet_end: end with OK instead of UNAVAILABLE.
        window: how many batches may wait for their acks.
    """

    refuse: tuple[grpc.StatusCode, str, float | None] | None = None
    acks: int | None = None
    lost_acks: int = 0
    throttle_s: float = 0
    quiet_end: bool = False
    window: int = 4


@dataclass
class Connection:
    """What one connection saw."""

    last_committed_seq: int
    want_verdicts: bool
    seqs: list[int] = field(default_factory=list)


class FakeIngest(trace_pb2_grpc.IngestServiceServicer):
    """Keeps spans in memory, and the promises of the contract unless its script says otherwise."""

    def __init__(self) -> None:
        self.spans: dict[tuple[str, str], common_pb2.Span] = {}
        self.committed: dict[str, int] = {}
        self.connections: list[Connection] = []
        self.plans: deque[Plan] = deque()
        self.export_failures: deque[tuple[grpc.StatusCode, str, float | None]] = deque()
        self.key = KEY
        self.poison: tuple[grpc.StatusCode, str, float | None] = (
            grpc.StatusCode.INVALID_ARGUMENT,
            "BAD_BATCH",
            None,
        )
        self.lock = threading.Lock()
        self.gate = threading.Event()
        """While it is not set, nothing is committed."""
        self.gate.set()

    def ExportTraces(
        self, request: trace_pb2.ExportTracesRequest, context: grpc.ServicerContext
    ) -> trace_pb2.ExportTracesResponse:
        check_key(context, self.key)
        self._check_poison(request.spans, context)
        if self.export_failures:
            code, reason, delay = self.export_failures.popleft()
            fail(context, code, reason, "It does not work now.", delay)
        return trace_pb2.ExportTracesResponse(ack=self._store(request.spans))

    def StreamTraces(
        self,
        request_iterator: Iterator[trace_pb2.StreamTracesRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[trace_pb2.StreamTracesResponse]:
        check_key(context, self.key)
        plan = self.plans.popleft() if self.plans else Plan()
        if plan.refuse is not None:
            code, reason, delay = plan.refuse
            fail(context, code, reason, "It does not work now.", delay)
        opening = next(request_iterator).open
        committed = self.committed.get(opening.stream_id, 0)
        connection = Connection(committed, opening.want_verdicts)
        self.connections.append(connection)
        yield trace_pb2.StreamTracesResponse(
            opened=trace_pb2.StreamOpened(last_committed_seq=committed, max_in_flight=plan.window)
        )
        yield from self._answer(plan, opening.stream_id, connection, request_iterator, context)

    def _answer(
        self,
        plan: Plan,
        stream_id: str,
        connection: Connection,
        requests: Iterator[trace_pb2.StreamTracesRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[trace_pb2.StreamTracesResponse]:
        summary = trace_pb2.StreamSummary()
        if plan.acks == 0 and not plan.lost_acks:
            return self._break(plan, context)
        for done, request in enumerate(requests, start=1):
            self._check_poison(request.batch.spans, context)
            ack = self._commit(stream_id, connection, request.batch)
            summary.batches += 1
            if plan.throttle_s and done == 1:
                throttle = trace_pb2.Throttle(limit="server.queue")
                throttle.retry_delay.FromMilliseconds(int(plan.throttle_s * 1000))
                yield trace_pb2.StreamTracesResponse(throttle=throttle)
            if plan.acks is None or done <= plan.acks:
                yield trace_pb2.StreamTracesResponse(ack=ack)
            if plan.acks is not None and done == plan.acks + plan.lost_acks:
                return self._break(plan, context)
        yield trace_pb2.StreamTracesResponse(summary=summary)

    def _check_poison(self, spans: Any, context: grpc.ServicerContext) -> None:
        if any(span.name == POISON for span in spans):
            code, reason, delay = self.poison
            fail(context, code, reason, "It does not work with this.", delay)

    def _break(self, plan: Plan, context: grpc.ServicerContext) -> None:
        if not plan.quiet_end:
            fail(context, grpc.StatusCode.UNAVAILABLE, "DRAINING", "The server is going away.")

    def _commit(
        self, stream_id: str, connection: Connection, batch: trace_pb2.SpanBatch
    ) -> trace_pb2.Ack:
        connection.seqs.append(batch.seq)
        ack = self._store(batch.spans)
        ack.seq = batch.seq
        self.committed[stream_id] = max(batch.seq, self.committed.get(stream_id, 0))
        return ack

    def _store(self, spans: Any) -> trace_pb2.Ack:
        self.gate.wait(GATE_S)
        ack = trace_pb2.Ack()
        for index, span in enumerate(spans):
            if not span.trace_id:
                ack.rejected.add(
                    index=index,
                    reason=trace_pb2.REJECT_REASON_MISSING,
                    field="trace_id",
                    detail="is required",
                )
                continue
            with self.lock:
                new = (span.trace_id, span.span_id) not in self.spans
                self.spans.setdefault((span.trace_id, span.span_id), span)
            ack.stored += new
            ack.duplicate += not new
        return ack
