"""The rules of projects, every version of them."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.server.rules.documents import StoredRule

RULES_LOCK = 0x6261_7274_0005
"""The advisory lock under which rules are written, so that revisions commit in their order."""

_COLUMNS = "project_id, id, revision, version, document::text, paused, author, create_time"
_LATEST = f"SELECT DISTINCT ON (project_id, id) {_COLUMNS} FROM guardrail_rules"
_LATEST_ORDER = "ORDER BY project_id, id, revision DESC"


async def newer(engine: AsyncEngine, revision: int) -> Sequence[StoredRule] | None:
    """Returns the latest version of every rule; None if nothing is newer than a revision."""
    async with engine.connect() as connection:
        latest = await connection.execute(text("SELECT max(revision) FROM guardrail_rules"))
        if (latest.scalar() or 0) <= revision:
            return None
        rows = await connection.execute(text(f"{_LATEST} {_LATEST_ORDER}"))
        return list(map(_rule, rows))


async def of_project(connection: AsyncConnection, project_id: int) -> dict[str, StoredRule]:
    """Returns the rules of a project by id, without those that were deleted."""
    query = f"{_LATEST} WHERE project_id = :project {_LATEST_ORDER}"
    rows = await connection.execute(text(query), {"project": project_id})
    return {row.id: rule for row in rows if (rule := _rule(row)).document is not None}


async def history(
    connection: AsyncConnection, project_id: int, rule_id: str, limit: int, before: int | None
) -> list[StoredRule]:
    """Returns up to `limit` versions of a rule, newest first, from before a revision on."""
    query = f"""
        SELECT {_COLUMNS} FROM guardrail_rules WHERE project_id = :project AND id = :id
        AND (:before ::bigint IS NULL OR revision < :before) ORDER BY revision DESC LIMIT :limit
    """
    values = {"project": project_id, "id": rule_id, "before": before, "limit": limit}
    return list(map(_rule, await connection.execute(text(query), values)))


async def of_version(
    connection: AsyncConnection, project_id: int, rule_id: str, version: str
) -> StoredRule | None:
    """Returns the newest revision of a rule with a version; None if there is none."""
    query = f"""
        SELECT {_COLUMNS} FROM guardrail_rules
        WHERE project_id = :project AND id = :id AND version = :version AND document IS NOT NULL
        ORDER BY revision DESC LIMIT 1
    """
    values = {"project": project_id, "id": rule_id, "version": version}
    row = (await connection.execute(text(query), values)).one_or_none()
    return None if row is None else _rule(row)


async def lock(connection: AsyncConnection) -> None:
    """Lets one transaction at a time write rules."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": RULES_LOCK})


async def insert(connection: AsyncConnection, rule: StoredRule) -> StoredRule:
    """Writes a revision; returns it with its number. The lock must be held."""
    query = f"""
        INSERT INTO guardrail_rules (project_id, id, version, document, paused, author, create_time)
        VALUES (:project_id, :id, :version, (:document)::text::jsonb, :paused, :author,
            :create_time)
        RETURNING {_COLUMNS}
    """
    document = None if rule.document is None else orjson.dumps(rule.document).decode()
    values = {
        "project_id": rule.project_id,
        "id": rule.id,
        "version": rule.version,
        "document": document,
        "paused": rule.paused,
        "author": rule.author,
        "create_time": rule.create_time,
    }
    return _rule((await connection.execute(text(query), values)).one())


def _rule(row: Row[Any]) -> StoredRule:
    values = dict(row._mapping)
    document = values.pop("document")
    return StoredRule(**values, document=None if document is None else orjson.loads(document))
