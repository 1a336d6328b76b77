"""What a database needs before the first call: a project with a key, and shared secrets."""

import asyncio
import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bartizan.plugins.errors import ConfigError
from bartizan.server.auth import ALL_SCOPES
from bartizan.server.auth_secret import NewSecret, RandomBytes, new_key_id, new_secret
from bartizan.server.store import keys, organizations, projects
from bartizan.server.store.secrets import ensure

BOOTSTRAP_LOCK = 0x6261_7274_0004
"""The advisory lock that lets one process make the first project."""
FIRST = "default"
"""The id of the first organization and of its first project."""

SHARED_SECRETS = ("page_tokens", "redaction_hash")


@dataclass(frozen=True, slots=True)
class FirstKey:
    """The key of the first project, which has all scopes. Its secret is left out of its repr."""

    project: str
    secret: str = field(repr=False)


async def ensure_first_project(
    engine: AsyncEngine,
    key_file: Path | None,
    *,
    clock: Callable[[], datetime],
    random_bytes: RandomBytes = secrets.token_bytes,
) -> FirstKey | None:
    """Makes the first project in a database without one, and returns its key; None elsewhere.

    The secret is returned this once, and written to `key_file` with mode 0600. Processes that
    start at once make one project, and one of them gets the key. Raises ConfigError when the file
    cannot be written; then nothing is made.
    """
    async with engine.begin() as connection:
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        await connection.execute(lock, {"key": BOOTSTRAP_LOCK})
        if await projects.first(connection) is not None:
            return None
        secret = new_secret(random_bytes)
        name = await _make(connection, secret, new_key_id(random_bytes), clock())
        if key_file is not None:
            # Before the commit: a key that is lost in between could never be shown again.
            await asyncio.to_thread(_write_key, key_file, secret.text)
    return FirstKey(name, secret.text)


async def ensure_secrets(
    engine: AsyncEngine, random_bytes: RandomBytes = secrets.token_bytes
) -> dict[str, bytes]:
    """Returns the secrets that all processes on a database share, by name; makes them once."""
    async with engine.begin() as connection:
        return await ensure(connection, SHARED_SECRETS, random_bytes)


async def _make(connection: AsyncConnection, secret: NewSecret, key_id: str, now: datetime) -> str:
    organization = await organizations.insert(connection, FIRST, "", now)
    assert organization is not None
    project = await projects.insert(connection, organization.id, FIRST, projects.Settings(), now)
    assert project is not None
    await keys.insert(
        connection,
        keys.NewKey(
            project_id=project.id,
            slug=key_id,
            display_name="First key",
            prefix=secret.prefix,
            secret_sha256=secret.sha256,
            scopes=sorted(ALL_SCOPES),
            create_time=now,
        ),
    )
    return f"organizations/{organization.slug}/projects/{project.slug}"


def _write_key(path: Path, secret: str) -> None:
    """Puts the secret in place whole, readable by its owner alone from the start."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise _not_written(path, error) from None
    try:
        with os.fdopen(handle, "w") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            Path(aside).unlink()
        raise _not_written(path, error) from None


def _not_written(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        "KEY_FILE_NOT_WRITTEN", f"The key file {path} cannot be written: {error.strerror}."
    )
