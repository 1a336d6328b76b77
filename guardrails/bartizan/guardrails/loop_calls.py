"""The calls of a trace: how often each was made, and what was made in turns."""

import hashlib
import json
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

MAX_READ_CHARACTERS = 64 * 1_024
"""Longer arguments are the same only if every character is."""

DIGEST_BYTES = 12
MAX_CALLS_OF_A_TRACE = 2_000
"""Beyond them a trace goes on being counted, but a call told again counts again."""


class Standing(NamedTuple):
    """Where a call stands among those before it.

    Attributes:
        times: how many calls there were with the same tool and arguments, itself included.
        in_turns: how many calls, itself included, were two that took turns.
    """

    times: int
    in_turns: int


def fingerprint(tool: str, arguments: str) -> bytes:
    """Returns what is the same for the same call, however its JSON is written."""
    said = f"{tool}\0{_canonical(arguments)}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(said, digest_size=DIGEST_BYTES).digest()


def _canonical(arguments: str) -> str:
    if len(arguments) <= MAX_READ_CHARACTERS:
        try:
            return json.dumps(json.loads(arguments), sort_keys=True, separators=(",", ":"))
        except (ValueError, RecursionError):
            pass
    return arguments.strip()


class Calls:
    """Calls that were made one after the other. Keeps hashes alone."""

    def __init__(self, longest_turns: int) -> None:
        """Takes after how many calls in turns it is enough."""
        self._known: dict[int, Standing] = {}
        self._counts: defaultdict[bytes, int] = defaultdict(int)
        self._last: deque[bytes] = deque(maxlen=longest_turns)

    def add(self, call: bytes, id: str = "") -> Standing:
        """Returns where a call stands. One that was told before under its id stands where it did.

        Calls without an id are all different.
        """
        key = hash((id, call))
        if id and key in self._known:
            return self._known[key]
        self._counts[call] += 1
        self._last.append(call)
        standing = Standing(self._counts[call], _in_turns(self._last))
        if id and len(self._known) < MAX_CALLS_OF_A_TRACE:
            self._known[key] = standing
        return standing

    def __len__(self) -> int:
        """Returns how many calls are remembered."""
        return len(self._known)


class Traces:
    """The calls of the traces that were seen last."""

    def __init__(
        self,
        make: Callable[[], Calls],
        most_calls: int,
        keep_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """Takes how many calls are kept of all traces together, and for how long."""
        self._make = make
        self._most = most_calls
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._kept: OrderedDict[str, tuple[Calls, float]] = OrderedDict()
        self._size = 0

    def add(self, trace: str, call: bytes, id: str) -> Standing:
        """Returns where a call stands in its trace."""
        calls = self._kept.pop(trace)[0] if trace in self._kept else self._make()
        before = len(calls)
        standing = calls.add(call, id)
        self._kept[trace] = calls, self._clock()
        self._size += len(calls) - before
        self._forget()
        return standing

    def __len__(self) -> int:
        """Returns how many traces are kept."""
        return len(self._kept)

    def _forget(self) -> None:
        oldest = self._clock() - self._keep_seconds
        while len(self._kept) > 1:
            trace, (calls, seen) = next(iter(self._kept.items()))
            if seen >= oldest and self._size <= self._most:
                break
            del self._kept[trace]
            self._size -= len(calls)


def _in_turns(last: Sequence[bytes]) -> int:
    """Returns how many of the last calls were two that took turns; 0 if not even three were."""
    calls = list(last)[::-1]
    if len(calls) < 3 or calls[0] == calls[1]:
        return 0
    length = 2
    while length < len(calls) and calls[length] == calls[length - 2]:
        length += 1
    return length if length > 2 else 0
