import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.server.admin_support import House, refused

from bartizan.plugins.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    Unauthenticated,
)
from bartizan.server.rpc.call import Call
from bartizan.v1 import admin_pb2 as pb

pytest_plugins = ["tests.server.admin_fixtures"]

DEFAULT = "organizations/default/projects/default"


async def revoke(house: House, call: Call, name: str) -> pb.ApiKey:
    return (await house.admin.RevokeApiKey(pb.RevokeApiKeyRequest(name=name), call)).api_key


async def rotate(
    house: House, call: Call, name: str, overlap: timedelta | None = None
) -> pb.RotateApiKeyResponse:
    request = pb.RotateApiKeyRequest(name=name)
    if overlap is not None:
        request.overlap.FromTimedelta(overlap)
    return await house.admin.RotateApiKey(request, call)


async def own_name(house: House, call: Call) -> str:
    return (await house.admin.WhoAmI(pb.WhoAmIRequest(), call)).api_key.name


async def listed(house: House, call: Call, size: int = 0) -> list[pb.ApiKey]:
    found: list[pb.ApiKey] = []
    request = pb.ListApiKeysRequest(page_size=size)
    while True:
        page = await house.admin.ListApiKeys(request, call)
        found += page.api_keys
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


async def test_a_key_works_with_what_it_was_given(house: House) -> None:
    end = house.clock.now + timedelta(days=90)
    made = await house.new_key(
        await house.caller(),
        pb.SCOPE_READ,
        pb.SCOPE_INGEST,
        pb.SCOPE_READ,
        display_name="checkout",
        expire_time=end,
    )
    assert made.api_key.name.startswith(f"{DEFAULT}/apiKeys/k")
    assert made.api_key.prefix == made.secret[:10]
    assert list(made.api_key.scopes) == [pb.SCOPE_INGEST, pb.SCOPE_READ]
    assert made.api_key.expire_time.ToDatetime(tzinfo=UTC) == end
    principal = (await house.caller(made.secret)).principal
    assert principal.scopes == {pb.SCOPE_INGEST, pb.SCOPE_READ}


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"scopes": []}, "BAD_SCOPES", "api_key.scopes"),
        ({"scopes": [pb.SCOPE_UNSPECIFIED]}, "BAD_SCOPES", "api_key.scopes"),
        ({"scopes": [pb.SCOPE_READ, 99]}, "BAD_SCOPES", "api_key.scopes"),
        ({"scopes": [-1]}, "BAD_SCOPES", "api_key.scopes"),
        ({"display_name": "x" * 129}, "BAD_DISPLAY_NAME", "api_key.display_name"),
        (
            {"expire_time": datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)},
            "BAD_EXPIRE_TIME",
            "api_key.expire_time",
        ),
        ({"expire_time": {"seconds": 10**15}}, "BAD_EXPIRE_TIME", "api_key.expire_time"),
        ({"expire_time": {"nanos": -1}}, "BAD_EXPIRE_TIME", "api_key.expire_time"),
    ],
)
async def test_wrong_fields_of_a_key_are_named(
    house: House, fields: dict[str, Any], reason: str, field: str
) -> None:
    key = pb.ApiKey(**({"scopes": [pb.SCOPE_READ]} | fields))
    with refused(InvalidArgument, reason, field):
        await house.admin.CreateApiKey(pb.CreateApiKeyRequest(api_key=key), await house.caller())


@pytest.mark.parametrize("request_id", ["1", "not-a-uuid", "{" + "0" * 36 + "}", "a" * 32])
async def test_a_request_id_is_a_uuid(house: House, request_id: str) -> None:
    with refused(InvalidArgument, "BAD_REQUEST_ID", "request_id"):
        await house.new_key(await house.caller(), request_id=request_id)


