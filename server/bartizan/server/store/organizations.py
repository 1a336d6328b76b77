"""Organizations in the database, seen by a caller who belongs to one of them.

The organization with the lowest id is the first; whoever belongs to it reaches all.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

IS_FIRST = "SELECT :caller = min(id) FROM organizations"
"""Whether the caller belongs to the first organization."""
REACHED = f"(o.id = :caller OR ({IS_FIRST}))"
"""Whether the caller reaches the organization o."""

_SELECT = "SELECT o.id, o.slug, o.display_name, o.uid, o.create_time FROM organizations o"


@dataclass(frozen=True, slots=True)
class Organization:
    """An owner of projects."""

    id: int
    slug: str
    display_name: str
    uid: UUID
    create_time: datetime


async def is_first(connection: AsyncConnection, caller: int) -> bool:
    """Tells whether an organization is the first."""
    return bool((await connection.execute(text(IS_FIRST), {"caller": caller})).scalar_one())


async def get(connection: AsyncConnection, caller: int, slug: str) -> Organization | None:
    """Returns an organization if the caller's organization reaches it."""
    query = f"{_SELECT} WHERE o.slug = :slug AND {REACHED}"
    row = (await connection.execute(text(query), {"caller": caller, "slug": slug})).one_or_none()
    return None if row is None else Organization(**row._mapping)


async def page(
    connection: AsyncConnection, caller: int, limit: int, after: str = ""
) -> list[Organization]:
    """Returns what the caller's organization reaches, by slug, after that one."""
    query = f"""
        {_SELECT} WHERE o.slug COLLATE "C" > :after AND {REACHED}
        ORDER BY o.slug COLLATE "C" LIMIT :limit
    """
    values: dict[str, Any] = {"caller": caller, "limit": limit, "after": after}
    found = await connection.execute(text(query), values)
    return [Organization(**row._mapping) for row in found]


async def insert(
    connection: AsyncConnection, slug: str, display_name: str, now: datetime
) -> Organization | None:
    """Makes an organization; None when there is one of that slug."""
    query = """
        INSERT INTO organizations (slug, display_name, create_time)
        VALUES (:slug, :display_name, :now)
        ON CONFLICT DO NOTHING RETURNING id, slug, display_name, uid, create_time
    """
    values = {"slug": slug, "display_name": display_name, "now": now}
    row = (await connection.execute(text(query), values)).one_or_none()
    return None if row is None else Organization(**row._mapping)


async def lock(connection: AsyncConnection, organization_id: int) -> None:
    """Lets one transaction at a time go on from here for an organization."""
    query = "SELECT 1 FROM organizations WHERE id = :id FOR NO KEY UPDATE"
    await connection.execute(text(query), {"id": organization_id})
