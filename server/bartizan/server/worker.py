"""One server process of several. Started by the supervisor, which talks to it over its pipes."""

import asyncio
import json
import sys

import uvloop

from bartizan.plugins.errors import ConfigError
from bartizan.server.app import Ports, Process, serve
from bartizan.server.config import Settings
from bartizan.server.run import configure_logs, stop_on_signals


async def _main() -> None:
    reader = asyncio.StreamReader(limit=1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    message = json.loads(await reader.readline())
    settings = Settings(**message["settings"])
    configure_logs(settings)
    stop = stop_on_signals()
    process = Process(
        settings,
        message["database_url"],
        {name: bytes.fromhex(value) for name, value in message["secrets"].items()},
        embedded=message["embedded"],
        shared_ports=True,
    )
    orphaned = asyncio.create_task(_stop_when_orphaned(reader, stop))
    try:
        await serve(process, stop, _ready)
    except ConfigError as error:
        _say(error.message)
        sys.exit(2)
    finally:
        orphaned.cancel()


async def _stop_when_orphaned(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await reader.read()
    stop.set()


async def _ready(_: Ports) -> None:
    _say("ready")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the pipe to the supervisor


if __name__ == "__main__":
    uvloop.run(_main())
