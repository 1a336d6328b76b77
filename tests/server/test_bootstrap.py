import asyncio
import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.admin_support import Clock, bearer, cut, refused, seeded

from bartizan.plugins.errors import ConfigError
from bartizan.server.auth import ALL_SCOPES, Keys
from bartizan.server.bootstrap import SHARED_SECRETS, ensure_first_project, ensure_secrets
from bartizan.server.store.engine import create_engine

pytest_plugins = ["tests.server.admin_fixtures"]


async def everything(engine: AsyncEngine) -> str:
    """Returns all rows of keys, projects and organizations, as text and bytes."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text(
                "SELECT api_keys::text, encode(secret_sha256, 'escape'), projects::text,"
                " organizations::text FROM api_keys, projects, organizations"
            )
        )
        return str(rows.all())


async def projects(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        query = "SELECT (SELECT count(*) FROM projects) + (SELECT count(*) FROM organizations)"
        return int((await connection.execute(text(query))).scalar_one())


async def test_the_first_start_makes_a_project_with_a_key_for_everything(
    engine: AsyncEngine, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "key"
    first = await ensure_first_project(engine, file, clock=clock)
    assert first is not None
    assert first.project == "organizations/default/projects/default"
    assert file.read_text() == f"{first.secret}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(file.parent) == ["key"]
    principal = await Keys(engine, clock).authenticate(bearer(first.secret))
    assert (principal.project_name, principal.scopes) == (first.project, ALL_SCOPES)


async def test_only_the_hash_is_stored_and_the_repr_shows_nothing(
    engine: AsyncEngine, clock: Clock
) -> None:
    first = await ensure_first_project(engine, None, clock=clock)
    assert first is not None
    stored = await everything(engine)
    assert first.secret[:10] in stored
    assert first.secret not in stored
    assert first.secret[10:] not in stored
    assert first.secret not in repr(first)


async def test_later_starts_make_nothing_and_no_file(
    engine: AsyncEngine, clock: Clock, tmp_path: Path
) -> None:
    await ensure_first_project(engine, None, clock=clock)
    before = await everything(engine)
    assert await ensure_first_project(engine, tmp_path / "key", clock=clock) is None
    assert not (tmp_path / "key").exists()
    assert await everything(engine) == before


async def test_processes_that_start_at_once_make_one_project(
    engine: AsyncEngine, admin_url: str, clock: Clock
) -> None:
    other = create_engine(admin_url)
    starts = [ensure_first_project(one, None, clock=clock) for one in (engine, other) * 4]
    made = [first for first in await asyncio.gather(*starts) if first]
    await other.dispose()
    assert len(made) == 1
    assert await projects(engine) == 2


async def test_a_key_file_that_cannot_be_written_leaves_nothing_behind(
    engine: AsyncEngine, clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder" / "full").mkdir(parents=True)
    for path in (tmp_path / "file" / "key", tmp_path / "folder"):
        with refused(ConfigError, "KEY_FILE_NOT_WRITTEN"):
            await ensure_first_project(engine, path, clock=clock)
    assert await projects(engine) == 0
    assert set(os.listdir(tmp_path)) == {"file", "folder"}


async def test_a_file_of_a_start_that_was_cut_short_is_replaced(
    engine: AsyncEngine, clock: Clock, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("bz_old\n")
    file.chmod(0o644)
    first = await ensure_first_project(engine, file, clock=clock)
    assert first is not None
    assert file.read_text() == f"{first.secret}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_randomness_decides_the_secret(engine: AsyncEngine, clock: Clock) -> None:
    first = await ensure_first_project(engine, None, clock=clock, random_bytes=bytes)
    assert first is not None
    assert first.secret == "bz_" + "0" * 43


async def test_secrets_are_made_once_and_shared(engine: AsyncEngine, admin_url: str) -> None:
    other = create_engine(admin_url)
    found = await asyncio.gather(*(ensure_secrets(one) for one in (engine, other) * 4))
    await other.dispose()
    assert all(secrets == found[0] for secrets in found)
    assert set(found[0]) == set(SHARED_SECRETS) == {"redaction_hash", "page_tokens"}
    assert len({value for value in found[0].values() if len(value) == 32}) == 2
    assert await ensure_secrets(engine, seeded(1)) == found[0]


async def test_a_secret_of_a_later_version_is_added(engine: AsyncEngine) -> None:
    before = await ensure_secrets(engine)
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM secrets WHERE name = 'page_tokens'"))
    after = await ensure_secrets(engine)
    assert after["redaction_hash"] == before["redaction_hash"]
    assert after["page_tokens"] != before["page_tokens"]


async def test_a_database_that_is_away_makes_no_key_file(
    engine: AsyncEngine, clock: Clock, tmp_path: Path
) -> None:
    await cut(engine)
    with pytest.raises(ConnectionRefusedError):
        await ensure_first_project(engine, tmp_path / "key", clock=clock)
    assert not os.listdir(tmp_path)
