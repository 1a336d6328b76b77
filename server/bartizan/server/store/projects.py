"""Projects in the database, seen by a caller who belongs to an organization."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from bartizan.server.store.organizations import REACHED

DEFAULT_RETENTION_DAYS = 365

_SELECT = """
    SELECT p.id, p.organization_id, p.slug, p.display_name, p.retention_days,
        p.max_spans_per_second, p.version, p.uid, p.create_time, p.update_time,
        o.slug AS organization
    FROM projects p JOIN organizations o ON o.id = p.organization_id
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen for a project; `max_spans_per_second` of 0 means no limit."""

    display_name: str = ""
    retention_days: int = DEFAULT_RETENTION_DAYS
    max_spans_per_second: int = 0


@dataclass(frozen=True, slots=True)
class Project:
    """What traces belong to."""

    id: int
    organization_id: int
    slug: str
    display_name: str
    retention_days: int
    max_spans_per_second: int
    version: int
    uid: UUID
    create_time: datetime
    update_time: datetime
    organization: str

    @property
    def settings(self) -> Settings:
        """What was chosen for it."""
        return Settings(self.display_name, self.retention_days, self.max_spans_per_second)


async def first(connection: AsyncConnection) -> Project | None:
    """Returns the project that was made first."""
    return await _one(connection, f"{_SELECT} ORDER BY p.id LIMIT 1", {})


async def get(
    connection: AsyncConnection, caller: int, organization: str, slug: str, *, lock: bool = False
) -> Project | None:
    """Returns a project if the caller's organization reaches it.

    With `lock`, nobody else changes it before the end of the transaction.
    """
    query = f"{_SELECT} WHERE o.slug = :organization AND p.slug = :slug AND {REACHED}"
    values = {"caller": caller, "organization": organization, "slug": slug}
    return await _one(connection, query + (" FOR NO KEY UPDATE OF p" if lock else ""), values)


async def page(
    connection: AsyncConnection, organization_id: int, limit: int, after: str = ""
) -> list[Project]:
    """Returns projects of an organization, by slug, after that one."""
    query = f"""
        {_SELECT} WHERE o.id = :organization_id AND p.slug COLLATE "C" > :after
        ORDER BY p.slug COLLATE "C" LIMIT :limit
    """
    values: dict[str, Any] = {"organization_id": organization_id, "limit": limit, "after": after}
    return [Project(**row._mapping) for row in await connection.execute(text(query), values)]


async def insert(
    connection: AsyncConnection, organization_id: int, slug: str, settings: Settings, now: datetime
) -> Project | None:
    """Makes a project; None when the organization has one of that slug."""
    query = """
        INSERT INTO projects (organization_id, slug, display_name, retention_days,
            max_spans_per_second, create_time, update_time)
        VALUES (:organization_id, :slug, :display_name, :retention_days,
            :max_spans_per_second, :now, :now)
        ON CONFLICT DO NOTHING RETURNING id
    """
    values = asdict(settings) | {"organization_id": organization_id, "slug": slug, "now": now}
    made = (await connection.execute(text(query), values)).scalar_one_or_none()
    return None if made is None else await _by_id(connection, made)


async def update(
    connection: AsyncConnection, project_id: int, settings: Settings, now: datetime
) -> Project:
    """Changes a project and counts up its version."""
    query = """
        UPDATE projects SET display_name = :display_name, retention_days = :retention_days,
            max_spans_per_second = :max_spans_per_second, version = version + 1,
            update_time = :now
        WHERE id = :id
    """
    await connection.execute(text(query), asdict(settings) | {"id": project_id, "now": now})
    return await _by_id(connection, project_id)


async def _by_id(connection: AsyncConnection, project_id: int) -> Project:
    query = f"{_SELECT} WHERE p.id = :id"
    row = (await connection.execute(text(query), {"id": project_id})).one()
    return Project(**row._mapping)


async def _one(
    connection: AsyncConnection, query: str, values: Mapping[str, Any]
) -> Project | None:
    row = (await connection.execute(text(query), values)).one_or_none()
    return None if row is None else Project(**row._mapping)
