"""What waits in memory to be sent, within bounds."""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence


class Item(NamedTuple):
    """One record that waits.

    Attributes:
        key: its place in its source.
        kind: SPAN, OTLP or FEEDBACK.
        spans: for how many it counts, 1 or more.
        size: about how many bytes it holds.
        content: the record, or its bytes once it is encoded.
    """

    key: int
    kind: int
    spans: int
    size: int
    content: Any


class Source(Protocol):
    """Where items come from: memory, or a file."""

    def take(self, spans: int, size: int) -> list[Item]:
        """Returns the next items, about so many spans and bytes; they stay counted."""
        ...

    def discard(self, items: Sequence[Item]) -> None:
        """Deletes items that were taken: the server has them, or they are given up."""
        ...

    def settle(self, items: Sequence[Item]) -> None:
        """Counts them no longer. Needs the delivery's lock."""
        ...


class Barrier:
    """Falls when everything that was there at its making is settled."""

    def __init__(self, last_key: int, left: int) -> None:
        self._last_key = last_key
        self.left = left

    def settle(self, items: Iterable[Item]) -> None:
        """Takes note of items that are settled."""
        self.left -= sum(item.key <= self._last_key for item in items)


class Tally:
    """Counts what a source holds until it is settled; needs the delivery's lock."""

    def __init__(self) -> None:
        self.items = self.spans = self.bytes = 0
        self._barriers: list[Barrier] = []

    def add(self, spans: int, size: int, items: int = 1) -> None:
        """Counts what has come."""
        self.items += items
        self.spans += spans
        self.bytes += size

    def settle(self, items: Sequence[Item]) -> None:
        """Counts what is done with."""
        self.items -= len(items)
        self.spans -= sum(item.spans for item in items)
        self.bytes -= sum(item.size for item in items)
        for barrier in self._barriers:
            barrier.settle(items)
        self._barriers = [barrier for barrier in self._barriers if barrier.left > 0]

    def lose(self, items: int, spans: int, size: int) -> None:
        """Counts what is gone without having been settled."""
        self.add(-spans, -size, -items)
        for barrier in self._barriers:
            barrier.left -= items

    @property
    def is_awaited(self) -> bool:
        """True if somebody waits for what is here."""
        return bool(self._barriers)

    def lift(self, barrier: Barrier) -> None:
        """Forgets a barrier that nobody waits for any more."""
        if barrier in self._barriers:
            self._barriers.remove(barrier)

    def barrier(self, last_key: int) -> Barrier:
        """Returns a barrier for all that is counted now; `last_key` is the newest of it."""
        barrier = Barrier(last_key, self.items)
        self._barriers.append(barrier)
        return barrier


class Buffer:
    """A bounded queue. What was taken counts against its bounds until it is settled.

    Args:
        changed: the delivery's lock.
        max_spans: how many spans it holds at most.
        max_bytes: how many bytes it holds at most.
        drop_oldest: whether the oldest make room when it is full; else the newest is given up.
    """

    def __init__(
        self, changed: threading.Condition, max_spans: int, max_bytes: int, *, drop_oldest: bool
    ) -> None:
        self._changed = changed
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self._keys = count(1)
        self._last_key = 0
        self._waiting: deque[Item] = deque()
        self.waiting_spans = 0
        self.waiting_bytes = 0
        self.tally = Tally()

    def put(self, kind: int, spans: int, size: int, content: object) -> int:
        """Queues one record; returns how many spans are given up for it, its own or older ones.

        Needs the lock.
        """
        lost = 0
        if not self._fits(spans, size):
            if self._drop_oldest:
                lost = self._make_room(spans, size)
            if not self._fits(spans, size):
                return lost + spans
        self._last_key = next(self._keys)
        self._waiting.append(Item(self._last_key, kind, spans, size, content))
        self.waiting_spans += spans
        self.waiting_bytes += size
        self.tally.add(spans, size)
        return lost

    def take(self, spans: int, size: int) -> list[Item]:
        """Returns the oldest items that wait, about so many spans and bytes; they stay counted."""
        taken: list[Item] = []
        with self._changed:
            while self._waiting and spans > 0 and size > 0:
                item = self._pop()
                taken.append(item)
                spans -= item.spans
                size -= item.size
        return taken

    def discard(self, items: Sequence[Item]) -> None:
        """Does nothing: they were taken out."""

    def settle(self, items: Sequence[Item]) -> None:
        """Counts items that were taken no longer. Needs the lock."""
        self.tally.settle(items)

    def clear(self) -> int:
        """Forgets everything, also what was taken, and returns its spans. Needs the lock."""
        spans = self.tally.spans
        self._waiting.clear()
        self.waiting_spans = self.waiting_bytes = 0
        self.tally.lose(self.tally.items, spans, self.tally.bytes)
        return spans

    def barrier(self) -> Barrier:
        """Returns what falls when all that was put so far is settled. Needs the lock."""
        return self.tally.barrier(self._last_key)

    def _fits(self, spans: int, size: int) -> bool:
        tally = self.tally
        return tally.spans + spans <= self._max_spans and tally.bytes + size <= self._max_bytes

    def _make_room(self, spans: int, size: int) -> int:
        lost: list[Item] = []
        if spans <= self._max_spans and size <= self._max_bytes:
            while self._waiting and not self._fits(spans, size):
                lost.append(self._pop())
                self.tally.settle(lost[-1:])
        return sum(item.spans for item in lost)

    def _pop(self) -> Item:
        item = self._waiting.popleft()
        self.waiting_spans -= item.spans
        self.waiting_bytes -= item.size
        return item
