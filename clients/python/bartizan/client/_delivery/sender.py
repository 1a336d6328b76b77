"""The thread that sees what was recorded through to its ack."""

from __future__ import annotations

import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Callable

from bartizan.client._calls.errors import BartizanError, Unavailable
from bartizan.client._delivery.batch import encode, pack
from bartizan.client._delivery.lane import MAX_BATCHES, Lane, StreamLane
from bartizan.client._delivery.store import NEVER
from bartizan.client._delivery.verdict import Verdict, judge
from bartizan.client._delivery.wire import CALLS, CLOSED
from bartizan.client._record import FEEDBACK, OTLP, SPAN

if TYPE_CHECKING:
    from concurrent.futures import Future

    from bartizan.client._calls.retry import Backoff
    from bartizan.client._delivery.batch import Batch
    from bartizan.client._delivery.herald import Herald
    from bartizan.client._delivery.sending import Sending
    from bartizan.client._delivery.stats import Outcome
    from bartizan.client._delivery.store import Store
    from bartizan.client._delivery.wire import Wire
    from bartizan.v1 import trace_pb2

IDLE_S = 30.0
"""A stream that was silent for longer is not used again: the network or a freeze may have cut it
without a word, and a new one costs less than finding that out."""
SILENT_S = 5.0
"""When somebody waits and no ack has come for so long, a new connection is tried."""
CLOSE_S = 1.0
"""How long a stream on which nothing waits may take to end."""
PATIENCE_S = 1.0
"""How long the end of a program waits for a server that was never there."""
ADOPT_EVERY_S = 30.0
STUMBLE_S = 1.0


