"""One file of a spool as a source of what is sent."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from bartizan.client._delivery.buffer import Barrier, Item, Tally

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from bartizan.client._delivery.spool_file import SpoolFile

TEND_ITEMS = 4_096
"""After so many deletions the file is tended."""


class Shelf:
    """One file as a source of items.

    Args:
        file: holds them.
        changed: the delivery's lock; told when something is settled.
    """

    def __init__(self, file: SpoolFile, changed: threading.Condition) -> None:
        self.file = file
        self.tally = Tally()
        self.tally.add(file.spans, file.bytes, file.items)
        self._changed = changed
        self._last_key = 0
        self._taken = 0
        self._deleted = 0
        self._out = Tally()
        self.waiting = file.items
        self.not_before = 0.0

    def append(self, key: int, kind: int, spans: int, body: bytes) -> None:
        """Commits one record. Needs the file's lock; raises sqlite3.Error."""
        self.file.append(key, kind, spans, body)
        self._last_key = key
        self.waiting += 1

    def take(self, spans: int, size: int) -> list[Item]:
        """Returns the next items, about so many spans and bytes; raises sqlite3.Error."""
        seen = self.waiting
        items = self.file.read(self._taken, spans, size)
        with self.file.lock:
            if not items:
                self.waiting -= seen
            # Some may have made room for newer ones since they were read.
            items = [item for item in items if item.key > self._taken]
            if items:
                self._taken = items[-1].key
            self.waiting -= len(items)
            with self._changed:
                for item in items:
                    self._out.add(item.spans, item.size)
        return items

    def discard(self, items: Sequence[Item]) -> None:
        """Deletes items that were taken."""
        # What cannot be deleted, from a full disk for one, is sent twice at worst.
        with contextlib.suppress(sqlite3.Error):
            self.file.delete(item.key for item in items)
            self._deleted += len(items)
            if self._deleted >= TEND_ITEMS:
                self._deleted = 0
                self.file.tend()

    def settle(self, items: Sequence[Item]) -> None:
        """Counts items that were taken no longer. Needs the delivery's lock."""
        self._out.settle(items)
        self.tally.settle(items)

    def lose(self) -> int:
        """Forgets all that is not on its way, and returns its spans."""
        with self.file.lock, self._changed:
            items = self.tally.items - self._out.items
            spans = self.tally.spans - self._out.spans
            self.tally.lose(items, spans, self.tally.bytes - self._out.bytes)
            self.waiting = 0
            self._changed.notify_all()
        return spans

    def give_up(self, size: int) -> int:
        """Deletes the oldest items that were not taken, so many bytes; returns their spans."""
        with self.file.lock:
            items = self.file.oldest(self._taken, size)
            if not items or sum(item.size for item in items) < size:
                return 0
            self._taken = items[-1].key
            self.waiting -= len(items)
            with contextlib.suppress(sqlite3.Error):
                self.file.delete(item.key for item in items)
            with self._changed:
                self.tally.settle(items)
        return sum(item.spans for item in items)

    def barrier(self) -> Barrier:
        """Returns what falls when all that is here now is settled. Needs the delivery's lock."""
        return self.tally.barrier(self._last_key or 2**63)
