"""What is measured. Each scenario starts what it needs, anew, and reports its figures."""

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench import judging, sdk
from tests.bench.plan import percentiles
from tests.bench.queries import Reader
from tests.bench.report import Figure, Report
from tests.bench.server import Serving, finish, floor, remove, server, start_load

OTLP_SENDERS = 32
OVERLOAD = {"senders": 64, "window": 32}
"""64 times what keeps the server busy, 250 MB of spans: it must push back, not grow."""
SAMPLE_S = 0.5
SETTLE_S = 3.0
QUERIES = 200
KEPT_SAMPLES = 40
PII = "rules: [{id: pii, plugin: pii, action: redact}]"
SPLITS = {"parse": ("--parse-only",), "rows": ("--no-store",), "stored": ()}


@dataclass(slots=True)
class Bench:
    """How thoroughly to measure, and where.

    Attributes:
        rounds: runs of which the median counts.
        seconds: how long each load lasts.
        overload_s: how long the overload lasts.
        spans: how many spans the queries read in.
    """

    report: Report
    folder: Path
    rounds: int
    seconds: float
    overload_s: float
    spans: int
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def add(self, name: str, value: float, unit: str, **detail: Any) -> None:
        """Reports a figure; what is counted per second is better high, all else low."""
        higher = unit in ("spans/s", "ratio")
        self.report.add(Figure(name, value, unit, "higher" if higher else "lower", detail))

    @contextmanager
    def server(self, workers: int = 1, rules: str = "") -> Iterator[Serving]:
        """Runs a server with an empty database, which is gone afterwards.

        Its rules are the default ones, unless others are given as YAML.
        """
        data_dir = self.data_dir()
        try:
            with server(data_dir, workers=workers, rules=rules) as serving:
                self.say(f"server runs with pid {serving.pid}")
                yield serving
        finally:
            remove(data_dir)

    @contextmanager
    def floor(self, *options: str) -> Iterator[Serving]:
        """Runs the floor with an empty database, which is gone afterwards."""
        data_dir = self.data_dir()
        try:
            with floor(data_dir, *options) as serving:
                yield serving
        finally:
            remove(data_dir)

    def data_dir(self) -> Path:
        """Returns a folder that does not exist yet."""
        return self.folder / f"run{next(self._numbers)}"

    def say(self, text: str) -> None:
        """Tells whoever watches how far it is."""
        print(f"  … {text}", file=sys.stderr, flush=True)


Figures = dict[str, Any]


def native(bench: Bench) -> None:
    """Durable spans a second over native streams, and as a share of the floor's."""
    _against_floor(bench, "native", {})


def otlp(bench: Bench) -> None:
    """The same over OTLP/gRPC."""
    _against_floor(bench, "otlp", {"otlp": True, "senders": OTLP_SENDERS})


def native_pii(bench: Bench) -> None:
    """Durable spans a second over native streams, with the rule for personal data alone."""
    runs = [_run(bench.server(rules=PII), bench.seconds, {}) for _ in range(bench.rounds)]
    middle = _middle(runs)
    bench.add("native_pii_spans_per_s", middle["spans_per_s"], "spans/s", **middle)


def native_floor(bench: Bench) -> None:
    """Where the floor's time goes: parsing, making rows, storing."""
    _splits(bench, "floor_native", {})


def otlp_floor(bench: Bench) -> None:
    """The same over OTLP/gRPC."""
    _splits(bench, "floor_otlp", {"otlp": True, "senders": OTLP_SENDERS})


def workers2(bench: Bench) -> None:
    """Durable spans a second with two worker processes."""
    runs = [_run(bench.server(workers=2), bench.seconds, {}) for _ in range(bench.rounds)]
    middle = _middle(runs)
    bench.add("workers2_spans_per_s", middle["spans_per_s"], "spans/s", **middle)


