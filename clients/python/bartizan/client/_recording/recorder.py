"""What the spans of one client have in common."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Callable, TypeVar

if TYPE_CHECKING:
    from bartizan.client._record import Record

F = TypeVar("F", bound=Callable[..., Any])

log = logging.getLogger("bartizan.client")

SHARED = ("agent", "user_id", "session_id", "environment", "machine", "workspace")
"""What a span takes over from what is around it, unless it says otherwise."""


@dataclass(frozen=True)
class Source:
    """Where ids and times come from; tests pass their own.

    Attributes:
        random_bytes: returns so many bytes for ids.
        now_ns: returns the time, in nanoseconds since 1970.
        elapsed_ns: returns nanoseconds since whenever, and never goes back.
    """

    random_bytes: Callable[[int], bytes] = field(default=os.urandom)
    now_ns: Callable[[], int] = field(default=time.time_ns)
    elapsed_ns: Callable[[], int] = field(default=time.perf_counter_ns)


class Recorder:
    """Makes decisions for spans and takes them when they end.

    Args:
        put: takes what has ended; never raises, never blocks.
        source: where ids and times come from.
        shared: fields that every span has unless it says otherwise.
        tags: for the outermost spans.
        capture_content: whether inputs, outputs and error texts are kept.
        redact: takes out of a text what must not leave the process; never raises.
        sample_rate: the share of traces that is recorded, 0 to 1.
    """

    def __init__(
        self,
        put: Callable[[Record], None],
        source: Source,
        shared: Mapping[str, str],
        *,
        tags: tuple[str, ...] = (),
        capture_content: bool = True,
        redact: Callable[[str], str] | None = None,
        sample_rate: float = 1.0,
    ) -> None:
        self.put = put
        self.random_bytes = source.random_bytes
        self.now_ns = source.now_ns
        self.elapsed_ns = source.elapsed_ns
        self.shared = dict(shared)
        self.tags = tags
        self.capture_content = capture_content
        self.redact = redact
        self._threshold = round(sample_rate * 2**56)

    def sampled(self, trace_id: str) -> bool:
        """Returns whether a new trace is recorded; the same for the same id, wherever it is asked.

        Uses the last 56 bits, which are random in every id, as OpenTelemetry's consistent sampling.
        """
        return int(trace_id[-14:], 16) < self._threshold


def harmless(method: F) -> F:
    """Makes a method that records swallow its own failures: tracing never breaks the traced.

    The method then returns its object, as all that return something do.
    """

    @wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            # The class alone: the text of the error may hold what was to be recorded.
            log.debug("%s failed with %s", method.__name__, type(error).__name__)
            return self

    return guarded  # type: ignore[return-value]
