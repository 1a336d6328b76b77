"""API keys in the database. Times are UTC; secrets are known by their SHA-256 alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL = "bartizan_keys"
"""Where changes of keys and projects are announced with NOTIFY."""

_SELECT = """
    SELECT k.id, k.project_id, k.slug, k.display_name, k.prefix, k.scopes, k.create_time,
        k.expire_time, k.revoke_time, k.last_used_time, p.organization_id,
        p.slug AS project, o.slug AS organization
    FROM api_keys k
    JOIN projects p ON p.id = k.project_id
    JOIN organizations o ON o.id = p.organization_id
"""
_IS_LIVE = "revoke_time IS NULL AND (expire_time IS NULL OR expire_time > :now)"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret."""

    id: int
    project_id: int
    slug: str
    display_name: str
    prefix: str
    scopes: Sequence[int]
    create_time: datetime
    expire_time: datetime | None
    revoke_time: datetime | None
    last_used_time: datetime | None
    organization_id: int
    project: str
    organization: str

    def is_live(self, now: datetime) -> bool:
        """Tells whether the key works: it is neither revoked nor past its end."""
        return self.revoke_time is None and (self.expire_time is None or self.expire_time > now)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a key is made of."""

    project_id: int
    slug: str
    display_name: str
    prefix: str
    secret_sha256: bytes
    scopes: Sequence[int]
    create_time: datetime
    expire_time: datetime | None = None
    request_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """What a call may do that carries a live key."""

    key_id: int
    secret_sha256: bytes
    expire_time: datetime | None
    scopes: Sequence[int]
    project_id: int
    project: str
    max_spans_per_second: int
    organization_id: int
    organization: str


async def find_holder(
    connection: AsyncConnection, secret_sha256: bytes, now: datetime
) -> Holder | None:
    """Returns who holds the live key of that digest."""
    query = f"""
        SELECT k.id AS key_id, k.secret_sha256, k.expire_time, k.scopes, p.id AS project_id,
            p.slug AS project, p.max_spans_per_second, o.id AS organization_id,
            o.slug AS organization
        FROM api_keys k
        JOIN projects p ON p.id = k.project_id
        JOIN organizations o ON o.id = p.organization_id
        WHERE k.secret_sha256 = :digest AND {_IS_LIVE}
    """
    found = await connection.execute(text(query), {"digest": secret_sha256, "now": now})
    row = found.one_or_none()
    return None if row is None else Holder(**row._mapping)


async def live_until(
    connection: AsyncConnection, key_ids: Collection[int], now: datetime
) -> dict[int, datetime | None]:
    """Returns those of the keys that live, and until when."""
    query = f"""
        SELECT id, expire_time FROM api_keys WHERE id = ANY(CAST(:ids AS bigint[])) AND {_IS_LIVE}
    """
    found = await connection.execute(text(query), {"ids": list(key_ids), "now": now})
    return {row.id: row.expire_time for row in found}


async def get_by_id(connection: AsyncConnection, key_id: int) -> ApiKey | None:
    """Returns a key by its number."""
    return await _one(connection, f"{_SELECT} WHERE k.id = :id", {"id": key_id})


async def get(connection: AsyncConnection, project_id: int, slug: str) -> ApiKey | None:
    """Returns a key of a project and locks it until the end of the transaction."""
    query = f"{_SELECT} WHERE k.project_id = :project_id AND k.slug = :slug FOR UPDATE OF k"
    return await _one(connection, query, {"project_id": project_id, "slug": slug})


async def get_by_request(
    connection: AsyncConnection, project_id: int, request_id: UUID
) -> ApiKey | None:
    """Returns the key that a request made."""
    query = f"{_SELECT} WHERE k.project_id = :project_id AND k.request_id = :request_id"
    return await _one(connection, query, {"project_id": project_id, "request_id": request_id})


async def page(
    connection: AsyncConnection, project_id: int, limit: int, before: int | None = None
) -> list[ApiKey]:
    """Returns keys of a project, newest first, from those made before the one of that id."""
    bound = "" if before is None else "AND k.id < :before"
    query = f"{_SELECT} WHERE k.project_id = :project_id {bound} ORDER BY k.id DESC LIMIT :limit"
    values = {"project_id": project_id, "limit": limit, "before": before}
    return [_api_key(row) for row in await connection.execute(text(query), values)]


async def insert(connection: AsyncConnection, new: NewKey) -> ApiKey | None:
    """Makes a key; None when that request has made one in the project already."""
    query = """
        INSERT INTO api_keys (project_id, slug, display_name, prefix, secret_sha256, scopes,
            create_time, expire_time, request_id)
        VALUES (:project_id, :slug, :display_name, :prefix, :secret_sha256,
            CAST(:scopes AS smallint[]), :create_time, :expire_time, :request_id)
        ON CONFLICT (project_id, request_id) DO NOTHING RETURNING id
    """
    key_id = (await connection.execute(text(query), asdict(new))).scalar_one_or_none()
    return None if key_id is None else await get_by_id(connection, key_id)


async def revoke(connection: AsyncConnection, key_id: int, now: datetime) -> None:
    """Ends a key."""
    query = "UPDATE api_keys SET revoke_time = :now WHERE id = :id"
    await connection.execute(text(query), {"id": key_id, "now": now})


async def set_end(connection: AsyncConnection, key_id: int, expire_time: datetime) -> None:
    """Lets a key end at a time."""
    query = "UPDATE api_keys SET expire_time = :expire_time WHERE id = :id"
    await connection.execute(text(query), {"id": key_id, "expire_time": expire_time})


async def has_other_admin(
    connection: AsyncConnection, key: ApiKey, admin: int, now: datetime
) -> bool:
    """Tells whether the key's organization has another live key with the scope `admin`."""
    query = f"""
        SELECT EXISTS (
            SELECT 1 FROM api_keys k JOIN projects p ON p.id = k.project_id
            WHERE p.organization_id = :organization_id AND k.id <> :id
                AND :admin = ANY(k.scopes) AND {_IS_LIVE})
    """
    values = {"organization_id": key.organization_id, "id": key.id, "admin": admin, "now": now}
    return bool((await connection.execute(text(query), values)).scalar_one())


async def set_last_used(connection: AsyncConnection, used: Mapping[int, datetime]) -> None:
    """Moves the time of last use of keys forward, never back."""
    # Several processes write the same keys: only one order of locks keeps them from a deadlock.
    lock = "SELECT id FROM api_keys WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE"
    query = """
        UPDATE api_keys SET last_used_time = used.at
        FROM unnest(CAST(:ids AS bigint[]), CAST(:times AS timestamptz[])) AS used (id, at)
        WHERE api_keys.id = used.id
            AND (last_used_time IS NULL OR last_used_time < used.at)
    """
    ids, times = list(used), list(used.values())
    await connection.execute(text(lock), {"ids": ids})
    await connection.execute(text(query), {"ids": ids, "times": times})


async def announce(connection: AsyncConnection, payload: str) -> None:
    """Tells every process, once the transaction commits, what it must not remember."""
    query = "SELECT pg_notify(:channel, :payload)"
    await connection.execute(text(query), {"channel": CHANNEL, "payload": payload})


async def _one(connection: AsyncConnection, query: str, values: Mapping[str, Any]) -> ApiKey | None:
    row = (await connection.execute(text(query), values)).one_or_none()
    return None if row is None else _api_key(row)


def _api_key(row: Row[Any]) -> ApiKey:
    return ApiKey(**row._mapping)
