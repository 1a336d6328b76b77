"""What waits on disk to be sent, so that it outlives this process."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import uuid
from itertools import count
from typing import TYPE_CHECKING, Callable

from bartizan.client._delivery.shelf import Shelf
from bartizan.client._delivery.spool_file import DATA, LEASE, Lease, SpoolFile, aside, lease_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bartizan.client._delivery.buffer import Item
    from bartizan.client._delivery.stats import Counters

PREFIX = "spool-"
REST_S = 10.0
"""How long a spool that failed is left alone."""
QUIET_S = 1.0
"""How long a fork waits for a disk that is busy."""

_ours: set[str] = set()
"""Files of this process; a child of a fork keeps the names of its parent's and leaves them be."""


class Spool:
    """A directory with one file for each delivery. Never raises.

    Args:
        directory: is made when it is missing.
        max_bytes: how many bytes of records the files of this delivery hold at most.
        drop_oldest: whether the oldest make room when it is full; else the newest is given up.
        changed: the delivery's lock.
        counters: its numbers.
        warn: is told in one sentence when the spool cannot be used.
    """

    def __init__(
        self,
        directory: str,
        max_bytes: int,
        *,
        drop_oldest: bool,
        changed: threading.Condition,
        counters: Counters,
        warn: Callable[[str], object],
    ) -> None:
        self._directory = os.path.abspath(directory)
        self._max_bytes = max_bytes
        self._drop_oldest = drop_oldest
        self._changed = changed
        self._counters = counters
        self._warn = warn
        self._keys = count(1)
        self._lock = threading.RLock()
        self._rests_until = 0.0
        self._broken = self._closed = False
        self.own: Shelf | None = None
        self.adopted: Shelf | None = None

    @property
    def shelves(self) -> list[Shelf]:
        """The files that things are sent from."""
        return [shelf for shelf in (self.own, self.adopted) if shelf is not None]

    @property
    def waiting(self) -> int:
        """How many items of this delivery wait on disk to be taken."""
        return self.own.waiting if self.own is not None else 0

    @property
    def spans(self) -> int:
        """How many spans are on disk. Needs the delivery's lock."""
        return sum(shelf.tally.spans for shelf in self.shelves)

    @property
    def items(self) -> int:
        """How many items are on disk. Needs the delivery's lock."""
        return sum(shelf.tally.items for shelf in self.shelves)

    @property
    def has_others(self) -> bool:
        """True if there are files of others, alive or gone."""
        return bool(self._others())

    def open(self) -> bool:
        """Makes this delivery's own file, unless that failed a moment ago; returns if it is there.

        The directory and the file are for their owner's eyes only.
        """
        with self._lock:
            if self.own is None and not self._closed and time.monotonic() >= self._rests_until:
                try:
                    self.own = Shelf(self._new_file(), self._changed)
                except (sqlite3.Error, OSError) as error:
                    self._failed(error)
            return self.own is not None

    def put(self, kind: int, spans: int, body: bytes) -> bool:
        """Commits one record, or gives one up when it is full; returns False when it cannot."""
        with self._lock:
            if time.monotonic() < self._rests_until or not self.open():
                return False
            try:
                self._put(kind, spans, body)
            except sqlite3.Error as error:
                self._failed(error)
                return False
            self._broken = False
            return True

    def take(self, shelf: Shelf, spans: int, size: int) -> list[Item]:
        """Returns what comes next on a shelf; nothing when it cannot be read now."""
        try:
            return shelf.take(spans, size)
        except sqlite3.Error as error:
            shelf.not_before = time.monotonic() + REST_S
            if _is_damage(error):
                self._set_aside(shelf)
            else:
                self._say(f"cannot be read: {error}")
            return []

    def adopt(self) -> bool:
        """Takes over the file of an owner that is gone, one at a time; returns if there is one."""
        if self.adopted is not None:
            if self.adopted.tally.items:
                return True
            self._close(self.adopted)
            self.adopted = None
        for path in self._others():
            if (shelf := self._take_over(path)) is not None:
                self.adopted = shelf
                return True
        self._tidy()
        return False

    def close(self) -> None:
        """Closes the files; deletes those in which nothing is left."""
        with self._lock:
            self._closed = True
            for shelf in self.shelves:
                self._close(shelf)
            self.own = self.adopted = None

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Keeps other threads of this process out of SQLite, so that it can be forked."""
        with contextlib.ExitStack() as stack:
            for lock in (self._lock, *(shelf.file.lock for shelf in self.shelves)):
                if lock.acquire(timeout=QUIET_S):
                    stack.callback(lock.release)
            yield

    def _put(self, kind: int, spans: int, body: bytes) -> None:
        own = self.own
        assert own is not None
        used = sum(shelf.tally.bytes for shelf in self.shelves)
        over = used + len(body) - self._max_bytes
        lost = 0
        if over > 0 and self._drop_oldest and len(body) <= self._max_bytes:
            lost = own.give_up(over)
        full = over > 0 and not lost
        with own.file.lock:
            if not full:
                own.append(next(self._keys), kind, spans, body)
            with self._changed:
                self._counters.recorded += spans
                self._counters.drop("spool_full", spans if full else lost)
                if not full:
                    own.tally.add(spans, len(body))

    def _new_file(self) -> SpoolFile:
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        path, lease = self._new_lease()
        _ours.add(path)
        try:
            return SpoolFile(path, lease, create=True)
        except BaseException:
            _ours.discard(path)
            lease.end(remove=True)
            raise

    def _new_lease(self, attempts: int = 5) -> tuple[str, Lease]:
        path = os.path.join(self._directory, f"{PREFIX}{uuid.uuid4().hex}{DATA}")
        try:
            return path, Lease(lease_of(path))
        except sqlite3.OperationalError:
            # Somebody who tidied up took it for one that was left behind.
            if attempts == 1:
                raise
            return self._new_lease(attempts - 1)

    def _others(self) -> list[str]:
        return [path for path in self._list(DATA) if path not in _ours]

    def _list(self, ending: str) -> list[str]:
        try:
            names = sorted(os.listdir(self._directory))
        except OSError:
            return []
        return [
            os.path.join(self._directory, name)
            for name in names
            if name.startswith(PREFIX) and name.endswith(ending)
        ]

    def _tidy(self) -> None:
        """Removes leases whose owner went before it had made its file, or after it was removed."""
        files = {lease_of(path) for path in (*self._list(DATA), *_ours)}
        for path in set(self._list(LEASE)) - files:
            with contextlib.suppress(sqlite3.Error, OSError):
                Lease(path).end(remove=True)

    def _take_over(self, path: str) -> Shelf | None:
        try:
            lease = Lease(lease_of(path))
        except (sqlite3.Error, OSError):
            return None
        try:
            file = SpoolFile(path, lease, create=False)
        except sqlite3.Error as error:
            if _is_damage(error):
                aside(path)
                self._count_damage(1, recorded=1)
            lease.end(remove=_is_damage(error) or not os.path.exists(path))
            return None
        if not file.items:
            file.close(remove=True)
            return None
        _ours.add(path)
        with self._changed:
            self._counters.recorded += file.spans
        return Shelf(file, self._changed)

    def _close(self, shelf: Shelf) -> None:
        shelf.file.close(remove=not shelf.tally.items)
        _ours.discard(shelf.file.path)

    def _failed(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + REST_S
        if self.own is not None and _is_damage(error):
            self._set_aside(self.own)
        else:
            self._say(f"cannot be used, spans are kept in memory: {_why(error)}")

    def _set_aside(self, shelf: Shelf) -> None:
        with self._lock:
            shelf.file.set_aside()
            _ours.discard(shelf.file.path)
            if shelf is self.own:
                self.own = None
            else:
                self.adopted = None
        self._count_damage(shelf.lose())

    def _count_damage(self, spans: int, recorded: int = 0) -> None:
        with self._changed:
            self._counters.recorded += recorded
            self._counters.drop("spool_corrupt", spans)
        self._broken = False
        self._say("has a damaged file, which is kept there with the ending .corrupt")

    def _say(self, what: str) -> None:
        if not self._broken:
            self._broken = True
            self._warn(f"the spool at {self._directory} {what}")


def _is_damage(error: Exception) -> bool:
    """Tells a damaged file from a disk that is full or away: its error has no narrower class."""
    return type(error) is sqlite3.DatabaseError


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error)
