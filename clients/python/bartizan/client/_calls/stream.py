"""A stream of batches that outlives its connections."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Callable, Protocol

from bartizan.client._calls.errors import (
    BartizanError,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    Unavailable,
    from_rpc,
)
from bartizan.client._calls.outbox import Limits, Outbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from types import TracebackType

    from bartizan.client._calls.retry import Backoff
    from bartizan.v1 import common_pb2, trace_pb2

CLOSE_TIMEOUT_S = 30.0
"""Long enough for a server to restart, short enough for a program that wants to end."""


class Call(Protocol):
    """The part of a running grpc call that a stream uses."""

    def __iter__(self) -> Iterator[trace_pb2.StreamTracesResponse]:
        """Yields what the server sends."""
        ...

    def cancel(self) -> object:
        """Ends the call."""
        ...


Dial = Callable[["Iterator[trace_pb2.StreamTracesRequest]"], Call]
Watch = Callable[["BartizanError | None"], object]


class Stream:
    """Sends batches of spans and tells of each when it is committed.

    When the connection breaks, it connects again, learns what is committed and sends the rest
    again. Made by `Bartizan.stream`; safe to use from several threads. As a context manager it
    closes at the end.
    """

    def __init__(
        self,
        dial: Dial,
        opening: trace_pb2.StreamOpen,
        *,
        backoff: Backoff,
        limits: Limits,
        max_attempts: int | None,
        sleep: Callable[[float], object] | None,
        watch: Watch | None = None,
    ) -> None:
        self._dial = dial
        self._opening = opening
        self._backoff = backoff
        self._max_attempts = max_attempts
        self._outbox = Outbox(limits)
        self._stopped = threading.Event()
        self._hurried = threading.Event()
        self._sleep = sleep or self._hurried.wait
        self._pause = sleep or self._stopped.wait
        self._watch = watch
        self._calling = threading.Lock()
        self._call: Call | None = None
        self._failures = 0
        self._summarized = False
        self._worker = threading.Thread(target=self._run, name="bartizan-stream", daemon=True)
        self._worker.start()

    @property
    def stream_id(self) -> str:
        """What names this stream through reconnects."""
        return self._opening.stream_id

    @property
    def totals(self) -> trace_pb2.StreamSummary:
        """What has been acked so far, on all connections of this object."""
        return self._outbox.totals

    def send(
        self, spans: Iterable[common_pb2.Span], timeout_s: float | None = None
    ) -> Future[trace_pb2.Ack]:
        """Queues one batch; the ticket's result is its ack, which means that it is committed.

        Waits while too much is on its way: at most timeout_s seconds, or as long as it takes.
        When a batch was committed but its ack was lost with the connection, all its spans count
        as duplicates, just as if it had been sent again.

        Raises:
            InvalidArgument: the batch is empty or too large.
            DeadlineExceeded: there was no room within timeout_s seconds.
            FailedPrecondition: the stream is closed.
            BartizanError: the stream has failed, for example for a wrong key.
        """
        return self._outbox.put(spans, timeout_s)

    def send_batch(self, batch: trace_pb2.SpanBatch) -> Future[trace_pb2.Ack]:
        """Queues one batch that the caller no longer touches; does and raises what `send` does."""
        return self._outbox.put_batch(batch, None)

    def acks(self, batches: Iterable[Iterable[common_pb2.Span]]) -> Iterator[trace_pb2.Ack]:
        """Sends batches one after the other and yields their acks in that order.

        Raises what `send` raises.
        """
        tickets: deque[Future[trace_pb2.Ack]] = deque()
        for spans in batches:
            try:
                tickets.append(self.send(spans))
            except BartizanError:
                # What was acked before the stream failed is told before that.
                yield from (ticket.result() for ticket in tickets if _is_acked(ticket))
                raise
            while tickets and tickets[0].done():
                yield tickets.popleft().result()
        for ticket in tickets:
            yield ticket.result()

    def flush(self, timeout_s: float | None = CLOSE_TIMEOUT_S) -> None:
        """Waits until everything sent so far is acked.

        Raises:
            DeadlineExceeded: it was not after timeout_s seconds; the stream goes on.
            BartizanError: the stream has failed.
        """
        self._outbox.wait_empty(timeout_s)

    def close(self, timeout_s: float | None = CLOSE_TIMEOUT_S) -> trace_pb2.StreamSummary:
        """Sends what is queued, waits for its acks, ends the stream and returns the totals.

        Raises:
            DeadlineExceeded: some batches were not acked after timeout_s seconds; they have failed.
            BartizanError: the stream has failed.
        """
        self._outbox.close()
        self._worker.join(timeout_s)
        if self._worker.is_alive():
            self.abort(DeadlineExceeded("The stream did not end in time.", reason="NOT_ACKED"))
        self._outbox.wait_empty(0)
        return self.totals

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except BartizanError:
            # What went wrong in the block says more than that the stream did not end well.
            if error is None:
                raise

    def hurry(self, *, reconnect: bool = False) -> None:
        """Ends the wait before the next attempt; with `reconnect` ends the connection as well."""
        with self._calling:
            self._hurried.set()
            if reconnect and self._call is not None:
                self._call.cancel()

    def abort(self, error: BartizanError) -> None:
        """Ends the stream at once; what is not acked fails with this error."""
        self._outbox.fail(error)
        with self._calling:
            self._stopped.set()
            self._hurried.set()
            if self._call is not None:
                self._call.cancel()
        self._worker.join()

    def _run(self) -> None:
        try:
            self._stay_connected()
        except BaseException:
            # Nobody would wake those who wait for tickets.
            self._outbox.fail(Internal("The stream's thread has failed."))
            raise

    def _stay_connected(self) -> None:
        while (error := self._converse()) is not None:
            self._failures += 1
            self._tell(error)
            if self._outbox.done and error.retryable:
                return
            if not error.retryable or self._failures == self._max_attempts:
                self._outbox.fail(error)
                return
            self._sleep(self._backoff.delay_s(self._failures, error.retry_delay_s))
            if not self._stopped.is_set():
                self._hurried.clear()

    def _tell(self, error: BartizanError | None) -> None:
        if self._watch is not None:
            self._watch(error)

    def _converse(self) -> BartizanError | None:
        """Talks over one connection; returns None when all is said, else why it ended."""
        import grpc

        connection = self._outbox.connect()
        with self._calling:
            if self._stopped.is_set():
                return None
            try:
                self._call = call = self._dial(self._requests(connection))
            except ValueError:
                # What grpc raises for a channel that is closed.
                return FailedPrecondition("The client was closed.", reason="CLIENT_CLOSED")
        try:
            for response in call:
                self._handle(response)
        except grpc.RpcError as error:
            return from_rpc(error)
        except BartizanError as error:
            call.cancel()
            return error
        finally:
            # Sets the thread free in which gRPC waits for the next request.
            self._outbox.connect()
        return None if self._summarized else Unavailable("The server ended the stream.")

    def _requests(self, connection: int) -> Iterator[trace_pb2.StreamTracesRequest]:
        from bartizan.v1 import trace_pb2

        yield trace_pb2.StreamTracesRequest(open=self._opening)
        while (item := self._outbox.take(connection)) is not None:
            batch, pause_s = item
            if pause_s:
                self._pause(pause_s)
            yield trace_pb2.StreamTracesRequest(batch=batch)

    def _handle(self, response: trace_pb2.StreamTracesResponse) -> None:
        kind = response.WhichOneof("message")
        if kind == "ack":
            self._failures = 0
            self._outbox.acked(response.ack)
        elif kind == "throttle":
            delay = response.throttle.retry_delay
            self._outbox.pause(delay.seconds + delay.nanos / 1e9)
        elif kind == "opened":
            opened = response.opened
            if self._outbox.opened(opened.last_committed_seq, opened.max_in_flight):
                self._failures = 0
            self._tell(None)
        elif kind == "summary":
            self._summarized = self._outbox.done
        else:
            raise Internal("The server sent a message that this client does not know.")


def _is_acked(ticket: Future[trace_pb2.Ack]) -> bool:
    return ticket.done() and ticket.exception() is None
