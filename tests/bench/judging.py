"""How long rules take, alone and on a server that is busy."""

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.bench import judge_texts
from tests.bench.server import ROOT, finish, start_load

if TYPE_CHECKING:
    from tests.bench.scenarios import Bench

CHECKS_PER_S = 200
BESIDE_SPANS_PER_S = 1_000
TIMEOUT_S = 600


def judging(bench: "Bench") -> None:
    """One text through the default rules and 200 patterns, all inline, on one core."""
    figures = _module("tests.bench.judge_texts")
    for size in ("200", "2000"):
        bench.add(f"judging_{size}_p50_ms", figures[size]["p50"], "ms")
        bench.add(f"judging_{size}_p99_ms", figures[size]["p99"], "ms")
    bench.add("judging_megabyte_s", figures["megabyte_s"], "s")
    bench.add("judging_load_s", figures["load_s"], "s")
    bench.add("judging_memory_mb", figures["rss_mb"], "MB")


def check(bench: "Bench") -> None:
    """Check over gRPC by the default rules and 200 patterns, all inline, while spans come in."""
    with bench.server(rules=judge_texts.rules()) as serving:
        plan = serving.plan(
            seconds=bench.seconds + 2, warmup=1.0, senders=1, rate=BESIDE_SPANS_PER_S
        )
        client = start_load(plan)
        figures = _module(
            "tests.bench.check_load",
            f"--target={serving.grpc}",
            f"--key={serving.key}",
            f"--rate={CHECKS_PER_S}",
            f"--seconds={bench.seconds}",
        )
        finish(client, plan)
    for name in ("p50", "p99"):
        bench.add(f"check_{name}_ms", figures[name], "ms", **figures)


def _module(name: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", name, *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=TIMEOUT_S,
    )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures
