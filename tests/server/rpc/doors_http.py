"""The same services over HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.server.rpc.doors import House

from bartizan.server.rpc.connect_door import ConnectDoor
from bartizan.server.web import application
from bartizan.server.web_body import BodyMemory
from bartizan.server.web_otlp import OtlpDoor
from bartizan.server.web_serve import bind, serve_http


@dataclass
class Site:
    """A running HTTP port.

    Attributes:
        problems: what `/readyz` finds; an exception is raised.
    """

    house: House = field(default_factory=House)
    memory: BodyMemory = field(default_factory=BodyMemory)
    problems: list[str | Exception] = field(default_factory=list)
    port: int = 0

    async def ready(self) -> list[str]:
        """Returns the problems."""
        for problem in self.problems:
            if isinstance(problem, Exception):
                raise problem
        return [str(problem) for problem in self.problems]

    def reset(self) -> None:
        """Forgets what happened."""
        self.house.reset()
        self.problems.clear()


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    """Serves on a free port of the loopback."""
    site = Site()
    house = site.house
    app = application(
        connect=ConnectDoor([house.traces, house.ingest], house.gate),
        otlp=OtlpDoor(house.otlp, house.gate, site.memory),
        ready=site.ready,
        registry=house.registry,
    )
    async with serve_http(app, bind("127.0.0.1", 0)) as running:
        site.port = running.port
        yield site
