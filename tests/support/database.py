"""Migrated databases, made quickly as copies of one."""

import itertools
import secrets
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from bartizan.server.store import schema
from bartizan.server.store.engine import connect, create_engine

project_ids = itertools.count(1)
"""Projects that no other test of this session uses."""


class Databases:
    """Makes databases on a server; drops them all when left."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._prefix = f"bartizan_test_{secrets.token_hex(6)}"
        self._names: list[str] = []
        self._template = ""

    async def __aenter__(self) -> Self:
        template = await self._create(f"{self._prefix}_template")
        engine = create_engine(self._url(template))
        await schema.upgrade(engine)
        await engine.dispose()
        # TimescaleDB's own workers would connect to it, and only an idle database can be copied.
        await self._run(f"ALTER DATABASE {template} ALLOW_CONNECTIONS false")
        await self._run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'"
        )
        self._template = template
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in reversed(self._names):
            await self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def create(self) -> str:
        """Makes a migrated database; returns its URL."""
        return self._url(await self._create(self._next_name(), f"TEMPLATE {self._template}"))

    async def create_empty(self) -> str:
        """Makes a database without tables; returns its URL."""
        return self._url(await self._create(self._next_name()))

    async def drop(self, url: str) -> None:
        """Drops a database, whoever is connected to it."""
        name = urlsplit(url).path.removeprefix("/")
        await self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _create(self, name: str, options: str = "") -> str:
        await self._run(f"CREATE DATABASE {name} {options}")
        self._names.append(name)
        return name

    def _next_name(self) -> str:
        return f"{self._prefix}_{len(self._names)}"

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    async def _run(self, statement: str) -> None:
        connection = await connect(self._server_url)
        await connection.execute(statement)
        await connection.close()
