"""Where streams stand."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_LAST_SEQ = text(
    "SELECT last_seq FROM streams WHERE project_id = :project AND stream_key = :stream"
)


async def last_seq(engine: AsyncEngine, project_id: int, stream_key: str) -> int:
    """Returns the highest committed seq of a stream; 0 for one that is not known."""
    async with engine.connect() as connection:
        values = {"project": project_id, "stream": stream_key}
        return (await connection.execute(_LAST_SEQ, values)).scalar() or 0
