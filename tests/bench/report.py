"""Figures: one JSON object each in a file, and a table for people."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil
from tests.bench.server import ROOT

RESULTS = ROOT / "bench-results.jsonl"
SHOWN = (
    "server_us", "postgres_us", "client_us", "p50", "p95", "p99", "max", "rss_mb", "cpu_ratio",
    "rate", "first", "over", "errors", "not_stored",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    better: Literal["higher", "lower"]
    detail: dict[str, Any] = field(default_factory=dict)


class Report:
    """Collects figures, writing each down as soon as it is known."""

    def __init__(self, results: Path = RESULTS) -> None:
        self._results = results
        self._machine = machine()
        self._commit = commit()
        self.figures: dict[str, Figure] = {}

    def add(self, figure: Figure) -> None:
        """Appends a figure to the results file and prints it."""
        self.figures[figure.name] = figure
        line = asdict(figure) | {
            "machine": self._machine,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": self._commit,
        }
        with self._results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(_row(figure), flush=True)

    def table(self) -> str:
        """Returns all figures, one a line."""
        head = f"{self._machine}\ncommit {self._commit}\n"
        return head + "\n".join(map(_row, self.figures.values()))


def machine() -> str:
    """Returns what the figures depend on: processor, memory, system."""
    memory = round(psutil.virtual_memory().total / 2**30)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory} GiB,"
        f" {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def commit() -> str:
    """Returns the short hash of what is measured, with a + when files differ from it."""
    try:
        return _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True
    )  # fmt: skip
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _row(figure: Figure) -> str:
    value = f"{figure.value:,.2f}" if abs(figure.value) < 100 else f"{figure.value:,.0f}"
    return f"{figure.name:<34} {value:>12} {figure.unit:<10} {_brief(figure.detail)}".rstrip()


def _brief(detail: dict[str, Any]) -> str:
    """Returns what tells most of a detail; the rest is for the file."""
    return " ".join(f"{key}={detail[key]}" for key in SHOWN if detail.get(key))
