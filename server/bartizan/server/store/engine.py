"""Connections to the database: one pooled engine for queries, plain ones for the hot path."""

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

POOL_SIZE = 10
QUERY_TIMEOUT_S = 30
"""No query of a reader runs longer; writers and migrations have limits of their own."""
CONNECT_TIMEOUT_S = 5

AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError,
        asyncpg.InternalClientError)  # fmt: skip
"""What a plain connection raises when its database is gone, full or restarting. The last is what
asyncpg makes of a server that said goodbye while the connection was idle."""

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection


def create_engine(url: str, *, query_timeout_s: float = QUERY_TIMEOUT_S) -> AsyncEngine:
    """Returns an engine for a postgresql URL; it connects with the first query."""
    return create_async_engine(
        _with_scheme(url, "postgresql+asyncpg"),
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_timeout=CONNECT_TIMEOUT_S,
        pool_pre_ping=True,
        # Values are content, digests and secrets: they have no place in the text of an error.
        hide_parameters=True,
        connect_args={
            "timeout": CONNECT_TIMEOUT_S,
            "server_settings": {
                "application_name": "bartizan",
                "statement_timeout": str(int(query_timeout_s * 1000)),
            },
        },
    )


async def connect(url: str, name: str = "bartizan") -> Connection:
    """Opens one plain connection; raises OSError or asyncpg's errors when that fails."""
    return await asyncpg.connect(
        _with_scheme(url, "postgresql"),
        timeout=CONNECT_TIMEOUT_S,
        server_settings={"application_name": name},
    )


def _with_scheme(url: str, scheme: str) -> str:
    parts = urlsplit(url)
    # A socket folder is given as ?host=/path, which urlunsplit would need an authority for.
    query = urlencode(parse_qsl(parts.query))
    netloc = parts.netloc or "@"
    return urlunsplit((scheme, netloc, parts.path, query, ""))
