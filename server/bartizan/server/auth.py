"""Who calls: API keys, or nobody in particular where authentication is off."""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.errors import FailedPrecondition, Unavailable
from bartizan.server.auth_cache import TTL, KeyCache, Known, is_fresh
from bartizan.server.auth_metadata import invalid_key, key_in
from bartizan.server.auth_secret import digest_of
from bartizan.server.auth_use import LastUse
from bartizan.server.rpc.call import Principal, Scope
from bartizan.server.rpc.outage import is_outage
from bartizan.server.store import keys, projects

Clock = Callable[[], datetime]
"""Returns the time now, in UTC."""

REFRESH_INTERVAL_S = TTL.total_seconds()
"""How often `Keys.refresh` is to be called in each process."""
LOOKUP_TIMEOUT_S = 5
MAX_LOOKUPS = 4
"""Look-ups at once: a flood of wrong keys leaves connections to everybody else."""

ALL_SCOPES = frozenset(set(Scope.values()) - {Scope.SCOPE_UNSPECIFIED})


class Keys:
    """Authenticates calls by their API key.

    Keys are remembered for 5 seconds, so that they go on working through a short outage of the
    database. A change is noticed at once where its notification arrives, else within that time.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._cache = KeyCache()
        self._uses = LastUse()
        self._live: dict[int, datetime | None] = {}
        self._lookups: dict[bytes, asyncio.Task[Known | None]] = {}
        self._room = asyncio.Semaphore(MAX_LOOKUPS)
        self._changes = 0

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """Returns the holder of the call's key; raises Unauthenticated, Unavailable."""
        digest, now = digest_of(key_in(metadata)), self._clock()
        if digest is None or self._cache.is_unknown(digest, now):
            raise invalid_key()
        known = self._cache.get(digest, now) or await self._look_up(digest)
        if known is None or _is_past(known.expire_time, now):
            raise invalid_key()
        self._uses.note(known.principal.key_id, now)
        return known.principal

    def check(self, principal: Principal) -> None:
        """Raises Unauthenticated when a key that opened a stream has ended since.

        Cheap enough for every batch. Counts as a use of the key.
        """
        now = self._clock()
        if principal.key_id not in self._live or _is_past(self._live[principal.key_id], now):
            raise invalid_key()
        self._uses.note(principal.key_id, now)

    async def refresh(self) -> None:
        """Looks which of the keys in use still live, so that `check` knows.

        Raises the database's errors.
        """
        now = self._clock()
        self._cache.drop_stale(now)
        asked = list(self._live)
        async with self._engine.connect() as connection:
            found = await keys.live_until(connection, asked, now)
        for key_id in asked:
            # One that a notification has ended in the meantime stays ended.
            if key_id in self._live and key_id in found:
                self._live[key_id] = found[key_id]
            else:
                self._end(key_id)

    def forget(self, payload: str) -> None:
        """Drops what a change has made wrong: `ended:KEY`, `key:KEY` or `project:PROJECT`.

        Ids are the numbers of the database. Any other payload drops everything remembered.
        """
        self._changes += 1
        kind, _, number = payload.partition(":")
        if kind not in {"ended", "key", "project"} or not number.isdecimal():
            self._cache.clear()
        elif kind == "project":
            self._cache.drop_project(int(number))
        elif kind == "key":
            self._cache.drop_key(int(number))
        else:
            self._end(int(number))

    async def flush_last_used(self) -> None:
        """Writes when keys were last used; raises the database's errors and tries again then."""
        await self._uses.flush(self._engine)

    def _end(self, key_id: int) -> None:
        self._live.pop(key_id, None)
        self._cache.drop_key(key_id)

    async def _look_up(self, digest: bytes) -> Known | None:
        """Asks the database, once for all calls that carry the same key at a time."""
        task = self._lookups.get(digest)
        if task is None:
            task = asyncio.create_task(self._read(digest))
            self._lookups[digest] = task
            task.add_done_callback(lambda done: self._looked_up(digest, done))
        # One call that is cancelled must not take the others with it.
        return await asyncio.shield(task)

    def _looked_up(self, digest: bytes, task: asyncio.Task[Known | None]) -> None:
        self._lookups.pop(digest, None)
        if not task.cancelled():
            task.exception()  # seen here, or asyncio complains when every caller has left

    async def _read(self, digest: bytes) -> Known | None:
        changes, now = self._changes, self._clock()
        holder = await self._holder(digest, now)
        if holder is None:
            self._cache.put_unknown(digest, now)
            return None
        known = Known(_principal(holder), holder.expire_time, now)
        if changes == self._changes:
            self._cache.put(digest, known)
        self._live[holder.key_id] = holder.expire_time
        return known

    async def _holder(self, digest: bytes, now: datetime) -> keys.Holder | None:
        try:
            async with (
                asyncio.timeout(LOOKUP_TIMEOUT_S),
                self._room,
                self._engine.connect() as connection,
            ):
                holder = await keys.find_holder(connection, digest, now)
        except Exception as error:
            raise _away(error) from None
        if holder is None or not hmac.compare_digest(holder.secret_sha256, digest):
            return None
        return holder


class Anonymous:
    """Lets every call act for the first project; only for a server that others cannot reach."""

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known: Known | None = None

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        """Returns the first project with all scopes; raises FailedPrecondition, Unavailable."""
        now = self._clock()
        if self._known is None or not is_fresh(self._known.read_time, now):
            self._known = Known(await self._first(), None, now)
        return self._known.principal

    def check(self, principal: Principal) -> None:
        """Does nothing: there is no key that could end."""

    def forget(self, payload: str) -> None:
        """Drops what is remembered of the project."""
        self._known = None

    async def _first(self) -> Principal:
        try:
            async with self._engine.connect() as connection:
                project = await projects.first(connection)
        except Exception as error:
            raise _away(error) from None
        if project is None:
            raise FailedPrecondition("NO_PROJECT", "there is no project yet")
        return Principal(
            key_id=0,
            project_id=project.id,
            organization_id=project.organization_id,
            organization=project.organization,
            project=project.slug,
            scopes=ALL_SCOPES,
            max_spans_per_second=project.max_spans_per_second,
        )


def _principal(holder: keys.Holder) -> Principal:
    return Principal(
        key_id=holder.key_id,
        project_id=holder.project_id,
        organization_id=holder.organization_id,
        organization=holder.organization,
        project=holder.project,
        scopes=frozenset(holder.scopes),
        max_spans_per_second=holder.max_spans_per_second,
    )


def _is_past(expire_time: datetime | None, now: datetime) -> bool:
    return expire_time is not None and expire_time <= now


def _away(error: Exception) -> Exception:
    if not is_outage(error):
        return error
    return Unavailable("DATABASE_UNAVAILABLE", "the database is away, so no key can be checked")
