"""Runs the demo from the start of its server to the removal of its last file."""

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from random import Random

from rich.console import Console

from bartizan.client import Bartizan, BartizanError
from bartizan.server.demo.player import Clock, Player
from bartizan.server.demo.serving import (
    Server,
    ServerFailed,
    log_tail,
    refuse_strange,
    remove,
    serving,
)
from bartizan.server.demo.show import Stage, pause, show_lines, show_live
from bartizan.server.demo.summary import command, print_next, print_summary
from bartizan.server.demo.traffic import turns
from bartizan.server.demo.view import Access, View
from bartizan.server.demo.watching import Watch

DRAIN_TIMEOUT_S = 10.0
FLUSH_TIMEOUT_S = 10.0
READ_ATTEMPTS = 2
FAILED = 1


@dataclass(frozen=True, slots=True)
class Options:
    """How the demo is to run.

    Attributes:
        keep: where the data stays; None for a temporary directory.
        seconds: how long; 0 is until it is stopped.
        rate: traces a second.
        seed: what the traffic is made from.
    """

    keep: Path | None
    seconds: float
    rate: float
    seed: int


def run(options: Options) -> int:
    """Runs the demo and returns the exit code: 0, or 1 if the server failed.

    Raises ConfigError when the directory to keep has other data.
    """
    if options.keep is not None:
        refuse_strange(options.keep)
    # What the SDK or gRPC have to say would be in the middle of the picture.
    logging.getLogger("bartizan.client").addHandler(logging.NullHandler())
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return asyncio.run(_run(options, Console(highlight=False)))


async def _run(options: Options, console: Console) -> int:
    stop = _stop_on_signals()
    with _home(options.keep) as data_dir:
        try:
            stage = await _serve_and_show(options, console, data_dir, stop)
        except ServerFailed as failed:
            console.print(f"The server {failed}. The end of its log:\n", style="red")
            console.print(log_tail(data_dir), markup=False, soft_wrap=True)
            return FAILED
    if stage is not None:
        print_summary(console, stage.figures, stage.elapsed_s())
    print_next(console, options.keep)
    return 0


async def _serve_and_show(
    options: Options, console: Console, data_dir: Path, stop: asyncio.Event
) -> Stage | None:
    """Returns what there was to see, or None if it was stopped before there was anything."""
    async with AsyncExitStack() as stack:
        with _working(console, "Starting a server with a database of its own"):
            server = await stack.enter_async_context(serving(data_dir, stop))
        if server is None:
            return None
        stage = await _perform(options, console, server, stop)
        if server.process.returncode is not None:
            raise ServerFailed("ended on its own")
        with _working(console, "Stopping the server and its database"):
            await stack.aclose()
    return stage


async def _perform(
    options: Options, console: Console, server: Server, stop: asyncio.Event
) -> Stage:
    """Lets the agents work and shows it until it is time to stop."""
    began, start_s = datetime.now(UTC), time.monotonic()
    clock = Clock(time.time_ns)
    rng = Random(options.seed)  # noqa: S311 - nothing here is secret
    with _client(server, clock) as bz, _watch(server) as watch:
        stage = Stage(watch, server.http, lambda: time.monotonic() - start_s)
        player = Player(bz, clock, lambda seconds: pause(stop, seconds))
        script = takewhile(lambda _: not stop.is_set(), turns(options.seed))
        acting = asyncio.create_task(player.drive(script, options.rate, rng))
        ending = asyncio.create_task(_end_in_time(server, options.seconds, stop))
        try:
            await _show(options, console, stage, server, stop)
        finally:
            stop.set()
            await asyncio.wait((acting, ending), timeout=DRAIN_TIMEOUT_S)
            acting.cancel()
        with _working(console, "Storing what is left"):
            await _settle(bz, watch, stage, began, server)
        return stage


async def _show(
    options: Options, console: Console, stage: Stage, server: Server, stop: asyncio.Event
) -> None:
    access = Access(command(), server.grpc, server.http, server.key)
    if console.is_terminal:
        await show_live(
            console, stage, View(stage.figures, stage.news, access, options.seconds), stop
        )
    else:
        console.print(f"gRPC {server.grpc}, HTTP {server.http}")
        await show_lines(console, stage, stop)


async def _end_in_time(server: Server, seconds: float, stop: asyncio.Event) -> None:
    """Sets the event when the time is up or the server has ended."""
    waits = [asyncio.create_task(stop.wait()), asyncio.create_task(server.process.wait())]
    await asyncio.wait(waits, timeout=seconds or None, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    for wait in waits:
        wait.cancel()


async def _settle(
    bz: Bartizan, watch: Watch, stage: Stage, began: datetime, server: Server
) -> None:
    """Waits until everything is stored, and reads what has not been seen of it."""
    if server.process.returncode is not None:
        await asyncio.to_thread(bz.shutdown, 0.0)
        return
    await asyncio.to_thread(bz.shutdown, FLUSH_TIMEOUT_S)
    # Should the server end just now, its exit code tells it.
    with suppress(BartizanError):
        await asyncio.to_thread(watch.catch_up, began)
    await stage.refresh(at_once=True)


def _client(server: Server, clock: Clock) -> Bartizan:
    # Everything is said, so that no variable of the shell changes what is shown.
    return Bartizan(
        server.key,
        server.grpc,
        agent="",
        environment="",
        capture_content=True,
        sample_rate=1.0,
        spool="",
        debug=False,
        enabled=True,
        source=clock.source,
    )


@contextmanager
def _watch(server: Server) -> Iterator[Watch]:
    watch = Watch(Bartizan(server.key, server.grpc, max_attempts=READ_ATTEMPTS))
    watch.start()
    try:
        yield watch
    finally:
        watch.close()


@contextmanager
def _home(keep: Path | None) -> Iterator[Path]:
    """Gives the directory to keep, or a temporary one that is removed at the end."""
    if keep is not None:
        yield keep.resolve()
        return
    data_dir = Path(tempfile.mkdtemp(prefix="bartizan-"))
    try:
        yield data_dir
    finally:
        remove(data_dir)


@contextmanager
def _working(console: Console, what: str) -> Iterator[None]:
    if console.is_terminal:
        with console.status(f"{what} …"):
            yield
    else:
        console.print(f"{what} …")
        yield


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop
