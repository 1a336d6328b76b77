"""The memory of a server while something is done to it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
from tests.support.serving import Serving

MEBIBYTE = 1024 * 1024
LOOK_EVERY_S = 0.01


@dataclass
class Memory:
    """Resident memory of one process, in bytes."""

    before: int
    peak: int

    @property
    def grown(self) -> int:
        """By how much it was larger at most."""
        return self.peak - self.before


@contextmanager
def watched(serving: Serving) -> Iterator[Memory]:
    """Looks at a server's memory until the block ends."""
    assert serving.process is not None
    process = psutil.Process(serving.process.pid)
    now = process.memory_info().rss
    memory = Memory(now, now)
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK_EVERY_S):
            memory.peak = max(memory.peak, process.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield memory
    finally:
        done.set()
        watcher.join()
