"""When keys were last used: collected in memory, written once a minute a key at most."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server.store import keys


class LastUse:
    """The uses of keys that the database does not know yet, to the minute."""

    def __init__(self) -> None:
        self._pending: dict[int, datetime] = {}
        self._written: dict[int, datetime] = {}

    def note(self, key_id: int, now: datetime) -> None:
        """Remembers a use."""
        minute = now.replace(second=0, microsecond=0)
        if self._written.get(key_id) != minute:
            self._pending[key_id] = minute

    async def flush(self, engine: AsyncEngine) -> None:
        """Writes what is new; raises the database's errors and keeps it for the next time."""
        pending, self._pending = self._pending, {}
        if not pending:
            return
        try:
            async with engine.begin() as connection:
                await keys.set_last_used(connection, pending)
        except BaseException:
            self._pending = pending | self._pending
            raise
        # Only the latest minute can come again, so older entries need no keeping.
        latest, written = max(pending.values()), self._written | pending
        self._written = {key_id: minute for key_id, minute in written.items() if minute == latest}
