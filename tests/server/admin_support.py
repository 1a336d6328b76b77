"""Databases, clocks and callers for the tests of keys and of the admin service."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import BartizanError
from bartizan.server.auth import ALL_SCOPES, Keys
from bartizan.server.rpc.admin import AdminService
from bartizan.server.rpc.call import Call, Principal
from bartizan.v1 import admin_pb2


@dataclass
class Clock:
    """A clock that stands still until it is told otherwise."""

    now: datetime = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@dataclass
class House:
    """An admin service on a database with a first project, and everything around it."""

    engine: AsyncEngine
    clock: Clock
    keys: Keys
    admin: AdminService
    first_secret: str
    forgotten: list[str] = field(default_factory=list)

    async def caller(self, secret: str = "") -> Call:
        """Returns a call by the holder of a secret, the first key's without one."""
        return call_of(await self.keys.authenticate(bearer(secret or self.first_secret)))

    async def tenant(self, name: str) -> Call:
        """Makes an organization with a project of the same id; returns a call by its admin."""
        first = await self.caller()
        await self.admin.CreateOrganization(
            admin_pb2.CreateOrganizationRequest(organization_id=name), first
        )
        await self.admin.CreateProject(
            admin_pb2.CreateProjectRequest(parent=f"organizations/{name}", project_id=name), first
        )
        made = await self.new_key(first, parent=f"organizations/{name}/projects/{name}")
        return await self.caller(made.secret)

    async def new_key(
        self,
        call: Call,
        *scopes: admin_pb2.Scope.ValueType,
        parent: str = "",
        request_id: str = "",
        **fields: Any,
    ) -> admin_pb2.CreateApiKeyResponse:
        """Makes a key; one of scope admin unless told otherwise."""
        key = admin_pb2.ApiKey(scopes=scopes or [admin_pb2.SCOPE_ADMIN], **fields)
        request = admin_pb2.CreateApiKeyRequest(parent=parent, api_key=key, request_id=request_id)
        return await self.admin.CreateApiKey(request, call)


def bearer(secret: str) -> dict[str, str]:
    """Returns metadata that carry a key."""
    return {"authorization": f"Bearer {secret}"}


def call_of(principal: Principal) -> Call:
    """Returns a call by that principal."""
    return Call("bartizan.v1.AdminService/Any", principal, {})


def stranger(key_id: int = 0) -> Principal:
    """Returns a principal that no database knows."""
    return Principal(key_id, 0, 0, "nobody", "nothing", ALL_SCOPES)


def seeded(seed: int) -> Callable[[int], bytes]:
    """Returns a source of bytes that a test can run again."""
    return random.Random(seed).randbytes


@contextmanager
def refused(kind: type[BartizanError], reason: str, field: str = "") -> Iterator[None]:
    """Passes when the block raises that error."""
    with pytest.raises(kind) as caught:
        yield
    assert (caught.value.reason, caught.value.field) == (reason, field)


@contextmanager
def counted(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collects the statements that the block runs on an engine."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield statements
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def cut(engine: AsyncEngine) -> None:
    """Closes the connections of an engine and lets it make no more."""

    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError("the database is gone")

    event.listen(engine.sync_engine, "do_connect", refuse)
    await engine.dispose()
