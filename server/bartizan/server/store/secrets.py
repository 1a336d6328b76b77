"""Random bytes that every server process on a database must agree on."""

from collections.abc import Callable, Collection

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

SECRET_BYTES = 32


async def ensure(
    connection: AsyncConnection, names: Collection[str], random_bytes: Callable[[int], bytes]
) -> dict[str, bytes]:
    """Returns the secrets of those names; makes the ones that the database lacks.

    Processes that start at once get the same ones.
    """
    insert = "INSERT INTO secrets (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"
    select = "SELECT name, value FROM secrets WHERE name = ANY(CAST(:names AS text[]))"
    known = await _values(connection, select, names)
    for name in sorted(set(names) - known.keys()):
        values = {"name": name, "value": random_bytes(SECRET_BYTES)}
        await connection.execute(text(insert), values)
    return known if len(known) == len(set(names)) else await _values(connection, select, names)


async def _values(
    connection: AsyncConnection, select: str, names: Collection[str]
) -> dict[str, bytes]:
    found = await connection.execute(text(select), {"names": list(names)})
    return {row.name: row.value for row in found}
