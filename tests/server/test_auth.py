import asyncio
import contextlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.server.admin_support import (
    Clock,
    House,
    bearer,
    counted,
    cut,
    refused,
    seeded,
    stranger,
)

from bartizan.plugins.errors import FailedPrecondition, Unauthenticated, Unavailable
from bartizan.server.auth import ALL_SCOPES, Anonymous, Keys
from bartizan.server.auth_metadata import key_in
from bartizan.server.auth_secret import new_secret
from bartizan.v1 import admin_pb2

pytest_plugins = ["tests.server.admin_fixtures"]

WRONG = new_secret(seeded(1)).text


@pytest.mark.parametrize(
    "metadata",
    [
        {"authorization": "Bearer KEY"},
        {"authorization": "bearer KEY"},
        {"authorization": " BEARER  KEY "},
        {"x-api-key": "KEY"},
        {"x-api-key": " KEY\t"},
        {"authorization": "Basic dXNlcg==", "x-api-key": "KEY"},
        {"authorization": "Bearer KEY", "x-api-key": "other"},
    ],
)
def test_a_key_is_found_in_either_place(metadata: Mapping[str, str]) -> None:
    assert key_in(metadata) == "KEY"


@pytest.mark.parametrize(
    "metadata", [{}, {"authorization": "Bearer"}, {"authorization": "KEY"}, {"x-api-key": " "}]
)
def test_a_call_without_a_key_is_told_how_to_send_one(metadata: Mapping[str, str]) -> None:
    with refused(Unauthenticated, "MISSING_KEY"):
        key_in(metadata)
    with pytest.raises(Unauthenticated, match="authorization: Bearer"):
        key_in(metadata)


@given(st.text(), st.text())
def test_no_metadata_break_the_search_for_a_key(authorization: str, key: str) -> None:
    with contextlib.suppress(Unauthenticated):
        assert key_in({"authorization": authorization, "x-api-key": key})


async def test_a_key_names_its_holder(house: House) -> None:
    principal = await house.keys.authenticate(bearer(house.first_secret))
    assert principal.project_name == "organizations/default/projects/default"
    assert principal.scopes == ALL_SCOPES
    assert principal.max_spans_per_second == 0
    assert await house.keys.authenticate({"x-api-key": house.first_secret}) == principal


async def test_unknown_expired_and_revoked_keys_get_one_answer(house: House) -> None:
    call = await house.caller()
    revoked = await house.new_key(call)
    await house.admin.RevokeApiKey(admin_pb2.RevokeApiKeyRequest(name=revoked.api_key.name), call)
    expired = await house.new_key(call, expire_time=house.clock.now + timedelta(seconds=2))
    house.clock.advance(seconds=2)
    answers = set()
    for secret in (WRONG, revoked.secret, expired.secret, "short", "bz_" + "é" * 43, "x" * 99_999):
        with pytest.raises(Unauthenticated) as caught:
            await house.keys.authenticate(bearer(secret))
        answers.add((caught.value.reason, caught.value.message, caught.value.field))
        assert secret not in f"{caught.value} {caught.value.metadata}"
    assert len(answers) == 1


async def test_a_cached_key_ends_in_time(house: House) -> None:
    made = await house.new_key(
        await house.caller(), expire_time=house.clock.now + timedelta(seconds=2)
    )
    principal = await house.keys.authenticate(bearer(made.secret))
    house.clock.advance(seconds=1.9)
    house.keys.check(principal)
    assert await house.keys.authenticate(bearer(made.secret)) == principal
    house.clock.advance(seconds=0.1)
    with refused(Unauthenticated, "INVALID_KEY"):
        await house.keys.authenticate(bearer(made.secret))
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(principal)


async def test_the_database_is_asked_once_in_five_seconds(house: House) -> None:
    with counted(house.engine) as statements:
        for _ in range(10):
            await house.caller()
        assert len(statements) == 1
        house.clock.advance(seconds=5)
        await house.caller()
        assert len(statements) == 2


async def test_many_calls_at_once_share_one_look_up(house: House) -> None:
    with counted(house.engine) as statements:
        await asyncio.gather(*(house.caller() for _ in range(50)))
    assert len(statements) == 1


