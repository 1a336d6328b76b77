"""Feedback is stored once an item, listed by its indexes, and expires."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Select
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.support.database import project_ids
from tests.support.feedback import START_S, make_feedback
from tests.support.writing import connected

from bartizan.plugins.errors import Unavailable
from bartizan.server.ingest.feedback import FeedbackRecord, record
from bartizan.server.store import retention
from bartizan.server.store.engine import create_engine
from bartizan.server.store.feedback import FeedbackFilter, FeedbackReader, store

NOW_NS = (START_S + 1_000_000) * 1_000_000_000
NOW = datetime(2026, 3, 18, 12, 30, tzinfo=UTC)
TRACE_ID = UUID("ab" * 16)


def made(number: int, **fields: Any) -> FeedbackRecord:
    return record(make_feedback(number, **fields), NOW_NS)


async def listed(
    engine: AsyncEngine, project_id: int, wanted: FeedbackFilter | None = None
) -> list[int]:
    rows = await FeedbackReader(engine, project_id).newest(wanted or FeedbackFilter(), None, 1_000)
    return [row.feedback_id.int for row in rows]


async def test_a_second_copy_changes_nothing(shared_engine: AsyncEngine, project_id: int) -> None:
    first = made(1, comment="first")
    assert await store(shared_engine, project_id, [first, first, made(2)]) == 2
    assert await store(shared_engine, project_id, [made(1, comment="second"), made(3)]) == 1
    assert await store(shared_engine, project_id, []) == 0
    rows = await FeedbackReader(shared_engine, project_id).newest(FeedbackFilter(), None, 10)
    assert [(row.feedback_id.int, row.comment) for row in rows] == [(3, ""), (2, ""), (1, "first")]


async def test_the_same_id_in_another_project_is_another_item(shared_engine: AsyncEngine) -> None:
    for project_id in (next(project_ids), next(project_ids)):
        assert await store(shared_engine, project_id, [made(1)]) == 1
        assert await listed(shared_engine, project_id) == [1]


async def test_many_senders_of_the_same_items_store_each_once(
    shared_engine: AsyncEngine, project_id: int
) -> None:
    records = [made(number) for number in range(1, 301)]
    sent = [records, records[::-1], records[100:] + records[:100], records[::3]]
    stored = await asyncio.gather(*(store(shared_engine, project_id, part) for part in sent))
    assert sum(stored) == len(records)
    assert await listed(shared_engine, project_id) == list(range(300, 0, -1))


async def test_texts_that_redaction_made_long_are_stored_and_found(
    shared_engine: AsyncEngine, project_id: int
) -> None:
    long = "\U0001f9ff" * 5_000
    grown = made(1)._replace(session_id=long, user_id=long)
    assert await store(shared_engine, project_id, [grown, made(2)]) == 1 + 1
    for wanted in (FeedbackFilter(session_id=long), FeedbackFilter(user_id=long)):
        assert await listed(shared_engine, project_id, wanted) == [1]


class _Explained(FeedbackReader):
    """Shows how a list would be read."""

    async def _rows(self, query: Select[Any]) -> Any:
        sql = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
        async with self._engine.connect() as connection:
            return (await connection.exec_driver_sql(f"EXPLAIN {sql}")).all()


FILL = """
INSERT INTO feedback
SELECT 1, gen_random_uuid(), gen_random_uuid(), NULL, 's' || n % 1000, 'user', true, NULL, '', '',
    '', 'u' || n % 1000, 1, TIMESTAMPTZ '2026-01-01' + n * INTERVAL '1 minute'
FROM generate_series(1, 20000) AS n
"""


async def test_each_filter_has_its_index(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)
    async with connected(fresh_database_url) as connection:
        await connection.execute(FILL)
        await connection.execute("ANALYZE feedback")
    for wanted, index in (
        (FeedbackFilter(), "feedback_create_time"),
        (FeedbackFilter(start=NOW, end=NOW), "feedback_create_time"),
        (FeedbackFilter(trace_id=TRACE_ID), "feedback_trace"),
        (FeedbackFilter(session_id="s1"), "feedback_session"),
        (FeedbackFilter(user_id="u1", start=NOW), "feedback_user"),
    ):
        plan = await _Explained(engine, 1).newest(wanted, None, 50)
        said = "\n".join(row[0] for row in plan)
        assert f" {index} " in said, said
    await engine.dispose()


@pytest.fixture
async def hasty_engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """An engine whose statements wait for nobody."""
    engine = create_engine(database_url, query_timeout_s=0.1)
    yield engine
    await engine.dispose()


async def test_a_database_that_is_busy_is_unavailable(
    hasty_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    async with connected(database_url) as other, other.transaction():
        await other.execute("LOCK TABLE feedback IN EXCLUSIVE MODE")
        with pytest.raises(Unavailable):
            await store(hasty_engine, project_id, [made(1)])
    assert await store(hasty_engine, project_id, [made(1)]) == 1


async def test_the_database_holds_no_rating_that_is_none(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    await store(shared_engine, project_id, [made(1)])
    async with connected(database_url) as connection:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "UPDATE feedback SET rating = 'NaN' WHERE project_id = $1", project_id
            )


async def test_each_project_keeps_its_feedback_for_its_own_time(fresh_database_url: str) -> None:
    engine = create_engine(fresh_database_url)
    ids = []
    async with connected(fresh_database_url) as connection:
        await connection.execute("INSERT INTO organizations (slug) VALUES ('acme')")
        for days in (7, 365):
            query = (
                "INSERT INTO projects (organization_id, slug, retention_days)"
                " SELECT id, gen_random_uuid()::text, $1 FROM organizations RETURNING id"
            )
            ids.append(await connection.fetchval(query, days))
        for project_id in ids:
            ages = [made(n)._replace(create_time=NOW - timedelta(days=n)) for n in (1, 6, 8, 400)]
            assert await store(engine, project_id, ages) == 4
        await retention.expire(connection, NOW)
    assert [await listed(engine, project_id) for project_id in ids] == [[1, 6], [1, 6, 8]]
    await engine.dispose()