class Sender:
    """Takes what waits, batches it and sends it. All of it runs on one thread.

    Args:
        store: where things wait.
        wire: the way to the server.
        herald: tells a person what changes.
        sending: the sizes of batches.
        backoff: how long to wait after a failure.
        clock: seconds, going on while the process is frozen.
    """

    def __init__(
        self,
        store: Store,
        wire: Wire,
        herald: Herald,
        sending: Sending,
        backoff: Backoff,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._changed = store.changed
        self._wire = wire
        self._herald = herald
        self._sending = sending
        self._clock = clock
        self._events: deque[Callable[[float], object]] = deque()
        self._stream = StreamLane(
            wire, herald, backoff, self._settle, self._give_up, self._watch, self._answered
        )
        self._lanes: dict[int, Lane] = {
            kind: Lane(kind, wire, herald, backoff, self._settle, self._give_up)
            for kind in (OTLP, FEEDBACK)
        }
        self._lanes[SPAN] = self._stream
        self._connections = 0
        self._heard = clock()
        self._poked = False
        self._next_look = 0.0
        self.has_swept = store.spool is None or not store.spool.has_others
        """Whether all files that others had left at the beginning are sent."""
        self.all_settled = False
        """Whether nothing was left when it ended."""
        self._held = self._parked = self._has_ended = False
        self._deadline: float | None = None
        self._leaving_since: float | None = None

    # What other threads call.

    def poke(self) -> None:
        """Makes it try at once what it would try later."""
        with self._changed:
            self._poked = True
            self._changed.notify_all()

    def close(self, deadline: float, *, leaving: bool = False) -> None:
        """Makes it end when all is settled, at the deadline at the latest.

        Args:
            deadline: on the monotonic clock.
            leaving: the program ends, and does not wait long for a server that was never there.
        """
        with self._changed:
            self._store.is_open = False
            self._deadline = min(deadline, self._deadline or deadline)
            if leaving:
                self._leaving_since = time.monotonic()
            self._poked = True
            self._changed.notify_all()

    def hold(self, timeout_s: float) -> bool:
        """Makes it hang up and rest, for a fork; returns whether a connection may have been open.

        It does not wait longer than timeout_s seconds.
        """
        was_open = self._wire.is_warm
        with self._changed:
            self._held = True
            self._changed.notify_all()
        # A call that is under way ends with it.
        self._wire.close(CALLS)
        with self._changed:
            self._changed.wait_for(lambda: self._parked or self._has_ended, timeout_s)
        return was_open

    def release(self) -> None:
        """Lets it go on after `hold`."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    # What runs on its thread.

    def run(self, enough: Callable[[], bool] | None = None) -> None:
        """Works until it is closed, or until it is enough."""
        while True:
            try:
                if not self._turn(enough):
                    break
            except Exception as error:  # nobody else would go on sending
                self._stumble(error)
        if enough is None:
            self._end()

    def _turn(self, enough: Callable[[], bool] | None) -> bool:
        with self._changed:
            while not self._is_over(enough) and (delay := self._delay(time.monotonic())) != 0:
                self._changed.wait(delay)
            if self._is_over(enough):
                return False
            poked, self._poked = self._poked, False
        self._rest_for_a_fork()
        now = time.monotonic()
        self._handle_events(now)
        if poked:
            self._hurry(now)
        self._look_for_files(now)
        self._take(now)
        self._send(now)
        self._close_when_idle()
        return True

    def _is_over(self, enough: Callable[[], bool] | None) -> bool:
        if enough is not None:
            return enough()
        if self._deadline is None or self._held or self._events:
            return False
        if not self._store.items and self.has_swept:
            return True
        return time.monotonic() >= self._end_time

    @property
    def _end_time(self) -> float:
        """When to end with work undone, on the monotonic clock."""
        end = NEVER if self._deadline is None else self._deadline
        if self._leaving_since is not None and self._herald.failing and not self._herald.proved:
            return min(end, self._leaving_since + PATIENCE_S)
        return end

    def _delay(self, now: float) -> float | None:
        """Returns in how many seconds there is something to do; None when only news bring any."""
        if self._events or self._poked or self._held:
            return 0
        times = [self._end_time]
        times += [lane.not_before for lane in self._lanes.values() if lane.has_work]
        if self._has_room():
            times.append(self._store.due_at(now, hurried=self._is_hurried))
        if self._store.spool is not None:
            times.append(self._next_look)
        if self._stream.stream is not None and not self._stream.flying:
            times.append(now + IDLE_S - self._silence())
        soonest = min(times)
        return None if soonest == NEVER else max(0.0, soonest - now)

    @property
    def _is_hurried(self) -> bool:
        return self._deadline is not None or self._store.is_awaited

    def _has_room(self) -> bool:
        # Feedback that an older server does not know must not keep spans from being sent.
        return all(
            lane.batches < MAX_BATCHES or (lane.kind == FEEDBACK and lane.blocked)
            for lane in self._lanes.values()
        )

    def _rest_for_a_fork(self) -> None:
        if not self._held:
            return
        self._stream.end(Unavailable("A fork is under way.", reason=CLOSED))
        self._wire.close()
        with self._changed:
            self._parked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held)
            self._parked = False

    def _handle_events(self, now: float) -> None:
        while self._events:
            self._events.popleft()(now)

    def _hurry(self, now: float) -> None:
        for lane in self._lanes.values():
            lane.not_before = 0.0
        if self._stream.stream is not None:
            silent = self._stream.flying > 0 and self._silence() > SILENT_S
            self._stream.stream.hurry(reconnect=silent)

    def _look_for_files(self, now: float) -> None:
        spool = self._store.spool
        if spool is None:
            return
        if now >= self._next_look if spool.adopted is None else not spool.adopted.tally.items:
            found = spool.adopt()
            if not found:
                self._next_look = now + ADOPT_EVERY_S
                with self._changed:
                    self.has_swept = True
                    self._changed.notify_all()

    def _take(self, now: float) -> None:
        sending = self._sending
        while self._has_room() and (taken := self._store.take(now, hurried=self._is_hurried)):
            source, items = taken
            good, bad = encode(items)
            for reason, lost in bad.items():
                self._store.settle(source, lost, reason)
            for batch in pack(source, good, sending.batch_spans, sending.batch_bytes):
                self._add(batch)

    def _add(self, batch: Batch) -> None:
        lane = self._lanes[batch.kind]
        if batch.kind == FEEDBACK and lane.blocked and lane.batches >= MAX_BATCHES:
            self._give_up(batch, "refused")
        else:
            lane.add(batch)

    def _send(self, now: float) -> None:
        """Sends what is ready; goes round after each batch, as news may have come."""
        for lane in self._lanes.values():
            while lane.has_work and lane.not_before <= now and not self._events:
                if lane is self._stream and self._is_stale():
                    self._stream.end(Unavailable("It was silent for too long.", reason=CLOSED))
                    continue
                if self._stream.flying == 0:
                    self._heard = self._clock()
                lane.send(now, self._left())
                if lane is not self._stream:
                    break

    def _left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def _silence(self) -> float:
        return self._clock() - self._heard

    def _is_stale(self) -> bool:
        stream = self._stream
        return stream.stream is not None and not stream.flying and self._silence() > IDLE_S

    def _close_when_idle(self) -> None:
        if self._is_stale():
            self._stream.close(CLOSE_S)

    def _stumble(self, error: Exception) -> None:
        self._herald.warn(f"the sender failed and goes on: {type(error).__name__}")
        with self._changed:
            self._changed.wait(STUMBLE_S)

    def _end(self) -> None:
        self.all_settled = not self._store.items
        if self._stream.flying:
            self._stream.end(Unavailable("The delivery was shut down.", reason=CLOSED))
        else:
            self._stream.close(CLOSE_S)
        self._wire.close()
        self._handle_events(time.monotonic())
        self.all_settled = not self._store.items
        self._has_ended = True
        self._store.close()

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        if outcome.why:
            self._herald.refused(outcome.rejected, outcome.why)
        self._store.settle(batch.source, batch.items, outcome)

    def _give_up(self, batch: Batch, reason: str) -> None:
        self._store.settle(batch.source, batch.items, reason)

    # What the stream's thread calls.

    def _answered(self, batch: Batch, ticket: Future[trace_pb2.Ack]) -> None:
        self._heard = self._clock()
        self._tell(partial(self._stream.answer, batch, ticket))

    def _watch(self, error: BartizanError | None) -> None:
        self._heard = self._clock()
        self._tell(partial(self._connected, error))

    def _tell(self, event: Callable[[float], object]) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify_all()

    def _connected(self, error: BartizanError | None, now: float) -> None:
        if self._stream.stream is None:
            # It was ended here: what is still heard of it is no news.
            return
        if error is None:
            self._connections += 1
            with self._changed:
                self._store.counters.reconnects += self._connections > 1
        elif judge(error, proved=self._herald.proved) is Verdict.AWAY:
            self._herald.failed(error)
