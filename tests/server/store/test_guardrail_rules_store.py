"""Versions of rules: all are kept, the latest one counts, and they are committed in their order."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from tests.support.ruling import add_project

from bartizan.server.rules.documents import StoredRule
from bartizan.server.store import guardrail_rules as store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def made(
    project_id: int, rule_id: str, version: str = "v1", *, deleted: bool = False
) -> StoredRule:
    document = {
        "id": rule_id,
        "plugin": "pii",
        "config": {"deep": [1, {"x": None}], "é": "€\U0001f600"},
    }
    return StoredRule(
        project_id, rule_id, 0, version, None if deleted else document, False, "key", NOW
    )


async def write(engine: AsyncEngine, *rules: StoredRule) -> list[StoredRule]:
    async with engine.begin() as connection:
        await store.lock(connection)
        return [await store.insert(connection, rule) for rule in rules]


async def of_project(engine: AsyncEngine, project_id: int) -> dict[str, StoredRule]:
    async with engine.connect() as connection:
        return await store.of_project(connection, project_id)


async def test_a_rule_comes_back_as_it_was_written(shared_engine: AsyncEngine) -> None:
    project = await add_project(shared_engine)
    rule = made(project, "one")
    [written] = await write(shared_engine, rule)
    assert written == replace(rule, revision=written.revision)
    assert await of_project(shared_engine, project) == {"one": written}


async def test_the_latest_version_counts_until_it_is_deleted(shared_engine: AsyncEngine) -> None:
    project = await add_project(shared_engine)
    await write(shared_engine, made(project, "one"), made(project, "two"))
    await write(shared_engine, made(project, "one", "v2"))
    assert (await of_project(shared_engine, project))["one"].version == "v2"
    await write(shared_engine, made(project, "one", "", deleted=True))
    assert set(await of_project(shared_engine, project)) == {"two"}
    await write(shared_engine, made(project, "one", "v1"))
    assert set(await of_project(shared_engine, project)) == {"one", "two"}


async def test_what_a_rule_was(shared_engine: AsyncEngine) -> None:
    project, other = await add_project(shared_engine), await add_project(shared_engine)
    await write(shared_engine, made(other, "one", "v9"))
    for version in ("v1", "v2", "", "v1"):
        await write(shared_engine, made(project, "one", version, deleted=not version))
    async with shared_engine.connect() as connection:
        newest = await store.history(connection, project, "one", 3, None)
        rest = await store.history(connection, project, "one", 3, newest[-1].revision)
        found = await store.of_version(connection, project, "one", "v1")
        deleted = await store.of_version(connection, project, "one", "")
        strange = await store.of_version(connection, project, "one", "v9")
    assert [one.version for one in (*newest, *rest)] == ["v1", "", "v2", "v1"]
    assert found == newest[0]
    assert (deleted, strange) == (None, None)


async def test_nothing_is_read_again_that_did_not_change(shared_engine: AsyncEngine) -> None:
    project = await add_project(shared_engine)
    [written] = await write(shared_engine, made(project, "one"))
    assert await store.newer(shared_engine, written.revision) is None
    [ended] = await write(shared_engine, made(project, "one", "", deleted=True))
    everything = await store.newer(shared_engine, written.revision)
    assert everything is not None
    assert [one for one in everything if one.project_id == project] == [ended]
    assert len({(one.project_id, one.id) for one in everything}) == len(everything)


async def test_revisions_are_committed_in_their_order(shared_engine: AsyncEngine) -> None:
    project = await add_project(shared_engine)

    async def second() -> StoredRule:
        [written] = await write(shared_engine, made(project, "two"))
        return written

    async with shared_engine.begin() as connection:
        await store.lock(connection)
        later = asyncio.create_task(second())
        await until_waiting(connection)
        first = await store.insert(connection, made(project, "one"))
        assert not later.done()
    assert (await later).revision > first.revision


async def until_waiting(connection: AsyncConnection) -> None:
    while not (await connection.execute(text(WAITING))).scalar():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
