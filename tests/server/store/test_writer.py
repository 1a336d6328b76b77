"""The writer under races, outages, full queues and shutdowns: nothing is lost, nothing is twice."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.database import Databases, project_ids
from tests.support.recount import assert_all_agrees
from tests.support.storing import prepared
from tests.support.writing import connected, holdings, ledger, running

from bartizan.plugins.errors import Overloaded, Unavailable
from bartizan.server.ingest import writer as writer_module
from bartizan.server.ingest.batch import Outcome
from bartizan.server.ingest.group import Pending
from bartizan.server.ingest.writer import Writer
from bartizan.server.store.engine import Connection, connect
from bartizan.v1 import common_pb2

WEEK_NS = 7 * 86_400 * NS
SECRET = "what the customer wrote"
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()
"""

Span = common_pb2.Span


@pytest.fixture(autouse=True)
def reconnecting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "RECONNECT_DELAY_S", 0.01)


@pytest.fixture(scope="module")
async def url(databases: Databases) -> AsyncIterator[str]:
    """A database whose tables tests may lock and spoil."""
    url = await databases.create()
    async with connected(url) as connection:
        # Races end in deadlocks now and then; a second for each would be a second lost.
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
    yield url
    await databases.drop(url)


@pytest.fixture(scope="module")
async def connection(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url)
    yield connection
    await connection.close()


@pytest.fixture
async def writer(url: str) -> AsyncIterator[Writer]:
    async with running(url) as writer:
        yield writer


def numbered(*numbers: int, **fields: Any) -> list[Span]:
    return [make_span(1, span_id=f"{number:016x}", **fields) for number in numbers]


@asynccontextmanager
async def ledger_locked(url: str) -> AsyncIterator[Connection]:
    """Makes every transaction of a writer wait just before its end."""
    async with connected(url) as locking, locking.transaction():
        await locking.execute("LOCK TABLE ledger IN EXCLUSIVE MODE")
        yield locking


async def until_blocked(connection: Connection, writers: int = 1) -> None:
    """Returns when so many writers wait for a lock."""
    while await connection.fetchval(BLOCKED) < writers:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def persist(writer: Writer, pending: Pending) -> Outcome:
    """Sends a batch again until it is stored, as a client does."""
    while True:
        with contextlib.suppress(Unavailable):
            return await writer.enqueue(pending)


@st.composite
def races(draw: st.DrawFn) -> list[list[list[Span]]]:
    """Batches for two writers that share ids, also at other times and in other weeks."""
    pool = [
        make_span(
            draw(st.integers(1, 3)),
            span_id=f"{number:016x}",
            parent_span_id=draw(st.sampled_from(["", "00000000000000aa"])),
            start_ns=START_NS + draw(st.sampled_from([0, 1, 61 * NS, WEEK_NS])),
            session_id=draw(st.sampled_from(["", "one", "two"])),
            agent=draw(st.sampled_from(["", "a", "b"])),
            usage=common_pb2.TokenUsage(input=number),
        )
        for number in (*range(1, 7), *range(1, 7))
    ]
    batch = st.lists(st.sampled_from(pool), max_size=5)
    return draw(st.lists(st.lists(batch, min_size=1, max_size=6), min_size=2, max_size=3))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(races(), st.integers(1, 8))
async def test_writers_that_race_store_each_span_once(
    url: str, connection: Connection, sent: list[list[list[Span]]], group_spans: int
) -> None:
    project_id = next(project_ids)
    async with contextlib.AsyncExitStack() as stack:
        writers = [
            await stack.enter_async_context(running(url, group_spans=group_spans)) for _ in sent
        ]
        # All connect before the first batch, so that they meet.
        await asyncio.gather(*(persist(writer, prepared(project_id, [])) for writer in writers))
        outcomes = await asyncio.gather(
            *(
                writer.enqueue(prepared(project_id, batch))
                for writer, batches in zip(writers, sent, strict=True)
                for batch in batches
            )
        )
    batches = list(itertools.chain.from_iterable(sent))
    for batch, outcome in zip(batches, outcomes, strict=True):
        assert outcome.stored + outcome.duplicate == len(batch)
    distinct = {span.span_id + span.trace_id for batch in batches for span in batch}
    assert sum(outcome.stored for outcome in outcomes) == len(distinct)
    received = sum(map(len, batches))
    counts = {"received": received, "stored": len(distinct), "duplicate": received - len(distinct)}
    assert await ledger(connection, project_id) == {k: v for k, v in counts.items() if v}
    await assert_all_agrees(connection, project_id)


async def test_two_writers_meet_on_one_new_trace(
    url: str, connection: Connection, project_id: int
) -> None:
    """Both look before either writes: the second finds out only at its write."""
    moved = START_NS + WEEK_NS
    async with running(url) as first, running(url) as second:
        await asyncio.gather(*(persist(w, prepared(project_id, [])) for w in (first, second)))
        async with ledger_locked(url):
            waiting = [first.enqueue(prepared(project_id, numbered(1, 2, session_id="s")))]
            await until_blocked(connection)
            copies = numbered(2, 3, session_id="s", start_ns=moved)
            waiting.append(second.enqueue(prepared(project_id, copies)))
            await until_blocked(connection, 2)
        outcomes = await asyncio.gather(*waiting)
    assert outcomes == [Outcome(stored=2), Outcome(stored=1, duplicate=1)]
    await assert_all_agrees(connection, project_id)


