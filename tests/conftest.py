"""Databases for tests: on the server that BARTIZAN_TEST_DATABASE_URL names, or on one of our own.

The server may be plain PostgreSQL or TimescaleDB. Its role must be allowed to make databases.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.database import Databases, project_ids

from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.server.store.engine import connect, create_engine

# The same examples in every run: a red suite stays red until it is mended. No deadlines, as no test
# judges how fast this machine is.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Gives every run a folder of its own, which goes with it; `--basetemp` names one to keep."""
    # Not in pytest's own folder: under root, the user that PostgreSQL runs as must get through to
    # it, and every other pytest that starts shuts that folder to all but root. The names are short,
    # or its socket would have no room below them.
    if config.option.basetemp is None:
        folder = tempfile.mkdtemp(prefix="bz-")
        config.add_cleanup(functools.partial(shutil.rmtree, folder, ignore_errors=True))
        config.option.basetemp = str(Path(folder) / "t")


@pytest.fixture(scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A database server, by the URL of a database that tests leave alone."""
    if url := os.environ.get("BARTIZAN_TEST_DATABASE_URL"):
        yield url
        return
    async with EmbeddedPostgres(tmp_path_factory.mktemp("postgres")) as postgres:
        await _hasten(postgres.url)
        yield postgres.url


async def _hasten(url: str) -> None:
    """Lets a database that nobody kills leave its writes to the operating system."""
    connection = await connect(url)
    await connection.execute("ALTER SYSTEM SET fsync = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


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
