"""Starts what is measured as a process of its own, and reads what it costs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from tests.bench.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
READY = re.compile(r"^ready grpc=(\S+) http=(\S+)$", re.MULTILINE)
START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
LOAD_TIMEOUT_S = 120
"""How much longer than planned a load client may take."""
POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU seconds used so far."""

    server: float
    postgres: float

    def per_span(self, earlier: "Cpu", spans: int) -> dict[str, float]:
        """Returns microseconds for each span since an earlier reading."""
        return {
            "server_us": round((self.server - earlier.server) * 1e6 / max(1, spans), 2),
            "postgres_us": round((self.postgres - earlier.postgres) * 1e6 / max(1, spans), 2),
        }


@dataclass(frozen=True, slots=True)
class Serving:
    """A server or a floor that takes spans."""

    pid: int
    grpc: str
    key: str
    data_dir: Path
    start_s: float
    """From the start of the process to its ready line."""

    def cpu(self) -> Cpu:
        """Returns what the server and its PostgreSQL have used, helpers and workers included."""
        postmaster = self._postmaster()
        return Cpu(_tree_cpu(self.pid), _tree_cpu(postmaster) if postmaster else 0.0)

    def rss_mb(self) -> float:
        """Returns the resident memory of the server and its workers, without PostgreSQL."""
        return round(sum(p.memory_info().rss for p in _tree(self.pid)) / 1e6, 1)

    def plan(self, **changes: Any) -> Plan:
        """Returns a plan for a load on it."""
        return Plan(self.grpc, self.key, **changes)

    def load(self, **changes: Any) -> dict[str, Any]:
        """Runs a load client to its end; returns its figures and the CPU per span."""
        before = self.cpu()
        plan = self.plan(**changes)
        figures = finish(start_load(plan), plan)
        return figures | self.cpu().per_span(before, figures["spans_total"])

    def _postmaster(self) -> int | None:
        with suppress(OSError, ValueError):
            file = self.data_dir / "postgres" / "cluster" / "postmaster.pid"
            return int(file.read_text().split("\n", 1)[0])
        return None


@contextmanager
def server(data_dir: Path, *, workers: int = 1, rules: str = "") -> Iterator[Serving]:
    """Runs `bartizan serve`; stops it at the end and leaves its data.

    With its defaults, but for rules as YAML.
    """
    key_file = data_dir.with_name(f"{data_dir.name}.key")
    command = [
        str(Path(sys.executable).with_name("bartizan")), "serve",
        "--data-dir", str(data_dir),
        "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
        "--workers", str(workers), "--bootstrap-key-file", str(key_file),
    ]  # fmt: skip
    if rules:
        file = data_dir.with_name(f"{data_dir.name}.rules.yaml")
        file.write_text(rules)
        command += ["--rules", str(file)]
    with _process(command, data_dir, key_file) as serving:
        yield serving


@contextmanager
def floor(data_dir: Path, *options: str) -> Iterator[Serving]:
    """Runs the floor program; stops it at the end and leaves its data."""
    command = [sys.executable, "-m", "tests.bench.floor", "--data-dir", str(data_dir), *options]
    with _process(command, data_dir, None) as serving:
        yield serving


def start_load(plan: Plan) -> "subprocess.Popen[str]":
    """Starts a load client."""
    command = [sys.executable, "-m", "tests.bench.load"]
    for name, value in asdict(plan).items():
        if value is True:
            command.append(f"--{name}")
        elif value is not False:
            command.append(f"--{name}={value}")
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finish(client: "subprocess.Popen[str]", plan: Plan) -> dict[str, Any]:
    """Waits for a load client; returns its figures."""
    planned = 600 if plan.batches else plan.seconds + plan.warmup
    out, _ = client.communicate(timeout=planned + LOAD_TIMEOUT_S)
    if client.returncode:
        raise RuntimeError(f"the load client ended with exit code {client.returncode}")
    figures: dict[str, Any] = json.loads(out.splitlines()[-1])
    if not figures["spans_total"]:
        raise RuntimeError(f"nothing was acked: {figures['errors']}")
    return figures


@contextmanager
def _process(command: list[str], data_dir: Path, key_file: Path | None) -> Iterator[Serving]:
    said, logged = data_dir.with_suffix(".out"), data_dir.with_suffix(".log")
    started = time.perf_counter()
    with said.open("w") as out, logged.open("w") as log:
        # Its own environment, so that nobody's settings change what is measured.
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=log, env=_environment())
    try:
        address = _ready(process, said, logged)
        ready_s = time.perf_counter() - started
        key = key_file.read_text().strip() if key_file else ""
        yield Serving(process.pid, address, key, data_dir, ready_s)
    finally:
        _stop(process)


def _environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith("BARTIZAN_")}


def _ready(process: "subprocess.Popen[bytes]", said: Path, logged: Path) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if found := READY.search(said.read_text()):
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(POLL_S)
    last = logged.read_text().strip().splitlines()[-1:]
    raise RuntimeError(f"{process.args!r} did not start: {last}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def remove(data_dir: Path) -> None:
    """Removes a data directory and what lies beside it."""
    shutil.rmtree(data_dir, ignore_errors=True)
    for beside in data_dir.parent.glob(f"{data_dir.name}.*"):
        beside.unlink()


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def _tree_cpu(pid: int) -> float:
    """Returns the CPU seconds of a process, of its children and of those that have ended."""
    total = 0.0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total
