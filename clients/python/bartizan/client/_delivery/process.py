"""What happens to deliveries when their process forks or ends."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import time
import weakref
from typing import Any, Protocol

FORK_WAIT_S = 2.0
"""How long a fork waits for senders to rest, at most."""
GRPC_REST_S = 0.1
"""How long a fork waits for gRPC to end its threads, which it does some milliseconds after its last
channel is closed. It never does when this program has channels of its own. A child that is forked
while they run may find a lock of theirs taken for ever, at its first channel."""
GRPC_THREADS = ("event_engine", "lifeguard", "grpc_")
THREADS = "/proc/self/task"


class Forkable(Protocol):
    """A delivery as its process sees it."""

    def before_fork(self, timeout_s: float) -> bool:
        """Comes to rest; returns whether gRPC may have been at work."""
        ...

    def after_fork_in_parent(self) -> None:
        """Goes on."""
        ...

    def after_fork_in_child(self) -> None:
        """Begins anew, empty."""
        ...

    def leave(self) -> None:
        """Sends what waits, in bounded time: the program ends."""
        ...


_all: weakref.WeakSet[Any] = weakref.WeakSet()
_left_behind: list[object] = []


def register(delivery: Forkable) -> None:
    """Lets a delivery know of forks and of the end; it can still be collected as garbage."""
    _all.add(delivery)


def leave_behind(*parts: object) -> None:
    """Keeps what a child has from its parent from ever being closed in the child."""
    _left_behind.append(parts)


def flush_in_child() -> None:
    """Lets a process that multiprocessing has made flush at its end: it skips atexit."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return
    from multiprocessing.util import Finalize

    Finalize(None, _leave, exitpriority=0)


def _leave() -> None:
    for delivery in list(_all):
        delivery.leave()


def _before_fork() -> None:
    deadline = time.monotonic() + FORK_WAIT_S
    busy = False
    for delivery in list(_all):
        with contextlib.suppress(Exception):
            busy |= delivery.before_fork(max(0.0, deadline - time.monotonic()))
    if busy:
        _wait_for_grpc()


def _wait_for_grpc() -> None:
    deadline = time.monotonic() + GRPC_REST_S
    while time.monotonic() < deadline and _has_grpc_threads():
        time.sleep(0.001)


def _has_grpc_threads() -> bool:
    """Returns whether gRPC's threads run, or True where that cannot be seen."""
    try:
        return any(_name(thread).startswith(GRPC_THREADS) for thread in os.listdir(THREADS))
    except OSError:
        return True


def _name(thread: str) -> str:
    try:
        with open(f"{THREADS}/{thread}/comm") as file:
            return file.read()
    except OSError:
        return ""


def _after_fork_in_parent() -> None:
    for delivery in list(_all):
        # When two threads fork at once, the second may find its locks given back already.
        with contextlib.suppress(RuntimeError):
            delivery.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for delivery in list(_all):
        delivery.after_fork_in_child()


atexit.register(_leave)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
