"""Fixtures for the tests of keys and of the admin service."""

import os
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.admin_support import Clock, House

from bartizan.server.auth import Keys
from bartizan.server.bootstrap import ensure_first_project
from bartizan.server.rpc.admin import AdminService
from bartizan.server.store import schema
from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.server.store.engine import create_engine
from bartizan.server.store.paging import PageTokens

DATABASE_VARIABLE = "BARTIZAN_TEST_DATABASE_URL"
"""A PostgreSQL or TimescaleDB to make a scratch database in; an embedded one without it."""


@pytest.fixture(scope="session")
async def admin_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    if server := os.environ.get(DATABASE_VARIABLE):
        async with Scratch(server) as url:
            yield url
    else:
        async with EmbeddedPostgres(tmp_path_factory.mktemp("admin")) as postgres:
            yield postgres.url


class Scratch:
    """A database of its own on a server, for as long as it is entered."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._name = f"bartizan_test_{secrets.token_hex(6)}"

    async def __aenter__(self) -> str:
        await self._run(f"CREATE DATABASE {self._name}")
        return urlunsplit(urlsplit(self._server)._replace(path=f"/{self._name}"))

    async def __aexit__(self, *_: object) -> None:
        await self._run(f"DROP DATABASE {self._name} WITH (FORCE)")

    async def _run(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server)
        await connection.execute(statement)
        await connection.close()


@pytest.fixture
async def engine(admin_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on a database that has tables and no rows."""
    engine = create_engine(admin_url)
    await schema.upgrade(engine)
    async with engine.begin() as connection:
        tables = "organizations, projects, api_keys, secrets"
        await connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    yield engine
    await engine.dispose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def house(engine: AsyncEngine, clock: Clock) -> House:
    first = await ensure_first_project(engine, None, clock=clock)
    assert first is not None
    keys = Keys(engine, clock)
    forgotten: list[str] = []

    def forget(payload: str) -> None:
        forgotten.append(payload)
        keys.forget(payload)

    admin = AdminService(engine, PageTokens(b"test"), clock=clock, forget=forget)
    return House(engine, clock, keys, admin, first.secret, forgotten)
