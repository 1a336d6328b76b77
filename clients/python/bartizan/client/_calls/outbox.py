"""The batches of a stream that are not acked yet. Knows nothing of connections."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bartizan.client._calls.errors import (
    BartizanError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    from bartizan.v1 import common_pb2, trace_pb2

MAX_BATCH_SPANS = 10_000
MAX_BATCH_BYTES = 60 * 1024 * 1024
"""Leaves room below the server's limit of 64 MiB a message."""


@dataclass(frozen=True)
class Limits:
    """How much a stream holds back before `send` waits.

    Attributes:
        batches: sent or not, without an ack.
        bytes: their sizes on the wire added up.
    """

    batches: int = 64
    bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class _Batch:
    message: trace_pb2.SpanBatch
    size: int
    ticket: Future[trace_pb2.Ack]


class Outbox:
    """A bounded queue that forgets a batch only when it is acked or has failed.

    Batches are numbered from the highest seq that was committed when the stream was first opened,
    so that a stream id can be taken up again by another process.
    """

    def __init__(self, limits: Limits) -> None:
        from bartizan.v1 import trace_pb2

        self._limits = limits
        self._changed = threading.Condition()
        self._pending: deque[_Batch] = deque()
        self._bytes = 0
        self._committed: int | None = None
        self._connection = 0
        self._window = 0
        self._sent = 0
        self._pause_s = 0.0
        self._closed = False
        self._error: BartizanError | None = None
        self._totals = trace_pb2.StreamSummary()

    @property
    def totals(self) -> trace_pb2.StreamSummary:
        """What has been acked so far."""
        with self._changed:
            totals = type(self._totals)()
            totals.CopyFrom(self._totals)
            return totals

    def put(
        self, spans: Iterable[common_pb2.Span], timeout_s: float | None
    ) -> Future[trace_pb2.Ack]:
        """Queues one batch, waiting while the queue is full.

        Raises:
            InvalidArgument: the batch has no spans or too many, or is too large.
            DeadlineExceeded: the queue was still full after timeout_s seconds.
            FailedPrecondition: the stream is closed.
        """
        from bartizan.v1 import trace_pb2

        return self.put_batch(trace_pb2.SpanBatch(spans=spans), timeout_s)

    def put_batch(
        self, message: trace_pb2.SpanBatch, timeout_s: float | None
    ) -> Future[trace_pb2.Ack]:
        """Queues one batch that the caller no longer touches. Raises what `put` raises."""
        batch = _make_batch(message)
        with self._changed:
            if not self._changed.wait_for(lambda: self._may_put(batch.size), timeout_s):
                raise DeadlineExceeded("The stream's queue is full.", reason="QUEUE_FULL")
            if self._error is not None:
                raise self._error
            if self._closed:
                raise FailedPrecondition("The stream is closed.", reason="STREAM_CLOSED")
            self._pending.append(batch)
            self._bytes += batch.size
            self._changed.notify_all()
        return batch.ticket

    def connect(self) -> int:
        """Starts over on a new connection and returns its number."""
        with self._changed:
            self._connection += 1
            self._window = self._sent = 0
            self._changed.notify_all()
            return self._connection

    def opened(self, last_committed_seq: int, window: int) -> bool:
        """Lets sending begin, and settles what the server has committed meanwhile.

        Returns False if what waited before still waits.
        """
        with self._changed:
            waited = len(self._pending)
            if self._committed is None:
                self._committed = last_committed_seq
            settled = [self._pop_settled() for _ in range(self._settled_by(last_committed_seq))]
            # Normally it is that already; if not, the server's count is the one to go on from.
            self._committed = self._totals.last_committed_seq = last_committed_seq
            self._window = max(1, window)
            self._changed.notify_all()
        for batch, ack in settled:
            batch.ticket.set_result(ack)
        return not waited or bool(settled)

    def pause(self, seconds: float) -> None:
        """Makes the next batch wait so long."""
        with self._changed:
            self._pause_s = max(self._pause_s, seconds)

    def take(self, connection: int) -> tuple[trace_pb2.SpanBatch, float] | None:
        """Returns the next batch and the seconds to wait before it is sent.

        Waits for one; returns None when no more will come on this connection.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._may_take(connection))
            if connection != self._connection or self._sent == len(self._pending):
                return None
            message = next(islice(self._pending, self._sent, None)).message
            self._sent += 1
            message.seq = (self._committed or 0) + self._sent
            pause_s, self._pause_s = self._pause_s, 0.0
            return message, pause_s

    def acked(self, ack: trace_pb2.Ack) -> None:
        """Settles the oldest batch; raises Internal if the ack is for another one."""
        with self._changed:
            expected = (self._committed or 0) + 1
            if ack.seq != expected or not self._sent:
                raise Internal(f"The server acked batch {ack.seq}, not {expected}.")
            batch = self._pop(ack)
        batch.ticket.set_result(ack)

    def fail(self, error: BartizanError) -> None:
        """Ends the stream: every open ticket, and every later call, gets this error."""
        with self._changed:
            self._error = self._error or error
            self._connection += 1
            batches = list(self._pending)
            self._bytes = self._sent = 0
            self._pending.clear()
            self._changed.notify_all()
        for batch in batches:
            batch.ticket.set_exception(error)

    def close(self) -> None:
        """Takes no more batches; what is queued is still sent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait_empty(self, timeout_s: float | None) -> None:
        """Waits until every batch is acked.

        Raises:
            DeadlineExceeded: some were not after timeout_s seconds.
            BartizanError: the stream has failed.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: not self._pending, timeout_s):
                raise DeadlineExceeded(
                    f"{len(self._pending)} batches are not acked yet.", reason="NOT_ACKED"
                )
            if self._error is not None:
                raise self._error

    @property
    def done(self) -> bool:
        """True if the outbox is closed and nothing waits in it."""
        with self._changed:
            return self._closed and not self._pending

    def _may_put(self, size: int) -> bool:
        if self._error is not None or self._closed or not self._pending:
            return True
        room = self._bytes + size <= self._limits.bytes
        return room and len(self._pending) < self._limits.batches

    def _may_take(self, connection: int) -> bool:
        if connection != self._connection:
            return True
        if self._sent < len(self._pending):
            return self._sent < self._window
        return self._closed and self._window > 0

    def _settled_by(self, last_committed_seq: int) -> int:
        return max(0, min(len(self._pending), last_committed_seq - (self._committed or 0)))

    def _pop_settled(self) -> tuple[_Batch, trace_pb2.Ack]:
        from bartizan.v1 import trace_pb2

        # What the server would answer if the batch were sent again.
        ack = trace_pb2.Ack(
            seq=(self._committed or 0) + 1, duplicate=len(self._pending[0].message.spans)
        )
        return self._pop(ack), ack

    def _pop(self, ack: trace_pb2.Ack) -> _Batch:
        batch = self._pending.popleft()
        self._bytes -= batch.size
        self._sent = max(0, self._sent - 1)
        self._committed = ack.seq
        add(self._totals, ack)
        self._changed.notify_all()
        return batch


def _make_batch(message: trace_pb2.SpanBatch) -> _Batch:
    from concurrent.futures import Future

    check_batch(len(message.spans), message.ByteSize())
    ticket: Future[trace_pb2.Ack] = Future()
    # From here on nobody can cancel it: the batch may be on its way.
    ticket.set_running_or_notify_cancel()
    return _Batch(message, message.ByteSize(), ticket)


def check_batch(spans: int, size: int) -> None:
    """Raises InvalidArgument when a batch is empty or more than a server takes at once."""
    if not 1 <= spans <= MAX_BATCH_SPANS:
        raise InvalidArgument(
            f"A batch holds 1 to {MAX_BATCH_SPANS:,} spans, not {spans:,}.", reason="BATCH_COUNT"
        )
    if size > MAX_BATCH_BYTES:
        raise InvalidArgument(
            f"A batch holds at most {MAX_BATCH_BYTES:,} bytes, not {size:,}.", reason="BATCH_SIZE"
        )


def add(totals: trace_pb2.StreamSummary, ack: trace_pb2.Ack) -> None:
    """Adds one ack to the totals of a stream."""
    totals.last_committed_seq = max(totals.last_committed_seq, ack.seq)
    totals.batches += 1
    totals.stored += ack.stored
    totals.duplicate += ack.duplicate
    totals.rejected += len(ack.rejected)
    totals.quarantined += ack.quarantined
