"""Databases for tests: on the server that BARTIZAN_TEST_DATABASE_URL names, or on one of our own.

The server may be plain PostgreSQL or TimescaleDB. Its role must be allowed to make databases.
"""

import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.database import Databases, project_ids

from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.server.store.engine import create_engine

# The same examples in every run: a red suite stays red until it is mended. No deadlines, as no test
# judges how fast this machine is.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
async def postgres_url() -> AsyncIterator[str]:
    """A database server, by the URL of a database that tests leave alone."""
    if url := os.environ.get("BARTIZAN_TEST_DATABASE_URL"):
        yield url
        return
    # Not in pytest's own folder: under root, the user that PostgreSQL runs as must get through to
    # it, and every other pytest that starts shuts that folder to all but root.
    with tempfile.TemporaryDirectory(prefix="bartizan-test-") as folder:
        async with EmbeddedPostgres(Path(folder)) as postgres:
            yield postgres.url


@pytest.fixture(scope="session")
async def databases(postgres_url: str) -> AsyncIterator[Databases]:
    """Makes migrated databases, and drops them when the session ends."""
    async with Databases(postgres_url) as databases:
        yield databases


@pytest.fixture(scope="session")
async def database_url(databases: Databases) -> str:
    """A migrated database that all tests share: each keeps to a project of its own."""
    return await databases.create()


@pytest.fixture
async def fresh_database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated database that holds nothing, for this test alone."""
    url = await databases.create()
    yield url
    await databases.drop(url)


@pytest.fixture(scope="session")
async def shared_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine on the shared database."""
    engine = create_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
def project_id() -> int:
    """A project that no other test uses; there is no row for it."""
    return next(project_ids)
