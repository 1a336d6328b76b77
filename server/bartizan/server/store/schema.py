"""Brings a database to the schema of this version, or says what is missing."""

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

MIGRATION_LOCK = 0x6261_7274_0001
"""The advisory lock that lets one process migrate at a time."""
MAY_NOT = "42501"

log = structlog.get_logger(__name__)


async def upgrade(engine: AsyncEngine) -> None:
    """Runs the missing migrations; does nothing on a current database.

    TimescaleDB is switched on first where the server offers it and the role may.
    """
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        await connection.commit()
        try:
            await _enable_timescale(engine)
            await connection.run_sync(_run, "upgrade", "head")
            await connection.commit()
        except BaseException:
            # The session holds the lock: back in the pool it would hold it for ever.
            await connection.invalidate()
            raise
        await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})


async def downgrade(engine: AsyncEngine) -> None:
    """Undoes every migration; all data is lost."""
    async with engine.connect() as connection:
        await connection.run_sync(_run, "downgrade", "base")
        await connection.commit()


async def pending(engine: AsyncEngine) -> list[str]:
    """Returns the revisions that the database lacks, oldest first."""
    async with engine.connect() as connection:
        return await connection.run_sync(_pending)


async def has_timescale(engine: AsyncEngine) -> bool:
    """Tells whether the database has the TimescaleDB extension switched on."""
    async with engine.connect() as connection:
        query = text("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")
        return (await connection.execute(query)).scalar() is not None


async def _enable_timescale(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        query = text("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'")
        if (await connection.execute(query)).scalar() is None:
            return
        try:
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS timescaledb"))
            await connection.commit()
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != MAY_NOT:
                raise
            log.warning("this role may not switch TimescaleDB on; tables are made without it")


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", "bartizan.server.store:migrations")
    config.attributes["connection"] = connection
    return config


def _run(connection: Connection, direction: str, revision: str) -> None:
    getattr(command, direction)(_config(connection), revision)


def _pending(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config(connection))
    current = MigrationContext.configure(connection).get_current_revision()
    return [revision.revision for revision in script.iterate_revisions("head", current)][::-1]