async def test_a_cancelled_call_takes_no_other_with_it(house: House) -> None:
    first, second = (asyncio.create_task(house.caller()) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).principal.key_id
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_wrong_key_is_looked_up_once_a_second(house: House) -> None:
    with counted(house.engine) as statements:
        for _ in range(10):
            with refused(Unauthenticated, "INVALID_KEY"):
                await house.caller(WRONG)
        assert len(statements) == 1
        house.clock.advance(seconds=1)
        with refused(Unauthenticated, "INVALID_KEY"):
            await house.caller(WRONG)
        assert len(statements) == 2


async def test_what_is_no_key_never_reaches_the_database(house: House) -> None:
    with counted(house.engine) as statements, refused(Unauthenticated, "INVALID_KEY"):
        await house.caller("guess")
    assert not statements


async def test_digests_are_compared_in_constant_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Any] = []
    compare = hmac.compare_digest

    def spy(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    await house.caller()
    assert [(one == other, len(one)) for one, other in compared] == [(True, 32)]


async def test_an_outage_is_bridged_for_five_seconds(house: House) -> None:
    principal = (await house.caller()).principal
    await cut(house.engine)
    house.clock.advance(seconds=4.9)
    assert (await house.caller()).principal == principal
    with refused(Unavailable, "DATABASE_UNAVAILABLE"):
        await house.caller(WRONG)
    house.clock.advance(seconds=0.1)
    with refused(Unavailable, "DATABASE_UNAVAILABLE"):
        await house.caller()
    house.keys.check(principal)


async def test_a_mistake_in_the_database_is_no_outage(house: House) -> None:
    async with house.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO elsewhere"))
    try:
        with pytest.raises(Exception, match="api_keys") as caught:
            await house.caller()
        assert not isinstance(caught.value, Unavailable)
    finally:
        async with house.engine.begin() as connection:
            await connection.execute(text("ALTER TABLE elsewhere RENAME TO api_keys"))


async def revoke_elsewhere(house: House, key_id: int) -> None:
    async with house.engine.begin() as connection:
        query = text("UPDATE api_keys SET revoke_time = :now WHERE id = :id")
        await connection.execute(query, {"now": house.clock.now, "id": key_id})


async def test_a_revocation_elsewhere_is_noticed_by_a_refresh(house: House) -> None:
    principal = (await house.caller()).principal
    await revoke_elsewhere(house, principal.key_id)
    house.keys.check(principal)
    await house.keys.refresh()
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(principal)
    with refused(Unauthenticated, "INVALID_KEY"):
        await house.caller()


async def test_a_revocation_elsewhere_is_noticed_at_once_when_told(house: House) -> None:
    principal = (await house.caller()).principal
    await revoke_elsewhere(house, principal.key_id)
    house.keys.forget(f"ended:{principal.key_id}")
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(principal)
    with refused(Unauthenticated, "INVALID_KEY"):
        await house.caller()


async def test_a_refresh_keeps_what_lives_and_learns_new_ends(house: House) -> None:
    principal = (await house.caller()).principal
    async with house.engine.begin() as connection:
        query = text("UPDATE api_keys SET expire_time = :end")
        await connection.execute(query, {"end": house.clock.now + timedelta(seconds=60)})
    await house.keys.refresh()
    house.keys.check(principal)
    house.clock.advance(seconds=60)
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(principal)


async def test_a_refresh_during_an_outage_ends_no_key(house: House) -> None:
    principal = (await house.caller()).principal
    await cut(house.engine)
    with pytest.raises(ConnectionRefusedError):
        await house.keys.refresh()
    house.keys.check(principal)


def test_a_stream_of_a_key_that_never_came_here_is_refused(clock: Clock) -> None:
    keys = Keys(None, clock)  # type: ignore[arg-type]
    with refused(Unauthenticated, "INVALID_KEY"):
        keys.check(stranger())


@pytest.mark.parametrize(
    "payload", ["key:1", "project:1", "", "something else", "key:one", "key:²"]
)
async def test_a_change_makes_the_database_asked_again(house: House, payload: str) -> None:
    principal = (await house.caller()).principal
    house.keys.forget(payload)
    house.keys.check(principal)
    with counted(house.engine) as statements:
        await house.caller()
    assert len(statements) == 1


@pytest.mark.parametrize("payload", ["key:2", "project:2", "ended:2"])
async def test_changes_of_others_leave_a_key_alone(house: House, payload: str) -> None:
    await house.caller()
    house.keys.forget(payload)
    with counted(house.engine) as statements:
        await house.caller()
    assert not statements


async def test_what_was_read_before_a_change_is_not_kept(house: House) -> None:
    def change(*_: Any) -> None:
        house.keys.forget("project:1")

    event.listen(house.engine.sync_engine, "after_cursor_execute", change, once=True)
    await house.caller()
    with counted(house.engine) as statements:
        await house.caller()
    assert len(statements) == 1


async def last_used(engine: AsyncEngine) -> Any:
    async with engine.connect() as connection:
        query = text("SELECT last_used_time FROM api_keys WHERE id = 1")
        return (await connection.execute(query)).scalar_one()


async def test_last_use_is_written_to_the_minute_and_once_a_minute(house: House) -> None:
    principal = (await house.caller()).principal
    assert await last_used(house.engine) is None
    await house.keys.flush_last_used()
    assert await last_used(house.engine) == house.clock.now.replace(second=0)
    house.clock.advance(seconds=20)
    house.keys.check(principal)
    with counted(house.engine) as statements:
        await house.keys.flush_last_used()
    assert not statements
    house.clock.advance(seconds=20)
    house.keys.check(principal)
    await house.keys.flush_last_used()
    assert await last_used(house.engine) == house.clock.now.replace(second=0)


async def test_one_key_does_not_make_another_written_twice_in_a_minute(house: House) -> None:
    made = await house.new_key(await house.caller())
    await house.keys.flush_last_used()
    await house.caller(made.secret)
    await house.keys.flush_last_used()
    await house.caller()
    with counted(house.engine) as statements:
        await house.keys.flush_last_used()
    assert not statements


async def test_last_use_never_moves_back(house: House) -> None:
    await house.caller()
    later = house.clock.now + timedelta(hours=1)
    async with house.engine.begin() as connection:
        await connection.execute(text("UPDATE api_keys SET last_used_time = :t"), {"t": later})
    await house.keys.flush_last_used()
    assert await last_used(house.engine) == later


async def test_last_use_outlives_an_outage(house: House, admin_url: str) -> None:
    await house.caller()
    async with house.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE api_keys RENAME TO elsewhere"))
    with pytest.raises(Exception, match="api_keys"):
        await house.keys.flush_last_used()
    async with house.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE elsewhere RENAME TO api_keys"))
    await house.keys.flush_last_used()
    assert await last_used(house.engine) == house.clock.now.replace(second=0)


async def test_without_authentication_everybody_acts_for_the_first_project(house: House) -> None:
    await house.tenant("acme")
    anonymous = Anonymous(house.engine, house.clock)
    with counted(house.engine) as statements:
        principal = await anonymous.authenticate({})
        assert await anonymous.authenticate({"authorization": "Bearer x"}) == principal
    assert len(statements) == 1
    assert principal.project_name == "organizations/default/projects/default"
    assert principal.scopes == ALL_SCOPES
    anonymous.check(principal)


async def test_without_authentication_a_change_is_noticed(house: House) -> None:
    anonymous = Anonymous(house.engine, house.clock)
    await anonymous.authenticate({})
    request = admin_pb2.UpdateProjectRequest(
        project=admin_pb2.Project(
            name="organizations/default/projects/default", max_spans_per_second=7
        )
    )
    await house.admin.UpdateProject(request, await house.caller())
    anonymous.forget("project:1")
    assert (await anonymous.authenticate({})).max_spans_per_second == 7


async def test_without_authentication_an_outage_and_an_empty_database_are_said(
    engine: AsyncEngine, clock: Clock
) -> None:
    anonymous = Anonymous(engine, clock)
    with refused(FailedPrecondition, "NO_PROJECT"):
        await anonymous.authenticate({})
    await cut(engine)
    with refused(Unavailable, "DATABASE_UNAVAILABLE"):
        await anonymous.authenticate({})


async def test_no_secret_is_logged(house: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with capture_logs() as logs:
        call = await house.caller()
        made = await house.new_key(call)
        await house.admin.RotateApiKey(admin_pb2.RotateApiKeyRequest(name=made.api_key.name), call)
        await house.admin.RevokeApiKey(admin_pb2.RevokeApiKeyRequest(name=made.api_key.name), call)
        with refused(Unauthenticated, "INVALID_KEY"):
            await house.caller(WRONG)
    assert [log["event"] for log in logs] == [
        "an API key was made",
        "an API key was rotated",
        "an API key was revoked",
    ]
    said = caplog.text + str(logs)
    for secret in (house.first_secret, made.secret, WRONG):
        assert secret not in said
        assert secret[3:10] not in said
