"""Tells an outage of what the server stands on from a mistake in the server."""

from collections.abc import Iterator
from socket import gaierror

import asyncpg
import sqlalchemy.exc

_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    sqlalchemy.exc.InterfaceError,
    sqlalchemy.exc.TimeoutError,
    ConnectionError,
    TimeoutError,
    FileNotFoundError,
    gaierror,
)
"""InsufficientResourcesError holds disk full and too many connections; FileNotFoundError is a
Unix socket whose server is gone; a read-only transaction is a standby before its promotion."""

_MAX_CAUSES = 8


def is_outage(error: BaseException) -> bool:
    """Returns whether an error, or what caused it, says that the database is away for now."""
    return any(_says_away(cause) for cause in _causes(error))


def _says_away(error: BaseException) -> bool:
    # asyncpg's DataError is an InterfaceError as well, but it is about a value: sending the same
    # value again never helps.
    if isinstance(error, ValueError):
        return False
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, _AWAY)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_MAX_CAUSES):
        if error is None:
            return
        yield error
        error = getattr(error, "orig", None) or error.__cause__
