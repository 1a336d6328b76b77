"""The demo's own server: `bartizan serve` as a process, and all that it leaves behind."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bartizan.plugins.errors import ConfigError
from bartizan.server.store.embedded import EmbeddedPostgres

LOG = "server.log"
KEY = "first-key"
STOP_TIMEOUT_S = 40
"""The server's own grace for what it has taken, and as much for its database."""
DATABASE_TIMEOUT_S = 20
POLL_S = 0.1
READY = "ready "


class ServerFailed(Exception):
    """Raised when the server ended without being told to; says when, and its log says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs.

    Attributes:
        data_dir: where its data is.
        grpc: HOST:PORT of its gRPC door.
        http: HOST:PORT of its HTTP door.
        key: the key of its first project.
        process: the process itself.
    """

    data_dir: Path
    grpc: str
    http: str
    key: str
    process: Process


def refuse_strange(data_dir: Path) -> None:
    """Raises ConfigError when a directory has data, but not the key to it."""
    if (data_dir / "postgres").exists() and not (data_dir / KEY).exists():
        raise ConfigError(
            "NOT_A_DEMO", f"{data_dir} holds the data of another server; give another --data-dir."
        )


@asynccontextmanager
async def serving(data_dir: Path, stop: asyncio.Event) -> AsyncIterator[Server | None]:
    """Runs a server on a data directory until the block ends; gives None if told to stop first.

    Raises:
        ServerFailed: it ended before it was ready.
    """
    process = await _spawn(data_dir)
    try:
        line = await _first_line(process, stop)
        if line is None:
            yield None
        elif line.startswith(READY):
            grpc, http = (part.partition("=")[2] for part in line.split()[1:])
            yield Server(data_dir, grpc, http, (data_dir / KEY).read_text().strip(), process)
        else:
            raise ServerFailed("did not start")
    finally:
        await _end(process, data_dir)


def log_tail(data_dir: Path, lines: int = 15) -> str:
    """Returns the last lines of the server's log."""
    try:
        return "\n".join((data_dir / LOG).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def remove(data_dir: Path) -> None:
    """Removes a data directory, and the folder of its socket where that is elsewhere."""
    socket_dir = Path(EmbeddedPostgres(data_dir).url.partition("?host=")[2])
    for folder in (data_dir, socket_dir):
        shutil.rmtree(folder, ignore_errors=True)


async def _spawn(data_dir: Path) -> Process:
    # What a shell tells other servers must not reach this one: it would be their database.
    environment = {name: v for name, v in os.environ.items() if not name.startswith("BARTIZAN_")}
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # noqa: ASYNC240 - once, and local
    with (data_dir / LOG).open("a") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from bartizan.server.cli import main; main()", "serve",
            "--data-dir", str(data_dir),
            "--grpc-listen", "127.0.0.1:0",
            "--http-listen", "127.0.0.1:0",
            "--bootstrap-key-file", str(data_dir / KEY),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log,
            env=environment | {"BARTIZAN_LOG__FORMAT": "text"},
            # Ctrl-C is for the demo, which ends the server when it is done with it.
            start_new_session=True,
        )  # fmt: skip


async def _first_line(process: Process, stop: asyncio.Event) -> str | None:
    """Returns what the server says first, or None if it is time to stop."""
    assert process.stdout is not None
    reading = asyncio.ensure_future(process.stdout.readline())
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not reading.done():
        reading.cancel()
        return None
    return reading.result().decode()


async def _end(process: Process, data_dir: Path) -> None:
    """Ends the server, and its database if that was left behind."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
    await _end_database(EmbeddedPostgres(data_dir))


async def _end_database(postgres: EmbeddedPostgres) -> None:
    for number in (signal.SIGINT, signal.SIGQUIT):
        pid = postgres.postmaster_pid()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        for _ in range(round(DATABASE_TIMEOUT_S / POLL_S)):
            if postgres.postmaster_pid() is None:
                return
            await asyncio.sleep(POLL_S)
