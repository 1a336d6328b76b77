"""One file of a spool, and the lease that says that its owner lives. Knows SQLite, nothing else."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from bartizan.client._delivery.buffer import Item

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DATA = ".db"
LEASE = ".lease"
DELETE_ROWS = 16
"""Rows deleted at once: about 150 µs, for which a caller that puts may have to wait."""
CHECKPOINT_BYTES = 16 * 1024 * 1024
"""From this size on the log is written back into the file, and begins anew."""
VACUUM_PAGES = 64
_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    key INTEGER PRIMARY KEY, kind INTEGER NOT NULL, spans INTEGER NOT NULL, body BLOB NOT NULL
)
"""


class Lease:
    """A lock that ends with its process, however that ends.

    It is SQLite's own, which works wherever SQLite does, between processes and between several
    owners in one. Raises sqlite3.OperationalError when somebody else holds it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        touch(path)
        self._held = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            # Nothing is ever written, so that nothing has to be cleaned up after a crash.
            self._held.execute("PRAGMA journal_mode=MEMORY")
            self._held.execute("BEGIN EXCLUSIVE")
            if not os.path.exists(path):
                # Its last holder has removed it since it was opened.
                raise sqlite3.OperationalError("the lease is gone")
        except sqlite3.Error:
            self._held.close()
            raise

    def end(self, *, remove: bool) -> None:
        """Lets go; with `remove` the file goes too."""
        if remove and os.name != "nt":
            # While it is still held, so that nobody can take hold of a file that is going.
            _remove(self.path)
        self._held.close()
        if remove:
            _remove(self.path)


class SpoolFile:
    """Records in the order of their keys. Its methods raise sqlite3.Error.

    Two connections: one writes, under `lock`, and never waits for the disk; the other reads and
    writes the log back, on the sender's thread only.
    """

    def __init__(self, path: str, lease: Lease, *, create: bool) -> None:
        self.path = path
        self.lock = threading.RLock()
        self._lease = lease
        self._owed: list[int] = []
        if create:
            touch(path)
        with contextlib.ExitStack() as undo:
            self._writer = _connect(path)
            undo.callback(self._writer.close)
            self._writer.execute(_SCHEMA)
            self._reader = _connect(path)
            undo.callback(self._reader.close)
            self.items, self.spans, self.bytes = self._reader.execute(
                "SELECT count(*), coalesce(sum(spans), 0), coalesce(sum(length(body)), 0)"
                " FROM records"
            ).fetchone()
            undo.pop_all()

    def append(self, key: int, kind: int, spans: int, body: bytes) -> None:
        """Commits one record."""
        with self.lock:
            self._writer.execute(
                "INSERT INTO records VALUES (?, ?, ?, ?)", (key, kind, spans, body)
            )

    def read(self, after: int, spans: int, size: int) -> list[Item]:
        """Returns the records behind that key, about so many spans and bytes."""
        found: list[Item] = []
        rows = self._reader.execute(
            "SELECT key, kind, spans, body FROM records WHERE key > ? ORDER BY key", (after,)
        )
        for key, kind, count, body in rows:
            found.append(Item(key, kind, count, len(body), body))
            spans, size = spans - count, size - len(body)
            if spans <= 0 or size <= 0:
                break
        rows.close()
        return found

    def oldest(self, after: int, size: int) -> list[Item]:
        """Returns records behind that key that hold so many bytes, without their content."""
        found: list[Item] = []
        with self.lock:
            rows = self._writer.execute(
                "SELECT key, kind, spans, length(body) FROM records WHERE key > ? ORDER BY key",
                (after,),
            )
            while size > 0 and (row := rows.fetchone()) is not None:
                key, kind, spans, length = row
                found.append(Item(key, kind, spans, length, b""))
                size -= length
            rows.close()
        return found

    def delete(self, keys: Iterable[int]) -> None:
        """Removes records; those that cannot be removed now are removed with the next ones."""
        with self.lock:
            self._owed.extend(keys)
        while self._owed:
            # Few at a time, so that nobody who puts waits long for the lock.
            with self.lock:
                if some := self._owed[:DELETE_ROWS]:
                    self._delete(some)
                    del self._owed[:DELETE_ROWS]

    def _delete(self, keys: Sequence[int]) -> None:
        if keys[-1] - keys[0] == len(keys) - 1:
            self._writer.execute(
                "DELETE FROM records WHERE key BETWEEN ? AND ?", (keys[0], keys[-1])
            )
        else:
            marks = ", ".join("?" * len(keys))
            self._writer.execute(f"DELETE FROM records WHERE key IN ({marks})", keys)

    def tend(self) -> None:
        """Writes the log back when it is long, and returns unused space to the disk."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.getsize(self.path + "-wal") > CHECKPOINT_BYTES:
                self._reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        (free,) = self._reader.execute("PRAGMA freelist_count").fetchone()
        while free > CHECKPOINT_BYTES // 4096:
            with self.lock:
                self._writer.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
            free -= VACUUM_PAGES

    def close(self, *, remove: bool) -> None:
        """Closes it and ends the lease; with `remove` the file is deleted."""
        if remove:
            # What is deleted need not reach the disk first.
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("PRAGMA synchronous=OFF")
        self._close()
        if remove:
            for name in _parts(self.path):
                _remove(name)
        self._lease.end(remove=remove)

    def set_aside(self) -> None:
        """Closes a file that is damaged and leaves it under another name for people."""
        self._close()
        aside(self.path)
        self._lease.end(remove=True)

    def _close(self) -> None:
        with self.lock:
            for connection in (self._reader, self._writer):
                with contextlib.suppress(sqlite3.Error):
                    connection.close()


def aside(path: str) -> None:
    """Renames a damaged file so that nobody takes it for a good one."""
    for name in _parts(path):
        with contextlib.suppress(OSError):
            os.replace(name, path + ".corrupt" + name[len(path) :])


def lease_of(path: str) -> str:
    """Returns where the lease of a file is."""
    return path[: -len(DATA)] + LEASE


def touch(path: str) -> None:
    """Makes an empty file that only its owner can read, if there is none."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _connect(path: str) -> sqlite3.Connection:
    # The path is escaped as in a URI; mode=rw does not make a file that somebody has removed.
    where = f"file:{_quoted(path)}?mode=rw"
    connection = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
    try:
        # The kind of vacuum is settled before the first page is written, the log mode after it.
        for setting in ("auto_vacuum=INCREMENTAL", "journal_mode=WAL", "synchronous=NORMAL",
                        "wal_autocheckpoint=0"):  # fmt: skip
            connection.execute(f"PRAGMA {setting}").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(os.path.abspath(path).replace(os.sep, "/"))


def _parts(path: str) -> Iterator[str]:
    for suffix in ("", "-wal", "-shm"):
        yield path + suffix


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
