"""`bartizan serve`: the database, the first project, and one server process or several."""

import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import structlog
import uvloop

from bartizan.server import logs
from bartizan.server.app import Ports, Process, serve
from bartizan.server.bootstrap import ensure_first_project, ensure_secrets
from bartizan.server.config import Settings
from bartizan.server.store import schema
from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.server.store.engine import create_engine
from bartizan.server.supervisor import supervise

log = structlog.get_logger(__name__)

MIGRATION_TIMEOUT_S = 3600
USUAL_PORT = 4317
"""Where clients look when they are told nothing."""

WELCOME = """
This is the first start. The key of the project default, shown this once:

    {key}

Send the sample traffic and look at it:

    export BARTIZAN_API_KEY={key}{endpoint}
    .venv/bin/bartizan send --now examples/sample-traces.ndjson
    .venv/bin/bartizan traces
"""


def run(settings: Settings) -> None:
    """Runs the server until SIGTERM or SIGINT; raises ConfigError when it cannot start."""
    configure_logs(settings)
    uvloop.run(_run(settings))


def configure_logs(settings: Settings) -> None:
    """Sets up logging as the settings say."""
    as_json = {"json": True, "text": False, "auto": None}[settings.log.format]
    logs.configure(settings.log.level, json=as_json)


async def _run(settings: Settings) -> None:
    stop = stop_on_signals()
    # What takes longest to load is loaded while the database starts.
    loading = asyncio.create_task(asyncio.to_thread(_preload, settings))
    async with _database(settings) as url:
        process = await _prepare(settings, url)
        await loading

        async def ready(ports: Ports) -> None:
            # Last of all: a start that fails must not use up the one showing of the first key.
            await _welcome(settings, url, ports)
            announce(settings, ports)

        await (serve if settings.workers == 1 else supervise)(process, stop, ready)


def _preload(settings: Settings) -> None:
    """Imports what the rules will need, by a guess: a wrong one costs some time."""
    if settings.workers > 1:
        return
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if settings.rules is None or "pii" in settings.rules.read_text(encoding="utf-8"):
            importlib.import_module("presidio_analyzer")


def stop_on_signals() -> asyncio.Event:
    """Returns an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.set_exception_handler(logs.log_loop_error)
    return stop


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[str]:
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with EmbeddedPostgres(settings.data_dir) as embedded:
        yield embedded.url


async def _prepare(settings: Settings, url: str) -> Process:
    engine = create_engine(url, query_timeout_s=MIGRATION_TIMEOUT_S)
    try:
        await schema.upgrade(engine)
        secrets = await ensure_secrets(engine)
    finally:
        await engine.dispose()
    return Process(settings, url, dict(secrets), embedded=settings.database_url is None)


async def _welcome(settings: Settings, url: str, ports: Ports) -> None:
    """Makes the first project, if there is none, and shows its key this once."""
    engine = create_engine(url)
    try:
        first = await ensure_first_project(
            engine, settings.bootstrap_key_file, clock=lambda: datetime.now(UTC)
        )
    finally:
        await engine.dispose()
    if first is not None:
        grpc = settings.grpc_listen._replace(port=ports.grpc)
        endpoint = f"\n    export BARTIZAN_ENDPOINT={grpc}" if ports.grpc != USUAL_PORT else ""
        welcome = WELCOME.format(key=first.secret, endpoint=endpoint)
        print(welcome, file=sys.stderr, flush=True)  # noqa: T201


def announce(settings: Settings, ports: Ports) -> None:
    """Prints the one line that scripts wait for."""
    grpc = settings.grpc_listen._replace(port=ports.grpc)
    http = settings.http_listen._replace(port=ports.http)
    print(f"ready grpc={grpc} http={http}", flush=True)  # noqa: T201 - the interface of serve
