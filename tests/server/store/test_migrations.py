"""The schema goes up, down and up again, and many may bring it up at once."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.server.rpc.reading import make_span
from tests.support.database import Databases
from tests.support.recount import assert_all_agrees
from tests.support.storing import store
from tests.support.writing import connected

from bartizan.server.store import schema
from bartizan.server.store.engine import create_engine

_TABLES = """
SELECT c.relname, c.relkind::text, string_agg(a.attname || ' ' || a.atttypid::regtype, ', '
    ORDER BY a.attnum) FILTER (WHERE a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'i', 'I', 'S') GROUP BY 1, 2 ORDER BY 1
"""


@pytest.fixture
async def url(databases: Databases) -> AsyncIterator[str]:
    """A database without any table."""
    url = await databases.create_empty()
    yield url
    await databases.drop(url)


@pytest.fixture
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    yield engine
    await engine.dispose()


async def tables(engine: AsyncEngine) -> list[tuple[str, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.execute(text(_TABLES))]


async def test_up_down_and_up_again(engine: AsyncEngine, url: str, project_id: int) -> None:
    assert await schema.pending(engine) == ["0001", "0002", "0003"]
    assert await tables(engine) == []
    await schema.upgrade(engine)
    made = await tables(engine)
    assert {"spans", "traces", "ledger", "rollup_day", "feedback"} <= {table[0] for table in made}
    await store(url, project_id, [make_span(1)])
    await schema.downgrade(engine)
    assert {table[0] for table in await tables(engine)} <= {"alembic_version"} | {
        "alembic_version_pkc"
    }
    assert await schema.pending(engine) == ["0001", "0002", "0003"]
    await schema.upgrade(engine)
    assert await tables(engine) == made
    await store(url, project_id, [make_span(1)])
    async with connected(url) as connection:
        await assert_all_agrees(connection, project_id)


async def test_a_current_database_is_left_alone(
    engine: AsyncEngine, url: str, project_id: int
) -> None:
    await schema.upgrade(engine)
    await store(url, project_id, [make_span(1)])
    await schema.upgrade(engine)
    assert await schema.pending(engine) == []
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM spans") == 1


async def test_many_bring_it_up_at_once(url: str) -> None:
    engines = [create_engine(url) for _ in range(3)]
    try:
        await asyncio.gather(*map(schema.upgrade, engines))
        assert [await schema.pending(engine) for engine in engines] == [[], [], []]
        # The lock is free again for the next one.
        async with connected(url) as connection:
            query = "SELECT pg_try_advisory_lock($1)"
            assert await connection.fetchval(query, schema.MIGRATION_LOCK)
    finally:
        for engine in engines:
            await engine.dispose()


async def test_a_migration_that_fails_leaves_nothing_behind(engine: AsyncEngine, url: str) -> None:
    async with connected(url) as connection:
        await connection.execute("CREATE TABLE streams (taken int)")
    with pytest.raises(Exception, match="already exists"):
        await schema.upgrade(engine)
    assert {table[0] for table in await tables(engine)} <= {
        "alembic_version",
        "alembic_version_pkc",
        "streams",
    }
    async with connected(url) as connection:
        await connection.execute("DROP TABLE streams")
    async with asyncio.timeout(30):
        await asyncio.gather(schema.upgrade(engine), schema.upgrade(engine))
    assert await schema.pending(engine) == []


async def test_a_role_that_may_not_switch_timescale_on_gets_plain_tables(
    url: str, engine: AsyncEngine
) -> None:
    role = f"modest_{secrets.token_hex(6)}"
    async with connected(url) as connection:
        name = await connection.fetchval("SELECT current_database()")
        offered = await connection.fetchval(
            "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"
        )
        await connection.execute("DROP EXTENSION IF EXISTS timescaledb CASCADE")
        await connection.execute(f"CREATE ROLE {role}")
        await connection.execute(f"GRANT ALL ON SCHEMA public TO {role}")
        await connection.execute(f"ALTER DATABASE {name} SET role = '{role}'")
    try:
        with capture_logs() as logs:
            await schema.upgrade(engine)
        assert len(logs) == offered
        assert await schema.pending(engine) == []
        assert not await schema.has_timescale(engine)
    finally:
        await engine.dispose()
        async with connected(url) as connection:
            await connection.execute("SET ROLE NONE")
            await connection.execute(f"ALTER DATABASE {name} RESET role")
            await connection.execute(f"DROP OWNED BY {role}")
            await connection.execute(f"DROP ROLE {role}")
