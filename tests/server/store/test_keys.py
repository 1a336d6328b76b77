import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.admin_support import Clock, House, seeded

from bartizan.server.auth_secret import new_key_id, new_secret
from bartizan.server.store import keys

pytest_plugins = ["tests.server.admin_fixtures"]

ADMIN, READ = 4, 2


def new_key(seed: int, now: datetime, **fields: Any) -> keys.NewKey:
    """Returns a key of the first project."""
    secret = new_secret(seeded(seed))
    made: dict[str, Any] = {
        "project_id": 1,
        "slug": new_key_id(seeded(seed)),
        "display_name": f"key {seed}",
        "prefix": secret.prefix,
        "secret_sha256": secret.sha256,
        "scopes": [READ],
        "create_time": now,
    }
    return keys.NewKey(**(made | fields))


async def add(engine: AsyncEngine, new: keys.NewKey) -> keys.ApiKey | None:
    async with engine.begin() as connection:
        return await keys.insert(connection, new)


async def test_a_key_is_found_by_its_digest_while_it_lives(house: House, clock: Clock) -> None:
    end = clock.now + timedelta(days=1)
    made = await add(house.engine, new_key(1, clock.now, expire_time=end))
    assert made is not None
    digest = new_secret(seeded(1)).sha256
    async with house.engine.connect() as connection:
        holder = await keys.find_holder(connection, digest, end - timedelta(microseconds=1))
        assert holder is not None
        assert (holder.key_id, holder.scopes, holder.expire_time) == (made.id, [READ], end)
        assert await keys.find_holder(connection, digest, end) is None
        assert await keys.find_holder(connection, b"?" * 32, clock.now) is None
        await keys.revoke(connection, made.id, clock.now)
        assert await keys.find_holder(connection, digest, clock.now) is None


async def test_only_live_keys_are_told_with_their_ends(house: House, clock: Clock) -> None:
    end = clock.now + timedelta(days=1)
    forever, ending, revoked, expired = [
        await add(house.engine, new_key(seed, clock.now, expire_time=expire_time))
        for seed, expire_time in enumerate((None, end, None, clock.now))
    ]
    assert forever is not None
    assert ending is not None
    assert revoked is not None
    assert expired is not None
    async with house.engine.connect() as connection:
        await keys.revoke(connection, revoked.id, clock.now)
        asked = [forever.id, ending.id, revoked.id, expired.id, 999]
        found = await keys.live_until(connection, asked, clock.now)
        assert found == {forever.id: None, ending.id: end}
        assert await keys.live_until(connection, [], clock.now) == {}


async def test_one_request_makes_one_key_in_a_project(house: House, clock: Clock) -> None:
    request_id = UUID(int=7)
    made = await add(house.engine, new_key(1, clock.now, request_id=request_id))
    assert made is not None
    assert await add(house.engine, new_key(2, clock.now, request_id=request_id)) is None
    assert await add(house.engine, new_key(3, clock.now, request_id=uuid4()))
    assert await add(house.engine, new_key(4, clock.now))
    async with house.engine.connect() as connection:
        assert await keys.get_by_request(connection, 1, request_id) == made


@pytest.mark.parametrize("fields", [{"slug": "k1"}, {"secret_sha256": b"1"}])
async def test_two_keys_share_neither_name_nor_secret(
    house: House, clock: Clock, fields: dict[str, Any]
) -> None:
    await add(house.engine, new_key(1, clock.now, **fields))
    with pytest.raises(IntegrityError):
        await add(house.engine, new_key(2, clock.now, **fields))


async def test_pages_go_from_new_to_old(house: House, clock: Clock) -> None:
    for seed in range(5):
        await add(house.engine, new_key(seed, clock.now))
    names, before = [], None
    async with house.engine.connect() as connection:
        while page := await keys.page(connection, 1, 2, before):
            names += [key.display_name for key in page]
            before = page[-1].id
    assert names == [*(f"key {seed}" for seed in reversed(range(5))), "First key"]


async def test_another_admin_is_a_live_key_of_that_scope(house: House, clock: Clock) -> None:
    async with house.engine.connect() as connection:
        first = await keys.get_by_id(connection, 1)
        assert first is not None
        for seed, fields in enumerate(({}, {"scopes": [ADMIN], "expire_time": clock.now})):
            await keys.insert(connection, new_key(seed, clock.now, **fields))
            assert not await keys.has_other_admin(connection, first, ADMIN, clock.now)
        await keys.insert(connection, new_key(9, clock.now, scopes=[READ, ADMIN]))
        assert await keys.has_other_admin(connection, first, ADMIN, clock.now)


async def test_processes_that_note_the_same_keys_lock_them_in_one_order(
    house: House, clock: Clock
) -> None:
    made = [await add(house.engine, new_key(seed, clock.now)) for seed in range(20)]
    ids = [key.id for key in made if key]
    select = text("SELECT 1 FROM api_keys WHERE id = :id FOR UPDATE NOWAIT")
    async with house.engine.begin() as connection:
        # Moves the lowest id to the end of the table, where a scan would come to it last.
        await connection.execute(
            text("UPDATE api_keys SET slug = slug WHERE id = :id"), {"id": ids[0]}
        )

    async def note() -> None:
        async with house.engine.begin() as connection:
            await keys.set_last_used(connection, dict.fromkeys(reversed(ids), clock.now))

    async with house.engine.begin() as connection:
        await connection.execute(select, {"id": ids[0]})
        noting = asyncio.create_task(note())
        while not await someone_waits(house.engine):
            assert not noting.done()
        for key_id in ids[1:]:
            await connection.execute(select, {"id": key_id})
    await noting
    async with house.engine.connect() as connection:
        page = await keys.page(connection, 1, 20)
    assert {key.last_used_time for key in page} == {clock.now}


async def someone_waits(engine: AsyncEngine) -> bool:
    """Tells whether a transaction waits for another one in this database."""
    query = """
        SELECT EXISTS (SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')
    """
    async with engine.connect() as connection:
        return bool((await connection.execute(text(query))).scalar_one())


async def test_an_announcement_arrives_with_the_commit(house: House, admin_url: str) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    listener = await asyncpg.connect(admin_url)
    await listener.add_listener(keys.CHANNEL, lambda *call: heard.put_nowait(call[-1]))
    async with house.engine.begin() as connection:
        await keys.announce(connection, "ended:1")
        await listener.execute("SELECT 1")
        assert heard.empty()
    assert await asyncio.wait_for(heard.get(), 10) == "ended:1"
    await listener.close()
