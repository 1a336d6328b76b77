"""`bartizan serve` as a process of its own, as a user runs it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 40
POLL_S = 0.05

NO_RULES = "rules: []\n"


@dataclass
class Serving:
    """One server on a data directory. Start it, kill it, start it again."""

    data_dir: Path
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    grpc: str = "127.0.0.1:0"
    http: str = "127.0.0.1:0"
    process: "subprocess.Popen[str] | None" = None

    @property
    def key_file(self) -> Path:
        """Where the first key is written."""
        return self.data_dir.parent / f"{self.data_dir.name}.key"

    @property
    def key(self) -> str:
        """The first key."""
        return self.key_file.read_text().strip()

    @property
    def log_file(self) -> Path:
        """What the server said on standard error, over all its starts."""
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def start(self) -> Self:
        """Starts the server and waits for its ready line; keeps its ports for the next start."""
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("bartizan")), "serve",
                    "--data-dir", str(self.data_dir),
                    "--grpc-listen", self.grpc,
                    "--http-listen", self.http,
                    "--bootstrap-key-file", str(self.key_file),
                    *self.options,
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, "BARTIZAN_LOG__FORMAT": "json", **self.environment},
            )  # fmt: skip
        line = self._first_line()
        if not line.startswith("ready "):
            self.kill()
            raise AssertionError(
                f"not ready but {line!r}; log: {self.log_file.read_text()[-2000:]}"
            )
        self.grpc, self.http = (part.partition("=")[2] for part in line.split()[1:])
        return self

    def _first_line(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        # A server that hangs must not hang the test: kill it, and its line ends.
        timer = threading.Timer(START_TIMEOUT_S, self.process.kill)
        timer.start()
        try:
            return self.process.stdout.readline()
        finally:
            timer.cancel()

    def kill(self) -> None:
        """Ends the server as a power cut would, but for its database."""
        assert self.process is not None
        self.process.kill()
        self._reap()

    def stop(self) -> int:
        """Drains the server; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self._reap()

    def _reap(self) -> int:
        process = self.process
        assert process is not None
        try:
            code = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            if process.stdout is not None:
                process.stdout.close()
            self.process = None
        return code

    def workers(self) -> list[int]:
        """The process ids of the worker processes."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        return [
            child.pid for child in children if "bartizan.server.worker" in " ".join(child.cmdline())
        ]

    def postmaster(self) -> int:
        """The process id of the embedded PostgreSQL."""
        pid_file = self.data_dir / "postgres" / "cluster" / "postmaster.pid"
        return int(pid_file.read_text().split("\n", 1)[0])

    @property
    def database_url(self) -> str:
        """The embedded database, for those who look behind the server's back."""
        run = self.data_dir / "postgres" / "run"
        if not run.exists() or not any(run.iterdir()):
            socket = (self.data_dir / "postgres" / "cluster" / "postmaster.pid").read_text()
            run = Path(socket.split("\n")[4])
        return f"postgresql://bartizan@/bartizan?host={run}"

    def get(self, path: str) -> tuple[int, str]:
        """Returns status and body of an HTTP GET."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def wait_for(self, status: int) -> str:
        """Asks /readyz until it answers with a status; returns the body."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            found, body = self.get("/readyz")
            if found == status:
                return body
            time.sleep(POLL_S)
        raise AssertionError(f"/readyz did not turn {status}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.stop()
        elif (pid := self._orphan()) is not None:
            # The server was killed and left its database behind.
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(signal.SIGINT)
                psutil.Process(pid).wait(STOP_TIMEOUT_S)

    def _orphan(self) -> int | None:
        try:
            return self.postmaster()
        except FileNotFoundError:
            return None
