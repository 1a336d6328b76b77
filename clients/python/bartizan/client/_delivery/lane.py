"""How batches of one kind are sent: one at a time by a call, or many on a stream."""

from __future__ import annotations

import contextlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Callable

from bartizan.client._calls.errors import BartizanError, Internal
from bartizan.client._calls.retry import Backoff
from bartizan.client._delivery.batch import METHODS, STREAM_FIELD, Batch, framed, of_ack, outcome
from bartizan.client._delivery.verdict import Verdict, judge
from bartizan.client._delivery.wire import STREAM
from bartizan.client._record import SPAN

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bartizan.client._calls.stream import Stream, Watch
    from bartizan.client._delivery.herald import Herald
    from bartizan.client._delivery.stats import Outcome
    from bartizan.client._delivery.wire import Wire
    from bartizan.v1 import trace_pb2

MAX_BATCHES = 16
"""How many are kept here, sent or not: as many as a server lets wait on a stream, and no more."""
TRIES = {Verdict.REFUSED: 2, Verdict.SICK: 5}
"""After so many refusals a single item is given up."""
CALL_TIMEOUT_S = 30.0
STUBBORN_S = 60.0
"""The longest wait while a person has to act first."""

Settle = Callable[[Batch, "Outcome"], None]
GiveUp = Callable[[Batch, str], None]


class Lane:
    """Sends batches of one kind by calls. Only the sender's thread uses it.

    Args:
        kind: of its batches.
        wire: the way to the server.
        herald: is told what works and what does not.
        backoff: how long to wait after a failure.
        settle: takes batches that the server has answered.
        give_up: takes batches that will never be sent, with the reason.
    """

    def __init__(
        self,
        kind: int,
        wire: Wire,
        herald: Herald,
        backoff: Backoff,
        settle: Settle,
        give_up: GiveUp,
    ) -> None:
        self.kind = kind
        self.held: deque[Batch] = deque()
        self.not_before = 0.0
        self.blocked = False
        self._wire = wire
        self._herald = herald
        self._backoff = backoff
        self._stubborn = Backoff(max(1.0, backoff.first_s), STUBBORN_S, backoff.random)
        self._settle = settle
        self._give_up = give_up
        self._failures = 0

    @property
    def batches(self) -> int:
        """How many batches are here."""
        return len(self.held)

    @property
    def has_work(self) -> bool:
        """True if something can be sent once `not_before` is reached."""
        return bool(self.held)

    def add(self, batch: Batch) -> None:
        """Takes a batch in."""
        self.held.append(batch)

    def send(self, now: float, timeout_s: float | None) -> None:
        """Sends the next batch; waits for the answer, at most timeout_s seconds."""
        self._call(self.held, now, timeout_s)

    def _call(self, waiting: deque[Batch], now: float, timeout_s: float | None) -> None:
        batch = waiting.popleft()
        timeout_s = CALL_TIMEOUT_S if timeout_s is None else min(timeout_s, CALL_TIMEOUT_S)
        try:
            answer = self._wire.call(METHODS[self.kind], batch.request(), max(0.0, timeout_s))
            made = outcome(self.kind, answer)
        except BartizanError as error:
            self._refused(waiting, batch, error, now)
        except ValueError:
            self._refused(waiting, batch, Internal("The answer cannot be read."), now)
        else:
            self.worked()
            self._settle(batch, made)

    def worked(self) -> None:
        """Takes note that the server takes batches."""
        self._failures, self.not_before, self.blocked = 0, 0.0, False
        self._herald.arrived()

    def _refused(
        self, waiting: deque[Batch], batch: Batch, error: BartizanError, now: float
    ) -> None:
        verdict = judge(error, proved=self._herald.proved)
        if verdict not in TRIES:
            waiting.appendleft(batch)
            self.wait(verdict, error, now)
            return
        batch.refusals += 1
        if len(batch.items) > 1:
            waiting.extendleft(reversed(batch.halves()))
        elif batch.refusals < TRIES[verdict]:
            waiting.appendleft(batch)
        else:
            self._herald.refused(batch.spans, error.message)
            self._give_up(batch, "refused")
        if verdict is Verdict.SICK:
            self.wait(verdict, error, now)

    def wait(self, verdict: Verdict, error: BartizanError, now: float) -> None:
        """Puts the next attempt off."""
        self._failures += 1
        self.blocked = verdict is Verdict.BLOCKED
        backoff = self._stubborn if self.blocked else self._backoff
        self._herald.failed(error)
        self.not_before = now + backoff.delay_s(self._failures, error.retry_delay_s)


