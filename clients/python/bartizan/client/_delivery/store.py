"""Where what is recorded waits: in memory or on disk."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Callable

from bartizan.client._delivery.buffer import Barrier, Buffer, Tally
from bartizan.client._delivery.stats import Counters, Outcome, Stats

if TYPE_CHECKING:
    from bartizan.client._delivery.buffer import Item, Source
    from bartizan.client._delivery.sending import Sending
    from bartizan.client._delivery.shelf import Shelf
    from bartizan.client._delivery.spool import Spool
    from bartizan.client._record import Record

NEVER = float("inf")


class Store:
    """Takes records from any thread and gives them out to the sender.

    Args:
        sending: the bounds.
        spool: the directory for the disk; None for memory only.
        warn: is told in one sentence when the disk cannot be used.
    """

    def __init__(self, sending: Sending, spool: str | None, warn: Callable[[str], object]) -> None:
        self.changed = threading.Condition()
        """The one lock of a delivery. A signal handler, or the collection of garbage, may come
        back to it on the same thread, which it lets."""
        self.counters = Counters()
        self._sending = sending
        drop_oldest = sending.when_full == "drop_oldest"
        self.buffer = Buffer(
            self.changed, sending.queue_spans, sending.queue_bytes, drop_oldest=drop_oldest
        )
        self.spool: Spool | None = None
        if spool is not None:
            # SQLite takes longer to import than all the rest.
            from bartizan.client._delivery.spool import Spool

            self.spool = Spool(
                spool,
                sending.spool_bytes,
                drop_oldest=drop_oldest,
                changed=self.changed,
                counters=self.counters,
                warn=warn,
            )
        self.is_open = True
        """Whether it takes anything."""
        self._is_closed = False
        self._since = NEVER

    def put(self, record: Record) -> None:
        """Keeps a record, on disk when there is a spool that works; raises what its size raises."""
        spans = record.spans or 1
        if not self.is_open:
            self.drop("closed", spans)
        elif self.spool is None:
            self._put(record.kind, spans, record.size, record)
        else:
            self._put_on_disk(self.spool, record, spans)

    def drop(self, reason: str, spans: int) -> None:
        """Counts what was offered and is not kept."""
        with self.changed:
            self.counters.recorded += spans
            self.counters.drop(reason, spans)

    def _put(self, kind: int, spans: int, size: int, content: object) -> None:
        buffer = self.buffer
        with self.changed:
            if not self.is_open:
                self.drop("closed", spans)
                return
            waited = buffer.waiting_spans
            lost = buffer.put(kind, spans, size, content)
            self.counters.recorded += spans
            if lost:
                self.counters.drop("queue_full", lost)
            self._tell(waited, buffer.waiting_spans, buffer.waiting_bytes)

    def _put_on_disk(self, spool: Spool, record: Record, spans: int) -> None:
        try:
            body = record.encode()
        except Exception:  # what a caller's object or pattern does is the caller's
            self.drop("encode", spans)
            return
        if not spool.put(record.kind, spans, body):
            self._put(record.kind, spans, len(body), body)
            return
        with self.changed:
            waiting = spool.waiting
            self._tell(waiting - 1, waiting, 0)

    def _tell(self, before: int, after: int, size: int) -> None:
        """Wakes the sender for the first of a batch and for the last of it."""
        full = self._sending.batch_spans
        if not after:
            return
        if self._since == NEVER:
            self._since = time.monotonic()
            self.changed.notify_all()
        elif before < full <= after or size >= self._sending.batch_bytes:
            self.changed.notify_all()

    @property
    def items(self) -> int:
        """How many items are not settled. Needs the lock."""
        return self.buffer.tally.items + (self.spool.items if self.spool else 0)

    @property
    def is_awaited(self) -> bool:
        """True if somebody waits for what is here. Needs the lock."""
        return any(tally.is_awaited for tally in self._tallies())

    def due_at(self, now: float, *, hurried: bool) -> float:
        """Returns when something should be taken, on the monotonic clock. Needs the lock."""
        shelves = [shelf for shelf in self._shelves() if shelf.waiting]
        due = min((shelf.not_before for shelf in shelves if shelf.not_before > now), default=NEVER)
        ready = [shelf for shelf in shelves if shelf.not_before <= now]
        if not ready and not self.buffer.waiting_spans:
            if not shelves:
                self._since = NEVER
            return due
        if hurried or self._is_full(ready):
            return now
        return min(due, self._since + self._sending.linger_s)

    def take(self, now: float, *, hurried: bool) -> tuple[Source, list[Item]] | None:
        """Returns the next batch that is due, and where it comes from; None when none is."""
        sending = self._sending
        with self.changed:
            if self.due_at(now, hurried=hurried) > now:
                return None
            # What is left of a batch waits anew for others.
            self._since = now
        if items := self.buffer.take(sending.batch_spans, sending.batch_bytes):
            return self.buffer, items
        ready = (one for one in self._shelves() if one.waiting and one.not_before <= now)
        shelf = next(ready, None)
        if shelf is None or self.spool is None:
            return None
        return shelf, self.spool.take(shelf, sending.batch_spans, sending.batch_bytes)

    def settle(self, source: Source, items: list[Item], result: Outcome | str) -> None:
        """Counts items as the server answered, or as dropped for a reason, and forgets them."""
        spans = sum(item.spans for item in items)
        # Out of the lock: a file takes its time.
        source.discard(items)
        with self.changed:
            if self._is_closed:
                return
            if isinstance(result, str):
                self.counters.drop(result, spans)
            else:
                self.counters.settle(spans, result)
            source.settle(items)
            self.changed.notify_all()

    def barriers(self) -> list[Barrier]:
        """Returns what falls when all that is here now is settled. Needs the lock."""
        return [self.buffer.barrier(), *(shelf.barrier() for shelf in self._shelves())]

    def lift(self, barriers: list[Barrier]) -> None:
        """Forgets barriers that nobody waits for any more. Needs the lock."""
        for tally in self._tallies():
            for barrier in barriers:
                tally.lift(barrier)

    def stats(self) -> Stats:
        """Returns the numbers so far."""
        with self.changed:
            spooled = self.spool.spans if self.spool is not None else 0
            return self.counters.stats(self.buffer.tally.spans + spooled, spooled)

    def close(self) -> None:
        """Gives up what waits in memory, and leaves what is on disk to whoever comes next."""
        with self.changed:
            self.is_open, self._is_closed = False, True
            self.counters.drop("unsent", self.buffer.clear())
            self.changed.notify_all()
        if self.spool is not None:
            self.spool.close()

    def _shelves(self) -> list[Shelf]:
        return self.spool.shelves if self.spool is not None else []

    def _tallies(self) -> list[Tally]:
        return [self.buffer.tally, *(shelf.tally for shelf in self._shelves())]

    def _is_full(self, shelves: list[Shelf]) -> bool:
        """Returns whether there is enough for a batch; what others left waits for no more."""
        spans, buffer = self._sending.batch_spans, self.buffer
        if buffer.waiting_spans >= spans or buffer.waiting_bytes >= self._sending.batch_bytes:
            return True
        own = self.spool.own if self.spool is not None else None
        return any(shelf is not own or shelf.waiting >= spans for shelf in shelves)