async def test_a_request_sent_again_makes_no_second_key(house: House) -> None:
    call, request_id = await house.caller(), str(uuid4())
    made = await house.new_key(call, request_id=request_id)
    for again in (request_id, request_id.upper()):
        with pytest.raises(AlreadyExists) as caught:
            await house.new_key(call, request_id=again)
        assert caught.value.reason == "REQUEST_REPEATED"
        assert caught.value.metadata == {"name": made.api_key.name}
        assert made.secret not in str(caught.value)
    assert len(await listed(house, call)) == 2


async def test_a_request_sent_twice_at_once_makes_one_key(house: House) -> None:
    call, request_id = await house.caller(), str(uuid4())
    tries = (house.new_key(call, request_id=request_id) for _ in range(5))
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, AlreadyExists) for result in results) == 4
    assert len(await listed(house, call)) == 2


@pytest.mark.parametrize("size", [0, 1, 2, 1000])
async def test_keys_are_listed_from_new_to_old_without_secrets(house: House, size: int) -> None:
    call = await house.caller()
    made = [await house.new_key(call, display_name=str(number)) for number in range(4)]
    await revoke(house, call, made[1].api_key.name)
    found = await listed(house, call, size)
    assert [key.display_name for key in found] == ["3", "2", "1", "0", "First key"]
    assert [key.HasField("revoke_time") for key in found] == [False, False, True, False, False]
    assert not any(one.secret in str(found) for one in made)


async def test_keys_of_other_projects_are_in_their_lists_alone(house: House) -> None:
    acme = await house.tenant("acme")
    assert len(await listed(house, acme)) == 1
    request = pb.ListApiKeysRequest(parent="organizations/acme/projects/acme")
    page = await house.admin.ListApiKeys(request, await house.caller())
    assert [key.name for key in page.api_keys] == [await own_name(house, acme)]


async def test_a_revoked_key_is_refused_at_once_and_stays_revoked(house: House) -> None:
    call = await house.caller()
    made = await house.new_key(call)
    victim = await house.caller(made.secret)
    ended = await revoke(house, call, made.api_key.name)
    assert ended.revoke_time.ToDatetime(tzinfo=UTC) == house.clock.now
    with refused(Unauthenticated, "INVALID_KEY"):
        await house.caller(made.secret)
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(victim.principal)
    assert house.forgotten == [f"ended:{victim.principal.key_id}"]
    house.clock.advance(hours=1)
    assert await revoke(house, call, made.api_key.name) == ended
    assert (await listed(house, call))[0] == ended


async def test_a_key_may_revoke_itself(house: House) -> None:
    call = await house.caller((await house.new_key(await house.caller())).secret)
    await revoke(house, call, await own_name(house, call))
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(call.principal)


async def test_the_last_admin_key_of_the_first_organization_stays(house: House) -> None:
    call = await house.caller()
    name = await own_name(house, call)
    await house.new_key(call, pb.SCOPE_READ)
    await house.tenant("acme")
    with refused(FailedPrecondition, "LAST_ADMIN_KEY"):
        await revoke(house, call, name)
    brief = await house.new_key(call, expire_time=house.clock.now + timedelta(hours=1))
    house.clock.advance(hours=1)
    with refused(FailedPrecondition, "LAST_ADMIN_KEY"):
        await revoke(house, call, name)
    await revoke(house, call, brief.api_key.name)
    await house.new_key(call)
    assert (await revoke(house, call, name)).HasField("revoke_time")


async def test_two_revocations_at_once_leave_one_admin_key(house: House) -> None:
    call = await house.caller()
    await house.new_key(call)
    names = [key.name for key in await listed(house, call)]
    tries = (revoke(house, call, name) for name in names)
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(result, FailedPrecondition) for result in results) == 1
    assert [key.HasField("revoke_time") for key in await listed(house, call)].count(True) == 1


async def test_another_organization_may_end_its_last_admin_key(house: House) -> None:
    acme = await house.tenant("acme")
    assert (await revoke(house, acme, await own_name(house, acme))).HasField("revoke_time")


