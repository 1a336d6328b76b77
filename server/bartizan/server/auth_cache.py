"""What a process remembers of keys between two looks at the database."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bartizan.server.rpc.call import Principal

TTL = timedelta(seconds=5)
"""How long a change of a key may go unnoticed where no notification arrives."""
UNKNOWN_TTL = timedelta(seconds=1)
MAX_UNKNOWN = 1_000
"""Digests of wrong keys kept; 1,000 of them take about 200 KB."""


@dataclass(frozen=True, slots=True)
class Known:
    """The holder of a live key, as the database had it."""

    principal: Principal
    expire_time: datetime | None
    read_time: datetime


class KeyCache:
    """Holders by the digest of their key, and digests that belong to none."""

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._unknown: OrderedDict[bytes, datetime] = OrderedDict()

    def get(self, digest: bytes, now: datetime) -> Known | None:
        """Returns the holder if the database was asked lately."""
        known = self._known.get(digest)
        return known if known is not None and is_fresh(known.read_time, now) else None

    def is_unknown(self, digest: bytes, now: datetime) -> bool:
        """Tells whether the database said lately that nobody holds that key."""
        read_time = self._unknown.get(digest)
        return read_time is not None and is_fresh(read_time, now, UNKNOWN_TTL)

    def put(self, digest: bytes, known: Known) -> None:
        """Remembers a holder."""
        self._known[digest] = known

    def put_unknown(self, digest: bytes, now: datetime) -> None:
        """Remembers that nobody holds a key; the oldest such memory makes room."""
        self._known.pop(digest, None)
        self._unknown[digest] = now
        self._unknown.move_to_end(digest)
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    def drop_key(self, key_id: int) -> None:
        """Forgets the holder of a key."""
        self._keep(lambda known: known.principal.key_id != key_id)

    def drop_project(self, project_id: int) -> None:
        """Forgets the holders of a project's keys."""
        self._keep(lambda known: known.principal.project_id != project_id)

    def drop_stale(self, now: datetime) -> None:
        """Forgets what would not be used any more."""
        self._keep(lambda known: is_fresh(known.read_time, now))

    def clear(self) -> None:
        """Forgets everything."""
        self._known.clear()
        self._unknown.clear()

    def _keep(self, wanted: Callable[[Known], bool]) -> None:
        self._known = {digest: known for digest, known in self._known.items() if wanted(known)}


def is_fresh(read_time: datetime, now: datetime, ttl: timedelta = TTL) -> bool:
    """Tells whether what was read then may still be used."""
    # A clock that was set back must not keep anything longer.
    return timedelta(0) <= now - read_time < ttl
