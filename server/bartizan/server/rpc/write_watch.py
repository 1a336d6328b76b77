"""Gives up on a client that does not read the responses of its stream."""

import asyncio
from types import TracebackType
from typing import Self

from bartizan.plugins.errors import Aborted

WRITE_TIMEOUT_SECONDS = 60.0
"""How long one response may wait for a client that does not read. The flow-control window holds at
least 64 KB by then, so a client that is merely slow has read something in that time."""


class WriteWatch:
    """Cancels the task that entered it when one write takes too long, and raises Aborted for it.

    The task sets `since` to the time of the loop before each write and to None after it. One timer
    a stream looks at that; a timeout around each write would cost more than the write itself.
    """

    def __init__(self, limit_s: float) -> None:
        self.since: float | None = None
        self._limit_s = limit_s
        self._expired = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._timer = self._loop.call_later(self._limit_s, self._look)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._expired and isinstance(error, asyncio.CancelledError):
            assert self._task is not None
            self._task.uncancel()
            raise Aborted(
                "CLIENT_NOT_READING", f"no response was read for {self._limit_s:g} seconds"
            )

    def _look(self) -> None:
        now = self._loop.time()
        since = now if self.since is None else self.since
        if now - since >= self._limit_s:
            self._expired = True
            assert self._task is not None
            self._task.cancel()
        else:
            self._timer = self._loop.call_at(since + self._limit_s, self._look)
