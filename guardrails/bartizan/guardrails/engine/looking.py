"""Looks at many texts: little at once, much in a thread, large texts in a thread of their own."""

import threading
from asyncio import get_running_loop, to_thread
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Generic, Self, TypeVar

SCAN_IN_THREAD_CHARACTERS = 256 * 1_024
"""A scan of this much takes about half a millisecond: the event loop can wait that long."""

LARGE_CHARACTERS = 64 * 1_024
"""A text from here on may take as long as thousands of others: those do not wait for it."""

SLICE_CHARACTERS = 16 * 1_024
"""Between slices other calls get their turn."""

TEXT_CHARACTERS = 100
"""What it costs to look at an empty text, in characters of a long one."""

Found = TypeVar("Found")

Look = Callable[[str, threading.Event], Sequence[Found]]
"""Finds something in a text. Soon raises NobodyWaits once the event is set."""

LookTogether = Callable[[Sequence[str], threading.Event], list[Sequence[Found]]]
"""Does the same for several texts in one go."""

Scan = Callable[[Sequence[str]], Sequence[int]]
"""Returns the indexes of the texts that may hold anything. Cheap."""


class NobodyWaits(RuntimeError):
    """Raised when it is no longer worth to look at a text."""


def heed(gone: threading.Event | None) -> None:
    """Raises NobodyWaits once `gone` is set."""
    if gone is not None and gone.is_set():
        raise NobodyWaits


class Looks(Generic[Found]):
    """Runs a look at texts without holding the event loop. Serves many concurrent calls."""

    def __init__(self, name: str, look: Look[Found], at_once_characters: int) -> None:
        """Takes how many characters are looked at in about half a millisecond."""
        self._look_at: LookTogether[Found] = partial(_one_by_one, look)
        self._at_once = at_once_characters
        self._slice = max(SLICE_CHARACTERS, 2 * at_once_characters)
        self._never = threading.Event()
        # One each: more would take turns at the interpreter's lock and keep the event loop waiting.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._owns_thread = True
        self._large_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"{name}-large")

    @classmethod
    def together(
        cls, name: str, look: LookTogether[Found], thread: ThreadPoolExecutor | None = None
    ) -> Self:
        """Makes one for what looks at several texts in one go, always in a thread.

        What is not large goes through `thread`, if it is given: it stays with its owner.
        """

        def alone(value: str, gone: threading.Event) -> Sequence[Found]:
            return look([value], gone)[0]

        made = cls(name, alone, 0)
        made._look_at = look
        if thread is not None:
            made._thread.shutdown()
            made._thread, made._owns_thread = thread, False
        return made

    async def at(self, values: Sequence[str]) -> list[Sequence[Found]]:
        """Returns what is found in each text, in the order of the texts."""
        found: dict[str, Sequence[Found]] = {}
        for part in self._slices(dict.fromkeys(values)):
            found.update(zip(part, await self._looked(part), strict=True))
        return [found[value] for value in values]

    async def at_candidates(self, values: Sequence[str], scan: Scan) -> list[Sequence[Found]]:
        """Does what `at` does where a scan of all texts says that there may be something."""
        if sum(map(len, values)) <= SCAN_IN_THREAD_CHARACTERS:
            indexes = scan(values)
        else:
            indexes = await to_thread(scan, values)
        findings: list[Sequence[Found]] = [()] * len(values)
        found = await self.at([values[index] for index in indexes])
        for index, one in zip(indexes, found, strict=True):
            findings[index] = one
        return findings

    def close(self) -> None:
        """Lets the threads go. May be called twice."""
        if self._owns_thread:
            self._thread.shutdown(wait=False, cancel_futures=True)
        self._large_thread.shutdown(wait=False, cancel_futures=True)

    async def _looked(self, values: Sequence[str]) -> list[Sequence[Found]]:
        size = _size(values)
        if size <= self._at_once:
            return self._look_at(values, self._never)
        gone = threading.Event()
        thread = self._thread if size < max(LARGE_CHARACTERS, self._slice) else self._large_thread
        try:
            return await get_running_loop().run_in_executor(thread, self._look_at, values, gone)
        finally:
            # Whoever waited may have left: the thread is for the next.
            gone.set()

    def _slices(self, values: Iterable[str]) -> Iterator[list[str]]:
        part: list[str] = []
        size = 0
        for value in values:
            weight = len(value) + TEXT_CHARACTERS
            if part and size + weight > self._slice:
                yield part
                part, size = [], 0
            part.append(value)
            size += weight
        if part:
            yield part


def _one_by_one(
    look: Look[Found], values: Sequence[str], gone: threading.Event
) -> list[Sequence[Found]]:
    found = []
    for value in values:
        heed(gone)
        found.append(look(value, gone))
    return found


def _size(values: Sequence[str]) -> int:
    return sum(map(len, values)) + TEXT_CHARACTERS * len(values)