async def test_a_full_queue_refuses_until_there_is_room(
    url: str, connection: Connection, project_id: int
) -> None:
    batches = [prepared(project_id, numbered(n)) for n in range(1, 6)]
    size = len(batches[0].spans[0].span_row)
    async with running(url, queue_bytes=size * 2, group_spans=1) as writer:
        await persist(writer, prepared(project_id, []))
        async with ledger_locked(url):
            waiting = [writer.enqueue(batches[0])]
            await until_blocked(connection)
            waiting.append(writer.enqueue(batches[1]))
            with pytest.raises(Overloaded) as caught:
                writer.enqueue(batches[2])
            assert writer.fill >= 1
            room = asyncio.create_task(writer.room())
        await asyncio.gather(room, *waiting)
        assert caught.value.retryable
        assert caught.value.metadata == {"limit": "server.queue"}
        assert await writer.enqueue(batches[2]) == Outcome(stored=1)
        assert writer.fill == 0
    assert len((await holdings(connection, project_id, ["spans"]))["spans"]) == 3


async def test_a_batch_over_the_limit_is_let_in_alone(url: str, project_id: int) -> None:
    async with running(url, queue_bytes=10) as writer:
        pending = prepared(project_id, numbered(*range(1, 50)))
        assert await persist(writer, pending) == Outcome(stored=49)


async def test_room_is_found_when_what_waited_is_taken_back(url: str, project_id: int) -> None:
    async def wait_for_room() -> None:
        with pytest.raises(Overloaded):
            writer.enqueue(prepared(project_id, numbered(2)))
        await writer.room()

    async def take_back() -> None:
        assert abandoned.cancel()

    async with running(url, queue_bytes=10) as writer:
        await persist(writer, prepared(project_id, []))
        # Both have their turn before the writer has: it finds nothing left to write.
        waiting = asyncio.create_task(wait_for_room())
        taking_back = asyncio.create_task(take_back())
        abandoned = writer.enqueue(prepared(project_id, numbered(1)))
        async with asyncio.timeout(30):
            await asyncio.gather(waiting, taking_back)
        assert await writer.enqueue(prepared(project_id, numbered(2))) == Outcome(stored=1)


async def test_a_batch_that_was_taken_back_is_not_written(
    url: str, connection: Connection, writer: Writer, project_id: int
) -> None:
    await persist(writer, prepared(project_id, []))
    async with ledger_locked(url):
        written = writer.enqueue(prepared(project_id, numbered(1)))
        await until_blocked(connection)
        taken_back = writer.enqueue(prepared(project_id, numbered(2)))
        kept = writer.enqueue(prepared(project_id, numbered(3)))
        taken_back.cancel()
        # Too late to take this one back: it is being written.
        written.cancel()
    assert await kept == Outcome(stored=1)
    rows = (await holdings(connection, project_id, ["spans"]))["spans"]
    assert [row[2] for row in rows] == [1, 3]
    assert (await ledger(connection, project_id))["received"] == 2
    assert writer.fill == 0


async def test_a_drain_writes_what_waits_and_refuses_the_rest(url: str, project_id: int) -> None:
    async with running(url, group_spans=1) as writer:
        await persist(writer, prepared(project_id, []))
        waiting = [writer.enqueue(prepared(project_id, numbered(n))) for n in range(1, 6)]
        writer.drain()
        with pytest.raises(Unavailable) as caught:
            writer.enqueue(prepared(project_id, numbered(9)))
        assert await asyncio.gather(*waiting) == [Outcome(stored=1)] * 5
    assert caught.value.reason == "SHUTTING_DOWN"


async def test_a_cancelled_writer_leaves_nobody_waiting(
    url: str, connection: Connection, project_id: int
) -> None:
    async with ledger_locked(url):
        async with running(url, group_spans=1) as writer:
            while writer.problem:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            waiting = [writer.enqueue(prepared(project_id, numbered(n))) for n in (1, 2)]
            await until_blocked(connection)
        async with asyncio.timeout(30):
            results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable, Unavailable]


async def test_no_database_is_said_at_once_and_over_when_it_is(
    url: str, project_id: int, tmp_path: Any
) -> None:
    async with running(f"postgresql://nobody@/none?host={tmp_path}") as writer:
        assert writer.problem == "not connected yet"
        with pytest.raises(Unavailable, match="the database is away") as caught:
            await writer.enqueue(prepared(project_id, numbered(1)))
        assert caught.value.reason == "DATABASE_UNAVAILABLE"
        assert caught.value.retryable
        assert writer.problem == "the database is away"
        assert writer.fill == 0
        writer._url = url
        assert await persist(writer, prepared(project_id, numbered(1))) == Outcome(stored=1)
        assert writer.problem == ""


