"""What tracing costs the traced program, and how much of it arrives."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.client import Bartizan, Sending

if TYPE_CHECKING:
    from tests.bench.scenarios import Bench

SPANS = 20_000
"""In one round, fewer than the queue holds."""
IMPORTS = 7
PAUSE_S = 0.0005
"""Between two spans, so that the thread that sends does not compete for the interpreter."""
OFFERED = 100_000


def sdk_overhead(bench: "Bench") -> None:
    """What one span costs its program, with and without a spool, and the import of the SDK."""
    with bench.server() as serving, tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        for name, spool in (("sdk_span_us", None), ("sdk_span_spool_us", Path(folder))):
            rounds = [_cost_us(serving.grpc, serving.key, spool) for _ in range(bench.rounds)]
            median = statistics.median(one[0] for one in rounds)
            p99 = statistics.median(one[1] for one in rounds)
            bench.add(name, median, "us", p99_us=round(p99, 1), spans=SPANS // 10)
    bench.add("sdk_import_ms", _import_ms(), "ms")


def sdk_throughput(bench: "Bench") -> None:
    """Spans a second from the SDK to the disk, and what becomes of more than fits the queue."""
    with bench.server() as serving:
        for name, folder in (("sdk_durable", None), ("sdk_durable_spool", "spool")):
            spool = bench.data_dir().with_name(folder) if folder else None
            sending = Sending(queue_spans=OFFERED, queue_bytes=256 * 1024 * 1024)
            with Bartizan(serving.key, serving.grpc, spool=spool, sending=sending) as bz:
                began = time.perf_counter()
                for _ in range(SPANS):
                    record(bz)
                assert bz.flush(timeout_s=120)
                seconds = time.perf_counter() - began
                assert bz.stats.stored == SPANS
            bench.add(name, SPANS / seconds, "spans/s")
        with Bartizan(serving.key, serving.grpc) as bz:
            began = time.perf_counter()
            for _ in range(OFFERED):
                record(bz)
            seconds = time.perf_counter() - began
            assert bz.flush(timeout_s=120)
            stats = bz.stats
        dropped = sum(stats.dropped.values())
        assert stats.recorded == stats.stored + dropped == OFFERED
        bench.add("sdk_offered", OFFERED / seconds, "spans/s", dropped=dropped)


def record(bz: Bartizan) -> None:
    """Records a model call as a program would."""
    with bz.span("chat", model="gpt-4o") as span:
        span.set_input("Where is my order? " * 10).set_output("It is on its way. " * 10)
        span.set_usage(input=120, output=40).set_cost(0.0023)


def _cost_us(endpoint: str, key: str, spool: Path | None) -> tuple[float, float]:
    """Returns median and 99th percentile."""
    with Bartizan(key, endpoint, spool=spool) as bz:
        record(bz)
        assert bz.flush(timeout_s=30)
        times = sorted(_timed(lambda: record(bz)) for _ in range(SPANS // 10))
    return times[len(times) // 2], times[len(times) * 99 // 100]


def _timed(work: Callable[[], None]) -> float:
    time.sleep(PAUSE_S)
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6


def _import_ms() -> float:
    program = (
        "import time; began = time.perf_counter(); import bartizan.client;"
        " print((time.perf_counter() - began) * 1e3)"
    )
    runs = [
        float(
            subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
        )
        for _ in range(IMPORTS)
    ]
    return statistics.median(runs)
