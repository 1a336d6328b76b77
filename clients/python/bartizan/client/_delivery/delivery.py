"""Takes what is recorded to the server, in the background, and never disturbs its caller."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
import weakref
from typing import TYPE_CHECKING, Callable

from bartizan.client._delivery import process
from bartizan.client._delivery.herald import Herald
from bartizan.client._delivery.sender import Sender
from bartizan.client._delivery.sending import Sending
from bartizan.client._delivery.store import Store
from bartizan.client._delivery.wire import Wire

if TYPE_CHECKING:
    from bartizan.client._calls.channel import Target
    from bartizan.client._calls.retry import Backoff
    from bartizan.client._delivery.buffer import Barrier
    from bartizan.client._delivery.stats import Stats
    from bartizan.client._record import Record

__all__ = ["Delivery", "Sending"]

_NEVER = float("inf")
GRACE_S = 0.5
"""How much longer than it was told `shutdown` may take, so that connections end in good order."""


class Delivery:
    """Sends records from any thread; its methods never raise.

    Args:
        target: the server.
        sending: sizes, times and bounds.
        spool: a directory that keeps what is not sent yet; None for memory only.
        backoff: how long to wait after a failure.
        debug: write a line to stderr whenever something changes.
        clock: seconds, going on while the process is frozen; passed in by tests.
    """

    def __init__(
        self,
        target: Target,
        sending: Sending,
        *,
        spool: str | None,
        backoff: Backoff,
        debug: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine = _Engine(target, sending, spool, backoff, debug, clock)
        process.register(engine)
        # The thread keeps the engine, not this object, whose end is the end of the engine too.
        weakref.finalize(self, engine.close, sending.exit_timeout_s).atexit = False

    def put(self, record: Record) -> None:
        """Takes a record; costs microseconds, and with a spool one write to its file."""
        self._engine.put(record)

    def flush(self, timeout_s: float | None) -> bool:
        """Returns True once everything put before is settled, False after timeout_s seconds."""
        return self._engine.flush(timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        """Sends what waits, for at most about timeout_s seconds, and ends; idempotent.

        Returns whether everything was settled. What is put later is counted as dropped.
        """
        return self._engine.shutdown(timeout_s)

    @property
    def stats(self) -> Stats:
        """What became of what was put."""
        return self._engine.store.stats()


class _Engine:
    """All of a delivery but its name; a fork's child has its own in the same place."""

    def __init__(
        self,
        target: Target,
        sending: Sending,
        spool: str | None,
        backoff: Backoff,
        debug: bool,
        clock: Callable[[], float],
    ) -> None:
        self._target = target
        self._sending = sending
        self._directory = spool
        self._backoff = backoff
        self._debug = debug
        self._clock = clock
        self._begin()
        if self.store.spool is not None:
            self.store.spool.open()
            if not self._sender.has_swept:
                self._start()

    def put(self, record: Record) -> None:
        try:
            self.store.put(record)
            if self._thread is None:
                self._start()
        except Exception:  # a caller goes on whatever happens here
            self.store.drop("error", 1)

    def flush(self, timeout_s: float | None) -> bool:
        deadline = _NEVER if timeout_s is None else time.monotonic() + timeout_s
        changed = self.store.changed
        with changed:
            barriers = self.store.barriers()
            if self._is_done(barriers):
                return True
            self._sender.poke()
        if self._start():
            with changed:
                changed.wait_for(lambda: self._is_done(barriers), timeout_s)
        else:
            self._sender.run(lambda: self._is_done(barriers) or time.monotonic() >= deadline)
        with changed:
            self.store.lift(barriers)
            return self._is_done(barriers)

    def shutdown(self, timeout_s: float, *, leaving: bool = False) -> bool:
        self._sender.close(time.monotonic() + max(0.0, timeout_s), leaving=leaving)
        if self._start():
            self._ended.wait(max(0.0, timeout_s) + GRACE_S)
        else:
            self._run()
        return self._sender.all_settled

    def close(self, timeout_s: float) -> None:
        """Does what `shutdown` does, without waiting for it."""
        self._sender.close(time.monotonic() + timeout_s)
        if self._thread is None:
            self.store.close()

    def leave(self) -> None:
        self.shutdown(self._sending.exit_timeout_s, leaving=True)

    def before_fork(self, timeout_s: float) -> bool:
        busy = self._thread is not None and self._sender.hold(timeout_s)
        if self.store.spool is not None:
            self._fork.enter_context(self.store.spool.quiet())
        return busy

    def after_fork_in_parent(self) -> None:
        self._fork.close()
        self._sender.release()

    def after_fork_in_child(self) -> None:
        process.leave_behind(self.store, self._wire, self._sender, self._thread, self._fork)
        is_open = self.store.is_open
        self._begin()
        if not is_open:
            self.store.is_open = False
            self._ended.set()

    def _begin(self) -> None:
        """Makes everything new; a spool is opened by what is put first."""
        gzip = self._sending.gzip
        self._herald = Herald(self._target, debug=self._debug, note=self._note)
        self.store = Store(self._sending, self._directory, self._herald.warn)
        self._wire = Wire(
            self._target,
            gzip=not self._target.is_local if gzip is None else gzip,
            backoff=self._backoff,
        )
        self._sender = Sender(
            self.store, self._wire, self._herald, self._sending, self._backoff, self._clock
        )
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._fork = contextlib.ExitStack()

    def _note(self, sentence: str) -> None:
        with self.store.changed:
            self.store.counters.last_error = sentence

    def _is_done(self, barriers: list[Barrier]) -> bool:
        swept = self._sender.has_swept or not self.store.is_open
        return swept and all(barrier.left <= 0 for barrier in barriers)

    def _start(self) -> bool:
        """Starts the thread unless it runs; returns False if the interpreter starts no more."""
        with self.store.changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="bartizan-sender", daemon=True)
                try:
                    # In a context of its own: the span that is current here is not its parent.
                    contextvars.Context().run(thread.start)
                except RuntimeError:
                    return False
                self._thread = thread
                process.flush_in_child()
            return True

    def _run(self) -> None:
        try:
            self._sender.run()
        finally:
            self._ended.set()
