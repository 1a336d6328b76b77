"""The group-commit writer: a bounded queue of batches, written in groups, one at a time.

While one group is being committed the next one gathers, so a group grows with the load and an idle
server commits each batch at once.
"""

import asyncio
import contextlib
import time
from collections import deque

import asyncpg
import structlog

from bartizan.plugins.errors import Overloaded, Unavailable
from bartizan.server.ingest.batch import Outcome
from bartizan.server.ingest.group import REFUSED_FOR_CONTENT, Group, Pending, Raced, entries
from bartizan.server.metrics import Metrics
from bartizan.server.store import writing
from bartizan.server.store.engine import AWAY, Connection, connect
from bartizan.server.store.partitions import Partitions, weeks_of

log = structlog.get_logger(__name__)

MAX_TRIES = 5
"""Races are rare and each try sees more; five in a row mean that something else is wrong."""
RETRY_DELAY_S = 1.0
"""What a caller is told to wait when the queue is full: the time to write some thousand spans."""
DATABASE_RETRY_DELAY_S = 2.0
RECONNECT_DELAY_S = 0.25
DISK_FULL = "53100"


class Writer:
    """Writes batches durably.

    Args:
        url: the database, as a postgresql URL.
        queue_bytes: how much may wait, in bytes of encoded rows; beyond it `submit` refuses.
        group_spans: how many spans share a transaction at most.
    """

    def __init__(self, url: str, metrics: Metrics, *, queue_bytes: int, group_spans: int) -> None:
        self._url = url
        self._metrics = metrics
        self._queue_bytes = queue_bytes
        self._group_spans = group_spans
        self._queue: deque[tuple[Pending, int, asyncio.Future[Outcome]]] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._connection: Connection | None = None
        self._partitions = Partitions()
        self._closing = False
        self.problem = "not connected yet"
        """Why nothing can be written now; empty while all is well."""

    @property
    def fill(self) -> float:
        """How full the queue is, from 0 to 1."""
        return self._waiting_bytes / self._queue_bytes

    def enqueue(self, pending: Pending) -> asyncio.Future[Outcome]:
        """Takes a batch in; the future tells, after the commit, what became of it.

        Batches are committed in the order they are enqueued. Cancelling the future takes back a
        batch that is not yet being written.

        Raises:
            Overloaded: the queue is full.
            Unavailable: the server is shutting down. The future raises it when the database is
                away or the commit is in doubt; sending again is harmless.
        """
        size = sum(len(s.span_row) + len(s.payload_row or b"") for s in pending.spans)
        if self._closing:
            raise Unavailable(
                "SHUTTING_DOWN",
                "The server is shutting down; send again.",
                retry_delay_s=RETRY_DELAY_S,
            )
        # A batch that alone is over the limit is let in when nothing else waits.
        if self._queue and self._waiting_bytes + size > self._queue_bytes:
            raise Overloaded(
                "QUEUE_FULL",
                "The server's queue is full; send again later.",
                retry_delay_s=RETRY_DELAY_S,
                metadata={"limit": "server.queue"},
            )
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_heard)
        self._queue.append((pending, size, done))
        self._waiting_bytes += size
        self._wake.set()
        return done

    async def room(self) -> None:
        """Waits until something has left the queue."""
        self._room.clear()
        await self._room.wait()

    async def run(self) -> None:
        """Writes until cancelled, or until `drain` has emptied the queue."""
        try:
            while not (self._closing and not self._queue):
                if self._connection is None and not await self._connect():
                    self._fail_waiting()
                    await asyncio.sleep(RECONNECT_DELAY_S)
                    continue
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._write_group(self._take())
        finally:
            self._fail_waiting()
            await self._disconnect()

    def drain(self) -> None:
        """Refuses what comes from now on and lets `run` end when the queue is empty."""
        self._closing = True
        self._wake.set()

    def _take(self) -> list[tuple[Pending, int, asyncio.Future[Outcome]]]:
        group: list[tuple[Pending, int, asyncio.Future[Outcome]]] = []
        spans = 0
        while self._queue and (not group or spans < self._group_spans):
            entry = self._queue.popleft()
            # Bytes of the group count until it is written: they are still in memory.
            if entry[2].cancelled():
                self._waiting_bytes -= entry[1]
                self._room.set()
                continue
            group.append(entry)
            spans += len(entry[0].spans)
        return group

    async def _write_group(self, group: list[tuple[Pending, int, asyncio.Future[Outcome]]]) -> None:
        if not group:
            return
        started = time.perf_counter()
        try:
            outcomes = await self._commit([pending for pending, _, _ in group])
        except Exception as error:
            # Also what nobody foresaw: a writer that ends would be worse than one that tries again.
            self._lost(error)
        else:
            for (pending, _, done), outcome in zip(group, outcomes, strict=True):
                self._count(pending, outcome)
                if not done.done():
                    done.set_result(outcome)
            self._metrics.commit_spans.observe(sum(len(entry[0].spans) for entry in group))
            self._metrics.commit_seconds.observe(time.perf_counter() - started)
        finally:
            # All have their outcome, unless the commit failed or was cut short.
            self._fail([done for _, _, done in group])
            self._waiting_bytes -= sum(size for _, size, _ in group)
            self._room.set()
            self._metrics.queue_bytes.set(self._waiting_bytes)
            self._metrics.queue_batches.set(len(self._queue))

    async def _commit(self, group: list[Pending]) -> list[Outcome]:
        connection = self._connection
        assert connection is not None
        weeks = weeks_of(span.record.start_ns for pending in group for span in pending.spans)
        isolate = False
        for attempt in range(MAX_TRIES):
            try:
                await self._partitions.ensure(connection, weeks)
                return await Group(connection, group, thorough=attempt > 0).store(isolate=isolate)
            except Raced:
                log.info("raced with another writer", attempt=attempt)
            except REFUSED_FOR_CONTENT:
                # Also what a partition that was dropped in between looks like.
                self._partitions.forget()
                isolate = attempt > 0
        raise asyncpg.PostgresError("gave up after racing with another writer")

    async def _connect(self) -> bool:
        try:
            self._connection = await connect(self._url, "bartizan writer")
            await writing.configure(self._connection)
        except AWAY as error:
            await self._disconnect()
            self._note(error)
            return False
        if self.problem:
            log.info("connected to the database")
        self.problem = ""
        return True

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*AWAY):
                await connection.close(timeout=1)

    def _lost(self, error: BaseException) -> None:
        self._note(error)
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def _note(self, error: BaseException) -> None:
        # The text of a database error can hold a row; its class and state cannot.
        state = getattr(error, "sqlstate", None)
        problem = "the database is away"
        if state == DISK_FULL:
            problem = "the disk is full"
        elif not isinstance(error, AWAY):
            problem = "writing failed for an unexpected reason"
        if problem != self.problem:
            log.error(problem, error=type(error).__name__, sqlstate=state)
        self.problem = problem

    def _fail_waiting(self) -> None:
        waiting = list(self._queue)
        self._queue.clear()
        self._waiting_bytes -= sum(size for _, size, _ in waiting)
        self._room.set()
        self._fail([done for _, _, done in waiting])

    def _fail(self, waiting: list[asyncio.Future[Outcome]]) -> None:
        for done in waiting:
            if not done.done():
                done.set_exception(self._unavailable())

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            "DATABASE_UNAVAILABLE",
            f"Nothing was stored: {self.problem or 'the server is shutting down'}; send again.",
            retry_delay_s=DATABASE_RETRY_DELAY_S,
        )

    def _count(self, pending: Pending, outcome: Outcome) -> None:
        for (name, reason), spans in entries(pending.batch, outcome).items():
            if spans and name != "received":
                self._metrics.spans.labels(name).inc(spans)
            if reason:
                self._metrics.spans_rejected.labels(reason).inc(spans)


def _heard(done: asyncio.Future[Outcome]) -> None:
    # Whoever asked may be gone by now, which is no reason to complain of a lost exception.
    if not done.cancelled():
        done.exception()
