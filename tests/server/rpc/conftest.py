"""Fixtures of the tests of the native doors for spans."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.ingesting import House, served
from tests.support.database import Databases

from bartizan.server.ingest import writer as writer_module
from bartizan.server.store.engine import Connection, connect, create_engine


@pytest.fixture(scope="package")
async def ingest_url(databases: Databases) -> AsyncIterator[str]:
    """A database whose tables tests may lock."""
    url = await databases.create()
    yield url
    await databases.drop(url)


@pytest.fixture(scope="package")
async def ingest_engine(ingest_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(ingest_url)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="package")
async def ingest_connection(ingest_url: str) -> AsyncIterator[Connection]:
    connection = await connect(ingest_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ingest_house(
    ingest_engine: AsyncEngine, ingest_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    monkeypatch.setattr(writer_module, "RECONNECT_DELAY_S", 0.01)
    async with served(ingest_engine, ingest_url) as house:
        yield house
