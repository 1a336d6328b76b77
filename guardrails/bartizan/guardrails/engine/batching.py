"""Puts what several calls ask of one model together, for the model is run on many at once."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from bartizan.plugins.errors import Overloaded

MAX_WAITING = 4_096
"""Windows of one model. A core works on so many small ones for half a minute."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """The queue of one model, with the one thread that runs it. Serves many event loops.

    Nothing waits for a batch to fill up: while one is run, the next gathers.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Result]],
        max_batch: int,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """Takes what gives one result per item, how many at once, and how many may wait."""
        self._run = run
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._waiting: deque[tuple[Item, Future[Result]]] = deque()
        self._busy = False
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def results(self, items: Sequence[Item]) -> list[Result]:
        """Returns the result of each item.

        Puts only a batch at a time in the queue, so that calls with many items leave room for
        others. Raises Overloaded if the queue is full, else what the model raises.
        """
        results: list[Result] = []
        for first in range(0, len(items), self._max_batch):
            futures = self._put(items[first : first + self._max_batch])
            results += await asyncio.gather(*map(asyncio.wrap_future, futures))
        return results

    def _put(self, items: Sequence[Item]) -> list[Future[Result]]:
        futures: list[Future[Result]] = [Future() for _ in items]
        with self._lock:
            if len(self._waiting) + len(items) > self._max_waiting:
                raise Overloaded("MODEL_BUSY", "too many texts wait for the model")
            self._waiting.extend(zip(items, futures, strict=True))
            if not self._busy:
                self._busy = True
                self._thread.submit(self._work)
        return futures

    def _work(self) -> None:
        while batch := self._next():
            items, futures = zip(*batch, strict=True)
            try:
                results = self._run(items)
                if len(results) != len(items):
                    raise ValueError("the model gave too few results or too many")
            except Exception as error:
                for future in futures:
                    future.set_exception(error)
            else:
                for future, result in zip(futures, results, strict=True):
                    future.set_result(result)

    def _next(self) -> list[tuple[Item, Future[Result]]]:
        """Returns the next batch, without those that nobody waits for any more."""
        batch: list[tuple[Item, Future[Result]]] = []
        with self._lock:
            while self._waiting and len(batch) < self._max_batch:
                item, future = self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    batch.append((item, future))
            self._busy = bool(batch)
        return batch