def ack_latency(bench: Bench) -> None:
    """From the moment a batch is due to its ack, at half of what the server can take."""
    with bench.server() as serving:
        known = bench.report.figures.get("native_spans_per_s")
        full = known.value if known else serving.load(seconds=bench.seconds)["spans_per_s"]
        runs = [
            serving.load(seconds=bench.seconds, rate=full / 2, warmup=2.0)
            for _ in range(bench.rounds)
        ]
    for name in ("p50", "p99"):
        run = sorted(runs, key=lambda one: float(one[name]))[len(runs) // 2]
        bench.add(f"ack_latency_{name}_ms", run[name], "ms", rate=round(full / 2), **run)


def memory_rest(bench: Bench) -> None:
    """Resident memory of a server that has judged a little and now waits."""
    with bench.server() as serving:
        serving.load(batches=10)
        time.sleep(SETTLE_S)
        bench.add("memory_rest_mb", serving.rss_mb(), "MB")


def memory_overload(bench: Bench) -> None:
    """Resident memory while clients send all they can, and how much it grows meanwhile."""
    with bench.server() as serving:
        plan = serving.plan(seconds=bench.overload_s, **OVERLOAD)
        client = start_load(plan)
        samples = _samples(serving, plan.warmup + plan.seconds)
        figures = finish(client, plan)
    third = len(samples) // 3
    growth = statistics.mean(samples[2 * third :]) - statistics.mean(samples[third : 2 * third])
    few = samples[:: max(1, len(samples) // KEPT_SAMPLES)]
    bench.add("memory_overload_max_mb", max(samples), "MB", **figures)
    bench.add(
        "memory_overload_growth_mb", round(growth, 1), "MB", over=bench.overload_s, samples=few
    )


def start_time(bench: Bench) -> None:
    """From the start of the process to `ready`, with a database that exists."""
    data_dir = bench.data_dir()
    try:
        with server(data_dir) as serving:
            first = serving.start_s
            serving.load(seconds=1.0)
        starts = []
        for _ in range(bench.rounds):
            with server(data_dir) as serving:
                starts.append(serving.start_s)
    finally:
        remove(data_dir)
    bench.add("start_time_s", round(statistics.median(starts), 2), "s", first=round(first, 2))


def query(bench: Bench) -> None:
    """What a person waits for a list of traces and for one trace, with many stored."""
    with bench.server() as serving:
        bench.say(f"storing {bench.spans:,} spans")
        loaded = serving.load(batches=bench.spans // 100, warmup=0.0)
        reader = Reader(serving)
        for kind, seconds in reader.times(QUERIES):
            figures = percentiles(seconds)
            bench.add(
                f"query_{kind}_p95_ms", figures["p95"], "ms", spans=loaded["spans_total"], **figures
            )
        reader.close()


def _samples(serving: Serving, seconds: float) -> list[float]:
    end = time.monotonic() + seconds
    samples = []
    while time.monotonic() < end:
        time.sleep(SAMPLE_S)
        samples.append(serving.rss_mb())
    return samples


def _against_floor(bench: Bench, name: str, load: Figures) -> None:
    floors: list[Figures] = []
    servers: list[Figures] = []
    for number in range(bench.rounds):
        bench.say(f"{name}: round {number + 1} of {bench.rounds}")
        floors.append(_run(bench.floor(), bench.seconds, load))
        servers.append(_run(bench.server(), bench.seconds, load))
    ours, theirs = _middle(servers), _middle(floors)
    bench.add(f"{name}_spans_per_s", ours["spans_per_s"], "spans/s", **ours)
    bench.add(f"{name}_floor_spans_per_s", theirs["spans_per_s"], "spans/s", **theirs)
    ratio = round(ours["spans_per_s"] / theirs["spans_per_s"], 3)
    bench.add(f"{name}_floor_ratio", ratio, "ratio", cpu_ratio=_cpu_ratio(ours, theirs))


def _cpu_ratio(ours: Figures, theirs: Figures) -> float:
    """Returns how the CPU of server and database compares, which other load disturbs less."""
    cost: list[float] = [one["server_us"] + one["postgres_us"] for one in (ours, theirs)]
    return round(cost[1] / cost[0], 3)


def _splits(bench: Bench, name: str, load: Figures) -> None:
    for split, options in SPLITS.items():
        runs = [_run(bench.floor(*options), bench.seconds, load) for _ in range(bench.rounds)]
        middle = _middle(runs)
        bench.add(f"{name}_{split}_spans_per_s", middle["spans_per_s"], "spans/s", **middle)


def _run(serving: Any, seconds: float, load: Figures) -> Figures:
    with serving as running:
        figures: Figures = running.load(seconds=seconds, **load)
        return figures | {"rss_mb": running.rss_mb()}


def _middle(runs: list[Figures]) -> Figures:
    """Returns the run whose throughput is the median."""
    return sorted(runs, key=lambda run: float(run["spans_per_s"]))[len(runs) // 2]


SCENARIOS: dict[str, Callable[[Bench], None]] = {
    one.__name__: one
    for one in (
        native, native_pii, native_floor, otlp, otlp_floor, ack_latency, workers2,
        memory_rest, memory_overload, start_time, query, judging.judging, judging.check,
        sdk.sdk_overhead, sdk.sdk_throughput,
    )
}  # fmt: skip
"""By name, in the order in which they run."""