async def kill_writers(connection: Connection) -> None:
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'bartizan writer' AND datname = current_database()"
    )


async def test_a_connection_cut_in_mid_group_stores_once(
    url: str, connection: Connection, writer: Writer, project_id: int
) -> None:
    await persist(writer, prepared(project_id, []))
    batches = [prepared(project_id, numbered(n, n + 1)) for n in (1, 3, 5)]
    async with ledger_locked(url):
        waiting = [writer.enqueue(batch) for batch in batches[:2]]
        await until_blocked(connection)
        waiting.append(writer.enqueue(batches[2]))
        await kill_writers(connection)
        for lost in waiting[:2]:
            with pytest.raises(Unavailable, match="the database is away"):
                await lost
    outcomes = [await persist(writer, batch) for batch in batches]
    assert outcomes[:2] == [Outcome(stored=2)] * 2
    assert len((await holdings(connection, project_id, ["spans"]))["spans"]) == 6
    await asyncio.gather(*waiting, return_exceptions=True)
    await assert_all_agrees(connection, project_id)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 12), min_size=1, max_size=3))
async def test_connections_cut_at_any_time_store_once(
    url: str, connection: Connection, cuts: Sequence[int]
) -> None:
    project_id = next(project_ids)
    async with running(url, group_spans=3) as writer:
        sending = []
        for number in range(12):
            sending.append(
                asyncio.create_task(
                    persist(writer, prepared(project_id, numbered(number + 1, number + 2)))
                )
            )
            await asyncio.sleep(0)
            if number in cuts:
                await kill_writers(connection)
        outcomes = await asyncio.gather(*sending)
    # A commit whose answer was lost is a duplicate when it is sent again.
    assert all(outcome.stored + outcome.duplicate == 2 for outcome in outcomes)
    counts = await ledger(connection, project_id)
    assert counts["stored"] == 13
    assert counts["received"] == counts["stored"] + counts["duplicate"]
    await assert_all_agrees(connection, project_id)


async def test_a_full_disk_is_said_and_over_when_there_is_room(
    url: str, connection: Connection, writer: Writer, project_id: int
) -> None:
    await persist(writer, prepared(project_id, []))
    await connection.execute(
        f"CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION '{SECRET}' USING ERRCODE = '53100'; END $$;"
        " CREATE TRIGGER full_disk BEFORE INSERT ON traces"
        " FOR EACH ROW EXECUTE FUNCTION fill()"
    )
    with capture_logs() as logs, pytest.raises(Unavailable, match="the disk is full") as caught:
        await writer.enqueue(prepared(project_id, numbered(1)))
    assert SECRET not in f"{logs} {caught.value}"
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["the disk is full"]
    await connection.execute("DROP FUNCTION fill CASCADE")
    assert await persist(writer, prepared(project_id, numbered(1))) == Outcome(stored=1)
    assert writer.problem == ""


async def test_what_nobody_foresaw_does_not_end_the_writer(writer: Writer, project_id: int) -> None:
    await persist(writer, prepared(project_id, []))
    odd = prepared(project_id, numbered(1))
    odd.spans[0] = odd.spans[0]._replace(decisions=[SECRET])  # type: ignore[list-item]
    with capture_logs() as logs, pytest.raises(Unavailable, match="unexpected reason") as caught:
        await writer.enqueue(odd)
    assert SECRET not in f"{logs} {caught.value}"
    assert await persist(writer, prepared(project_id, numbered(1))) == Outcome(stored=1)


async def test_a_partition_that_was_dropped_in_between_is_made_again(
    connection: Connection, writer: Writer, project_id: int
) -> None:
    if await connection.fetchval("SELECT relkind FROM pg_class WHERE relname = 'spans'") != b"p":
        pytest.skip("TimescaleDB makes its own partitions")
    old = START_NS - 20 * WEEK_NS
    await persist(writer, prepared(project_id, numbered(1, start_ns=old)))
    for table in ("spans", "span_payloads", "findings"):
        names = await connection.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass", table
        )
        await connection.execute(f"DROP TABLE {min(row[0] for row in names)}")
    assert await writer.enqueue(prepared(project_id, numbered(2, start_ns=old))) == Outcome(
        stored=1
    )
    assert await ledger(connection, project_id) == {"received": 2, "stored": 2}


async def test_metrics_count_what_the_ledger_counts(
    connection: Connection, writer: Writer, project_id: int
) -> None:
    await persist(writer, prepared(project_id, numbered(1, 2, 2)))
    await writer.enqueue(prepared(project_id, numbered(2, 3)))
    counted = {
        outcome: writer._metrics.spans.labels(outcome)._value.get()
        for outcome in ("stored", "duplicate", "rejected", "quarantined")
    }
    assert counted == {"stored": 3, "duplicate": 2, "rejected": 0, "quarantined": 0}
    assert await ledger(connection, project_id) == {"received": 5, "stored": 3, "duplicate": 2}