class StreamLane(Lane):
    """Sends batches of spans on a stream, and those that the server refused one by one by calls.

    Args:
        watch: is told of each connection and each failure of one, on the stream's thread.
        answered: is told that a ticket was settled, on the stream's thread.
    """

    def __init__(
        self,
        wire: Wire,
        herald: Herald,
        backoff: Backoff,
        settle: Settle,
        give_up: GiveUp,
        watch: Watch,
        answered: Callable[[Batch, Future[trace_pb2.Ack]], object],
    ) -> None:
        super().__init__(SPAN, wire, herald, backoff, settle, give_up)
        self.stream: Stream | None = None
        self._watch = watch
        self._answered = answered
        self._suspects: deque[Batch] = deque()
        self._flying = 0
        self.by_calls = False
        """True once no stream can be opened: the interpreter starts no more threads."""

    @property
    def batches(self) -> int:
        """How many batches are here, on the stream included."""
        return len(self.held) + len(self._suspects) + self._flying

    @property
    def has_work(self) -> bool:
        """True if something can be sent once `not_before` is reached."""
        return bool(self.held or self._suspects)

    @property
    def flying(self) -> int:
        """How many batches wait for their acks."""
        return self._flying

    def send(self, now: float, timeout_s: float | None) -> None:
        """Puts the next batch on the stream, or sends a suspicious one by itself."""
        if self._suspects or self.by_calls:
            self._call(self._suspects or self.held, now, timeout_s)
            return
        if self.stream is None and not self._open():
            return
        batch = self.held.popleft()
        try:
            message = self._message(batch)
        except ValueError:
            self._unreadable(batch)
            return
        self._put(batch, message, now)

    def answer(self, batch: Batch, ticket: Future[trace_pb2.Ack], now: float) -> None:
        """Deals with a ticket that was settled."""
        self._flying -= 1
        error = ticket.exception()
        if error is None:
            self.worked()
            self._settle(batch, of_ack(ticket.result()))
        elif isinstance(error, BartizanError):
            self._returned(batch, error, now)

    def end(self, error: BartizanError) -> None:
        """Ends the stream at once; what is on it comes back."""
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.abort(error)
            self._wire.close(STREAM)

    def close(self, timeout_s: float) -> None:
        """Ends the stream in good order when nothing is on it."""
        stream, self.stream = self.stream, None
        if stream is None:
            return
        # Nothing is on it, so nothing is lost.
        with contextlib.suppress(BartizanError):
            stream.close(timeout_s)
        self._wire.close(STREAM)

    def _open(self) -> bool:
        try:
            self.stream = self._wire.open_stream(self._watch)
        except RuntimeError:
            self.by_calls = True
        return not self.by_calls

    def _message(self, batch: Batch) -> trace_pb2.SpanBatch:
        from google.protobuf.message import DecodeError

        from bartizan.v1 import trace_pb2

        try:
            return trace_pb2.SpanBatch.FromString(
                framed(STREAM_FIELD, (item.content for item in batch.items))
            )
        except DecodeError as error:
            raise ValueError from error

    def _unreadable(self, batch: Batch) -> None:
        if len(batch.items) > 1:
            self.held.extendleft(reversed(batch.halves()))
        else:
            self._give_up(batch, "encode")

    def _put(self, batch: Batch, message: trace_pb2.SpanBatch, now: float) -> None:
        assert self.stream is not None
        self._flying += 1
        try:
            ticket = self.stream.send_batch(message)
        except BartizanError as error:
            # The stream has just failed; what else was on it comes back by `answer`.
            self._flying -= 1
            self._returned(batch, error, now)
            return
        ticket.add_done_callback(partial(self._answered, batch))

    def _returned(self, batch: Batch, error: BartizanError, now: float) -> None:
        """Takes back what was on a stream that failed."""
        if self.stream is not None:
            self.end(error)
            verdict = judge(error, proved=self._herald.proved)
            if verdict is not Verdict.REFUSED:
                self.wait(verdict, error, now)
        self._suspects_or_held(error).append(batch)

    def _suspects_or_held(self, error: BartizanError) -> deque[Batch]:
        verdict = judge(error, proved=self._herald.proved)
        return self._suspects if verdict in TRIES else self.held
