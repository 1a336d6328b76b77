"""What tracing costs the traced program, and how much of it arrives."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from bartizan.client import Bartizan, Sending

if TYPE_CHECKING:
    from tests.bench.scenarios import Bench

SPANS = 20_000
"""In one round, fewer than the queue holds."""
BURST = 400
"""What one request of a service may record, and less than the thread that sends is woken for."""
BURSTS = 10
IMPORTS = 7
PAUSE_S = 0.0005
"""Between two spans that are measured alone: the processor has forgotten the one before."""
OFFERED = 100_000


def sdk_overhead(bench: "Bench") -> None:
    """What one span costs its program, with and without a spool, and the import of the SDK."""
    with bench.server() as serving, tempfile.TemporaryDirectory(dir=bench.folder) as folder:
        for name, spool in (("sdk_span_us", None), ("sdk_span_spool_us", Path(folder))):
            with Bartizan(serving.key, serving.grpc, spool=spool) as bz:
                record(bz)
                assert bz.flush(timeout_s=30)
                times = sorted(time for _ in range(BURSTS * bench.rounds) for time in _burst(bz))
                alone = sorted(_alone(bz) for _ in range(BURST * bench.rounds))
            bench.add(
                name, times[len(times) // 2], "us",
                p99_us=round(times[len(times) * 99 // 100], 1),
                alone_us=round(alone[len(alone) // 2], 1),
                alone_p99_us=round(alone[len(alone) * 99 // 100], 1),
            )  # fmt: skip
    bench.add("sdk_span_otel_us", statistics.median(_otel_us() for _ in range(BURSTS)), "us")
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


def _burst(bz: Bartizan) -> list[float]:
    """Returns what each span of a burst takes, in microseconds."""
    times = [_timed(bz) for _ in range(BURST)]
    assert bz.flush(timeout_s=30)
    return times


def _alone(bz: Bartizan) -> float:
    time.sleep(PAUSE_S)
    return _timed(bz)


def _timed(bz: Bartizan) -> float:
    began = time.perf_counter()
    record(bz)
    return (time.perf_counter() - began) * 1e6


def _otel_us() -> float:
    """Returns what the same span takes with the OpenTelemetry SDK, which then has it in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("bench")
    began = time.perf_counter()
    for _ in range(BURST):
        with tracer.start_as_current_span("chat") as span:
            span.set_attribute("gen_ai.request.model", "gpt-4o")
            span.set_attribute("gen_ai.input.messages", "Where is my order? " * 10)
            span.set_attribute("gen_ai.output.messages", "It is on its way. " * 10)
            span.set_attribute("gen_ai.usage.input_tokens", 120)
            span.set_attribute("gen_ai.usage.output_tokens", 40)
            span.set_attribute("gen_ai.usage.cost", 0.0023)
    return (time.perf_counter() - began) / BURST * 1e6


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
