"""What a load client is to send and when, and what became of it."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.bench.spans import BATCH_SPANS


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send.

    Attributes:
        otlp: OTLP/gRPC exports instead of native streams.
        senders: streams, or exports at a time.
        window: batches in flight in each stream; without a rate.
        seconds: how long to measure, after `warmup` seconds that do not count.
        rate: spans a second over all senders; 0 means as fast as possible.
        batches: stop after so many instead; 0 means never.
    """

    target: str
    key: str = ""
    otlp: bool = False
    senders: int = 4
    window: int = 8
    seconds: float = 5.0
    warmup: float = 1.0
    rate: float = 0.0
    batches: int = 0
    seed: int = 1


@dataclass(slots=True)
class Tally:
    """What became of the batches. Times are seconds of `time.perf_counter`."""

    begin: float
    end: float
    spans: int = 0
    """Acked between begin and end."""
    spans_total: int = 0
    not_stored: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    last_ack: float = 0.0

    def acked(self, sent: float) -> None:
        """Counts one batch that was sent, or due, at `sent`."""
        now = self.last_ack = time.perf_counter()
        self.spans_total += BATCH_SPANS
        if self.begin <= now <= self.end:
            self.spans += BATCH_SPANS
            self.latencies.append(now - sent)


class Pace:
    """Tells each sender when its next batch is due."""

    def __init__(self, plan: Plan, start: float) -> None:
        self._start = start
        self._senders = plan.senders
        self._interval = BATCH_SPANS / plan.rate if plan.rate else 0.0
        self._end = start + plan.warmup + plan.seconds
        self._left = plan.batches or float("inf")

    @property
    def over(self) -> bool:
        """True when nothing more is to be sent."""
        return self._left <= 0 or time.perf_counter() >= self._end

    async def due(self, sender: int, number: int) -> float:
        """Waits until the batch is due and returns when that was; 0.0 when all is over."""
        now = time.perf_counter()
        at = now
        if self._interval:
            at = self._start + (number * self._senders + sender) * self._interval
            if at > now:
                await asyncio.sleep(at - now)
        if self.over:
            return 0.0
        self._left -= 1
        return at


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Returns p50, p95, p99 and the maximum of some seconds, in milliseconds."""
    ranked = sorted(latencies) or [0.0]
    figures = {
        name: ranked[min(len(ranked) - 1, int(len(ranked) * share))]
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
    }
    figures["max"] = ranked[-1]
    return {name: round(value * 1_000, 2) for name, value in figures.items()}
