"""Several server processes on one pair of ports: starts them, starts them again, stops them.

The kernel spreads connections over all processes that listen on a port with SO_REUSEPORT. The
supervisor holds both ports without listening, so that they stay ours while a process is replaced.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog
from prometheus_client.multiprocess import mark_process_dead

from bartizan.plugins.errors import ConfigError
from bartizan.server.app import Ports, Process
from bartizan.server.config import Address, Settings

log = structlog.get_logger(__name__)

RESTART_DELAY_S = 0.5
MAX_RESTART_DELAY_S = 30.0
"""A process that cannot start is tried again ever more slowly, for as long as it takes."""
EXIT_MARGIN_S = 5
"""What a process may need beyond its grace before it is killed."""


async def supervise(
    process: Process, stop: asyncio.Event, ready: Callable[[Ports], Awaitable[None]]
) -> None:
    """Runs as many processes as the settings say until `stop` is set, then drains them all.

    Calls `ready` when the first start of every process is done. Raises ConfigError if one cannot
    start the first time.
    """
    settings = process.settings
    with ExitStack() as stack:
        grpc = stack.enter_context(_reserved(settings.grpc_listen))
        http = stack.enter_context(_reserved(settings.http_listen))
        metrics_dir = _empty_metrics_dir(settings)
        message = _message(process, grpc, http)
        workers = [_Worker(number, message, metrics_dir) for number in range(settings.workers)]
        try:
            await asyncio.gather(*(worker.start() for worker in workers))
            keeping = [asyncio.create_task(worker.keep()) for worker in workers]
            await ready(Ports(grpc.port, http.port))
            await stop.wait()
            for task in keeping:
                task.cancel()
        finally:
            grace_s = settings.shutdown_grace.total_seconds() + EXIT_MARGIN_S
            await asyncio.gather(*(worker.stop(grace_s) for worker in workers))


class _Worker:
    """One server process. When the supervisor dies its standard input ends, and it stops too."""

    def __init__(self, number: int, message: bytes, metrics_dir: Path) -> None:
        self._number = number
        self._message = message
        self._environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(metrics_dir)}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts the process and waits until it serves; raises ConfigError when it does not."""
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bartizan.server.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            # A Ctrl-C in the terminal is for the supervisor, which passes it on in its own time.
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(self._message + b"\n")
        await process.stdin.drain()
        answer = (await process.stdout.readline()).decode().strip()
        if answer != "ready":
            raise ConfigError("WORKER_DID_NOT_START", answer or "A server process did not start.")
        log.info("a server process serves", number=self._number, pid=process.pid)

    async def keep(self) -> None:
        """Starts the process again whenever it ends, until cancelled."""
        delay_s = RESTART_DELAY_S
        while True:
            assert self._process is not None
            code = await self._process.wait()
            mark_process_dead(self._process.pid, self._environment["PROMETHEUS_MULTIPROC_DIR"])  # type: ignore[no-untyped-call]
            log.error("a server process ended", number=self._number, code=code)
            await asyncio.sleep(delay_s)
            try:
                await self.start()
                delay_s = RESTART_DELAY_S
            except (ConfigError, OSError) as error:
                delay_s = min(MAX_RESTART_DELAY_S, delay_s * 2)
                log.error("a server process did not start", error=type(error).__name__)

    async def stop(self, grace_s: float) -> None:
        """Asks the process to drain, and kills it when it takes longer than `grace_s` seconds."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            log.error("a server process did not end in time", number=self._number)
            process.kill()
            await process.wait()


@contextmanager
def _reserved(address: Address) -> Iterator[Address]:
    """Holds a port without listening on it; yields the address, with the port that 0 became."""
    # A port that somebody else shares would be shared with him: first see that it is free.
    with _bound(address, share=False):
        pass
    with _bound(address, share=True) as holder:
        yield address._replace(port=holder.getsockname()[1])


def _bound(address: Address, *, share: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    holder = socket.socket(family, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        holder.bind((address.host, address.port))
    except OSError as error:
        holder.close()
        raise ConfigError(
            "ADDRESS_UNUSABLE", f"cannot listen on {address}: {error.strerror}"
        ) from error
    return holder


def _empty_metrics_dir(settings: Settings) -> Path:
    folder = settings.data_dir / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def _message(process: Process, grpc: Address, http: Address) -> bytes:
    """Returns what a worker must know, as one line; secrets go no other way than this pipe."""
    settings = process.settings.model_dump(
        mode="json", exclude={"database_url", "database_url_file"}
    )
    settings.update(grpc_listen=str(grpc), http_listen=str(http))
    return json.dumps(
        {
            "settings": settings,
            "embedded": process.embedded,
            "database_url": process.database_url,
            "secrets": {name: value.hex() for name, value in process.secrets.items()},
        }
    ).encode()
