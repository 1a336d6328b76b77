"""`bartizan demo` as a user runs it: it ends well, and leaves nothing running and nothing lying."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from tests.support.servers import bartizan, refusal
from tests.support.serving import Serving

TIMEOUT_S = 90
EXE = str(Path(sys.executable).with_name("bartizan"))


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """Where the demo makes its temporary directory."""
    folder = tmp_path / "t"
    folder.mkdir()
    return folder


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(temporary: Path) -> Iterator[Start]:
    """Starts the demo where there is no terminal; one that still runs at the end is ended."""
    started: list[subprocess.Popen[str]] = []

    def start_one(*options: str, **environment: str) -> "subprocess.Popen[str]":
        inherited = {name: v for name, v in os.environ.items() if not name.startswith("BARTIZAN_")}
        demo = subprocess.Popen(
            [EXE, "demo", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=temporary.parent,
            env={**inherited, "TMPDIR": str(temporary), **environment},
        )
        started.append(demo)
        return demo

    yield start_one
    for demo in started:
        if demo.poll() is None:
            demo.terminate()
            demo.communicate(timeout=TIMEOUT_S)


def said_at_the_end(demo: "subprocess.Popen[str]", code: int = 0) -> str:
    """Returns what the demo said, after it has ended with a code."""
    said, _ = demo.communicate(timeout=TIMEOUT_S)
    assert demo.returncode == code, said[-2000:]
    return said


@contextmanager
def patience(demo: "subprocess.Popen[str]") -> Iterator[None]:
    """Ends a demo that says nothing for too long, so that reading from it ends."""
    timer = threading.Timer(TIMEOUT_S, demo.terminate)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def wait_for_line(demo: "subprocess.Popen[str]", beginning: str) -> None:
    """Reads what the demo says up to a line that begins so."""
    assert demo.stdout is not None
    with patience(demo):
        for line in demo.stdout:
            if line.startswith(beginning):
                return
    raise AssertionError(f"the demo ended without saying {beginning!r}")


def running_on(folder: Path) -> list[str]:
    """Returns the command lines of processes that have something to do with a folder."""
    return [
        " ".join(process.info["cmdline"])
        for process in psutil.process_iter(["cmdline"])
        if str(folder) in " ".join(process.info["cmdline"] or ())
    ]


def assert_nothing_left(temporary: Path) -> None:
    """Fails if a process or a file of the demo is still there."""
    assert running_on(temporary) == []
    assert list(temporary.iterdir()) == []


def stored(said: str) -> tuple[int, int]:
    """Returns spans and traces, as the summary has them."""
    found = re.search(
        r"^([\d,]+) spans of ([\d,]+) traces stored .* 0 rejected", said, re.MULTILINE
    )
    assert found is not None, said[-2000:]
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


def test_it_ends_by_itself_and_leaves_nothing(start: Start, temporary: Path) -> None:
    # Variables for other servers do not lead the demo away from its own.
    elsewhere = {
        "BARTIZAN_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "BARTIZAN_ENDPOINT": "127.0.0.1:1",
        "BARTIZAN_API_KEY": "bz_wrong",
        "BARTIZAN_ENABLED": "false",
    }
    said = said_at_the_end(start("--seconds", "3", "--seed", "7", **elsewhere))
    spans, traces = stored(said)
    assert spans > traces > 0
    assert "support-bot" in said
    assert "Redacted before storing:" in said
    # People's data is on no screen, and nothing else that was not redacted.
    assert "@example.com" not in said
    assert_nothing_left(temporary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(
    start: Start, temporary: Path, number: signal.Signals
) -> None:
    demo = start("--seconds", "0")
    wait_for_line(demo, "gRPC ")
    demo.send_signal(number)
    said = said_at_the_end(demo)
    assert "Nothing is left running" in said
    assert_nothing_left(temporary)


def test_a_signal_while_the_server_starts_leaves_nothing(start: Start, temporary: Path) -> None:
    demo = start()
    wait_for_line(demo, "Starting")
    demo.send_signal(signal.SIGHUP)
    said_at_the_end(demo)
    assert_nothing_left(temporary)


def test_a_server_that_does_not_start_says_why(
    start: Start, temporary: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    (kept / "postgres").mkdir(parents=True)
    (kept / "first-key").write_text("bz_any")
    with (kept / "postgres" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = said_at_the_end(start("--data-dir", str(kept)), code=1)
    assert "The server did not start. The end of its log:" in said
    assert "Another server uses the data directory" in said
    assert running_on(kept) == []


def test_a_server_that_dies_ends_the_demo(start: Start, temporary: Path) -> None:
    demo = start("--seconds", "0")
    wait_for_line(demo, "gRPC ")
    (server,) = psutil.Process(demo.pid).children()
    server.kill()
    said = said_at_the_end(demo, code=1)
    assert "The server ended on its own" in said
    assert_nothing_left(temporary)


@pytest.mark.slow
def test_kept_data_can_be_started_on_again(start: Start, temporary: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    said = said_at_the_end(start("--seconds", "2", "--data-dir", str(kept)))
    assert f"serve --data-dir {kept}" in said
    assert_nothing_left(temporary)
    assert running_on(kept) == []
    with Serving(kept) as server:
        key = (kept / "first-key").read_text().strip()
        listed = bartizan(
            "traces", "--json", "--limit", "100000",
            BARTIZAN_API_KEY=key, BARTIZAN_ENDPOINT=server.grpc,
        )  # fmt: skip
    assert len(listed.stdout.splitlines()) == stored(said)[1]
    again = said_at_the_end(start("--seconds", "1", "--data-dir", str(kept)))
    assert stored(again)[1] < stored(said)[1] + 20


def test_another_servers_data_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    said = refusal("demo", "--data-dir", str(tmp_path))
    assert "holds the data of another server" in said