async def test_a_rotated_key_works_until_the_overlap_ends(house: House) -> None:
    call = await house.caller()
    old = await house.new_key(call, pb.SCOPE_INGEST, display_name="checkout")
    new = await rotate(house, call, old.api_key.name, timedelta(hours=1))
    assert new.secret != old.secret
    assert new.api_key.name != old.api_key.name
    assert (new.api_key.display_name, list(new.api_key.scopes)) == ("checkout", [pb.SCOPE_INGEST])
    assert not new.api_key.HasField("expire_time")
    house.clock.advance(minutes=59)
    await house.caller(old.secret)
    house.clock.advance(minutes=1)
    with refused(Unauthenticated, "INVALID_KEY"):
        await house.caller(old.secret)
    await house.caller(new.secret)


async def test_a_rotation_without_overlap_ends_the_old_key_at_once(house: House) -> None:
    call = await house.caller()
    await rotate(house, call, await own_name(house, call), timedelta(0))
    with refused(Unauthenticated, "INVALID_KEY"):
        await house.caller()
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(call.principal)


async def test_an_open_stream_learns_of_the_end_of_its_rotated_key(house: House) -> None:
    call = await house.caller()
    await rotate(house, call, await own_name(house, call), timedelta(minutes=1))
    house.keys.check(call.principal)
    await house.keys.refresh()
    house.clock.advance(minutes=1)
    with refused(Unauthenticated, "INVALID_KEY"):
        house.keys.check(call.principal)


async def test_the_overlap_is_a_day_and_never_lengthens_a_life(house: House) -> None:
    call = await house.caller()
    long, brief = [
        await house.new_key(call, display_name=str(life), expire_time=house.clock.now + life)
        for life in (timedelta(days=90), timedelta(hours=1))
    ]
    house.clock.advance(minutes=30)
    replaced = await rotate(house, call, long.api_key.name)
    await rotate(house, call, brief.api_key.name)
    ends = {key.name: key.expire_time.ToDatetime(tzinfo=UTC) for key in await listed(house, call)}
    assert ends[long.api_key.name] == house.clock.now + timedelta(hours=24)
    assert ends[brief.api_key.name] == house.clock.now + timedelta(minutes=30)
    assert ends[replaced.api_key.name] == house.clock.now + timedelta(days=90)


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=30, microseconds=1)])
async def test_other_overlaps_are_refused(house: House, overlap: timedelta) -> None:
    call = await house.caller()
    with refused(InvalidArgument, "BAD_OVERLAP", "overlap"):
        await rotate(house, call, await own_name(house, call), overlap)


async def test_an_overlap_beyond_every_calendar_is_refused(house: House) -> None:
    call = await house.caller()
    request = pb.RotateApiKeyRequest(name=await own_name(house, call))
    for seconds in (2**63 - 1, -(2**63)):
        request.overlap.seconds = seconds
        with refused(InvalidArgument, "BAD_OVERLAP", "overlap"):
            await house.admin.RotateApiKey(request, call)


async def test_a_key_that_has_ended_is_not_rotated(house: House) -> None:
    call = await house.caller()
    revoked = await house.new_key(call)
    await revoke(house, call, revoked.api_key.name)
    expired = await house.new_key(call, expire_time=house.clock.now + timedelta(hours=1))
    house.clock.advance(hours=1)
    for key in (revoked, expired):
        with refused(FailedPrecondition, "KEY_ENDED"):
            await rotate(house, call, key.api_key.name)


async def test_names_of_nothing_are_not_found_and_other_names_refused(house: House) -> None:
    call = await house.caller()
    for attempt in (revoke, rotate):
        with refused(NotFound, "API_KEY_NOT_FOUND"):
            await attempt(house, call, f"{DEFAULT}/apiKeys/nothing")
        with refused(InvalidArgument, "BAD_NAME", "name"):
            await attempt(house, call, DEFAULT)
    with refused(InvalidArgument, "BAD_NAME", "parent"):
        await house.new_key(call, parent="organizations/default")
