"""Makes, lists, ends and replaces API keys."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.plugins.errors import AlreadyExists, FailedPrecondition
from bartizan.server.auth import Clock
from bartizan.server.auth_secret import NewSecret, RandomBytes, new_key_id, new_secret
from bartizan.server.rpc import admin_fields, admin_messages, admin_reach
from bartizan.server.rpc.admin_pages import Page
from bartizan.server.rpc.call import Principal, Scope
from bartizan.server.rpc.names import ApiKeyName
from bartizan.server.store import keys, organizations
from bartizan.server.store.paging import PageTokens
from bartizan.v1 import admin_pb2

log = structlog.stdlib.get_logger(__name__)


class KeyAdmin:
    """The part of the admin service that is about keys.

    What it changes it announces to all processes, and to this one by `forget`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        tokens: PageTokens,
        clock: Clock,
        forget: Callable[[str], None],
        random_bytes: RandomBytes,
    ) -> None:
        self._engine = engine
        self._tokens = tokens
        self._clock = clock
        self._forget = forget
        self._random_bytes = random_bytes

    async def create(
        self, request: admin_pb2.CreateApiKeyRequest, caller: Principal
    ) -> admin_pb2.CreateApiKeyResponse:
        """Makes a key; raises InvalidArgument, NotFound, AlreadyExists."""
        now = self._clock()
        message, request_id = request.api_key, admin_fields.request_id(request.request_id)
        name = admin_fields.display_name(message.display_name, "api_key.display_name")
        scopes = admin_fields.scopes(message.scopes, "api_key.scopes")
        end = admin_fields.expire_time(message, now, "api_key.expire_time")
        secret = new_secret(self._random_bytes)
        async with self._engine.begin() as connection:
            project = await admin_reach.parent_project(connection, caller, request.parent)
            new = keys.NewKey(
                project_id=project.id,
                slug=new_key_id(self._random_bytes),
                display_name=name,
                prefix=secret.prefix,
                secret_sha256=secret.sha256,
                scopes=scopes,
                create_time=now,
                expire_time=end,
                request_id=request_id,
            )
            made = await _insert(connection, new)
        _log("an API key was made", made, caller)
        return admin_pb2.CreateApiKeyResponse(
            api_key=admin_messages.api_key(made), secret=secret.text
        )

    async def list(
        self, request: admin_pb2.ListApiKeysRequest, caller: Principal
    ) -> admin_pb2.ListApiKeysResponse:
        """Lists the keys of a project, newest first; raises InvalidArgument, NotFound."""
        async with self._engine.connect() as connection:
            project = await admin_reach.parent_project(connection, caller, request.parent)
            page = Page[keys.ApiKey](
                self._tokens, f"keys of {project.id}", request, lambda key: [str(key.id)]
            )
            before = int(page.position[0]) if page.position else None
            rows = await keys.page(connection, project.id, page.limit, before)
        items, token = page.cut(rows)
        return admin_pb2.ListApiKeysResponse(
            api_keys=map(admin_messages.api_key, items), next_page_token=token
        )

    async def revoke(self, name: ApiKeyName, caller: Principal) -> admin_pb2.ApiKey:
        """Ends a key, unless it is revoked already; raises NotFound, FailedPrecondition."""
        now = self._clock()
        async with self._engine.begin() as connection:
            key = await _locked(connection, name, caller)
            if key.revoke_time is not None:
                return admin_messages.api_key(key)
            await _keep_an_admin(connection, key, now)
            await keys.revoke(connection, key.id, now)
            await keys.announce(connection, f"ended:{key.id}")
        self._forget(f"ended:{key.id}")
        _log("an API key was revoked", key, caller)
        return admin_messages.api_key(replace(key, revoke_time=now))

    async def rotate(
        self, request: admin_pb2.RotateApiKeyRequest, caller: Principal
    ) -> admin_pb2.RotateApiKeyResponse:
        """Makes a key in place of another one, which ends after the overlap.

        A key that was to end lives as long as the old one was to live. Raises InvalidArgument,
        NotFound, FailedPrecondition.
        """
        now, overlap = self._clock(), admin_fields.overlap(request)
        name = ApiKeyName.parse(request.name, "name")
        secret = new_secret(self._random_bytes)
        async with self._engine.begin() as connection:
            old = await _locked(connection, name, caller)
            made = await self._replace(connection, old, secret, now)
            end = min(now + overlap, old.expire_time or now + overlap)
            await keys.set_end(connection, old.id, end)
            payload = f"{'key' if overlap else 'ended'}:{old.id}"
            await keys.announce(connection, payload)
        self._forget(payload)
        _log("an API key was rotated", old, caller)
        return admin_pb2.RotateApiKeyResponse(
            api_key=admin_messages.api_key(made), secret=secret.text
        )

    async def _replace(
        self, connection: AsyncConnection, old: keys.ApiKey, secret: NewSecret, now: datetime
    ) -> keys.ApiKey:
        if not old.is_live(now):
            raise FailedPrecondition("KEY_ENDED", "that key has ended; make a new one instead")
        lifetime = old.expire_time - old.create_time if old.expire_time else None
        new = keys.NewKey(
            project_id=old.project_id,
            slug=new_key_id(self._random_bytes),
            display_name=old.display_name,
            prefix=secret.prefix,
            secret_sha256=secret.sha256,
            scopes=old.scopes,
            create_time=now,
            expire_time=now + lifetime if lifetime else None,
        )
        return await _insert(connection, new)


async def _insert(connection: AsyncConnection, new: keys.NewKey) -> keys.ApiKey:
    made = await keys.insert(connection, new)
    if made is not None:
        return made
    assert new.request_id is not None
    earlier = await keys.get_by_request(connection, new.project_id, new.request_id)
    raise AlreadyExists(
        "REQUEST_REPEATED",
        "this request has made a key already, and its secret is not shown again",
        field="request_id",
        metadata={"name": admin_messages.api_key_name(earlier) if earlier else ""},
    )


async def _locked(connection: AsyncConnection, name: ApiKeyName, caller: Principal) -> keys.ApiKey:
    project = await admin_reach.project(connection, caller, name.parent)
    key = await keys.get(connection, project.id, name.api_key)
    if key is None:
        raise admin_reach.not_found("api_key")
    return key


async def _keep_an_admin(connection: AsyncConnection, key: keys.ApiKey, now: datetime) -> None:
    """Raises FailedPrecondition if nobody could administer the server without the key."""
    if Scope.SCOPE_ADMIN not in key.scopes or not key.is_live(now):
        return
    if not await organizations.is_first(connection, key.organization_id):
        return
    # Two revocations at once would each find the other's key still there.
    await organizations.lock(connection, key.organization_id)
    if not await keys.has_other_admin(connection, key, Scope.SCOPE_ADMIN, now):
        raise FailedPrecondition(
            "LAST_ADMIN_KEY",
            "this is the last key with the scope admin in the first organization; "
            "make another one first, or rotate this one",
        )


def _log(event: str, key: keys.ApiKey, caller: Principal) -> None:
    log.info(event, key=admin_messages.api_key_name(key), caller_key=caller.key_id)
