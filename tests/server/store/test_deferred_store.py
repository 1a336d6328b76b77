"""Work for deferred rules is done once, whoever dies, and what it finds is in every count."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.database import Databases
from tests.support.recount import assert_all_agrees
from tests.support.storing import decision, prepared, store_prepared
from tests.support.writing import connected, holdings, running

from bartizan.plugins.decision import Decision
from bartizan.server.ingest.finding_rows import finding_rows
from bartizan.server.store import deferred as store
from bartizan.server.store import rollups
from bartizan.server.store.deferred import MAX_ATTEMPTS, DeferredCheck, Findings
from bartizan.server.store.engine import Connection, connect, create_engine
from bartizan.server.store.history import History

PROJECT = 1
EXPIRE = "UPDATE deferred_checks SET lease_end = now() - interval '1 second'"
WAITING = "SELECT count(*) FROM deferred_checks"


@pytest.fixture(scope="module")
async def url(databases: Databases) -> AsyncIterator[str]:
    """A database whose queue is this module's alone."""
    url = await databases.create()
    yield url
    await databases.drop(url)


@pytest.fixture(scope="module")
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
async def connection(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url)
    yield connection
    await connection.close()


@pytest.fixture(autouse=True)
async def emptied(connection: Connection) -> None:
    tables = "spans, span_payloads, findings, traces, sessions, rollup_deltas, deferred_checks"
    levels = ", ".join(f"rollup_{one}, latency_{one}" for one in ("minute", "hour", "day"))
    await connection.execute(f"TRUNCATE {tables}, {levels}, dimension_sets CASCADE")


async def fill(url: str, traces: int, spans: int = 2, project_id: int = PROJECT) -> None:
    """Stores traces that a deferred rule is to look at, half of them in a session."""
    made = [
        make_span(
            trace,
            span_id=f"{number:016x}",
            start_ns=START_NS + trace * NS,
            session_id="s" if trace % 2 else "",
            agent="bot" if number % 2 else "",
        )
        for trace in range(1, traces + 1)
        for number in range(1, spans + 1)
    ]
    waiting = {place: {"late"} for place in range(len(made))}
    await store_prepared(url, prepared(project_id, made, {0: [decision("inline")]}, waiting))


async def found_in(
    engine: AsyncEngine, checks: Iterable[DeferredCheck], decisions: Sequence[Decision]
) -> list[Findings]:
    """Returns what it is to find something in each of some spans."""
    categories = [one.finding.category for one in decisions]
    found = []
    for check in checks:
        [span] = await History(engine, check.project_id).spans([check.span])
        rows = list(finding_rows(check.project_id, span.record, decisions))
        found.append(Findings(check.project_id, span, rows, categories))
    return found


async def test_what_waits_is_leased_oldest_first(url: str, connection: Connection) -> None:
    await fill(url, 3)
    first = await store.claim(connection, 4)
    assert [check.rules for check in first] == [["late"]] * 4
    assert [check.id for check in first] == sorted(check.id for check in first)
    rest = await store.claim(connection, 4)
    assert len(rest) == 2
    assert max(check.id for check in first) < min(check.id for check in rest)
    assert await store.claim(connection, 4) == []
    assert (await store.backlog(connection))[0] == 6


async def test_what_is_found_is_in_every_count(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 4)
    checks = await store.claim(connection, 100)
    two = [decision("late.a"), decision("late.b", shadow=True)]
    found = await found_in(engine, checks[:5], two)
    assert await store.finish(connection, checks, found) == 8
    await assert_all_agrees(connection, PROJECT)
    held = await holdings(connection, PROJECT, ["findings"])
    assert len(held["findings"]) == 1 + 10
    trace = await connection.fetchrow("SELECT * FROM traces ORDER BY start_time LIMIT 1")
    assert trace is not None
    assert (trace["finding_count"], trace["categories"]) == (5, ["inline", "late.a", "late.b"])
    assert await connection.fetchval(WAITING) == 0
    while await rollups.fold(connection):
        pass
    await assert_all_agrees(connection, PROJECT)


async def test_a_trace_that_changed_is_told_to_its_readers(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 1, spans=1)
    before = await connection.fetchval("SELECT update_xid FROM traces")
    heard: asyncio.Queue[object] = asyncio.Queue()
    async with connected(url) as listening:
        await listening.add_listener("bartizan_commits", lambda *said: heard.put_nowait(said[3]))
        checks = await store.claim(connection, 1)
        await store.finish(connection, checks, await found_in(engine, checks, [decision("a")]))
        assert str(await heard.get()).endswith(f":{PROJECT}")
    assert await connection.fetchval("SELECT update_xid FROM traces") > before


async def test_two_workers_share_the_work_and_do_none_twice(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 10, spans=3)

    async def work() -> int:
        done = 0
        async with connected(url) as own:
            while checks := await store.claim(own, 3):
                found = await found_in(engine, checks, [decision("late")])
                done += await store.finish(own, checks, found)
        return done

    assert sum(await asyncio.gather(work(), work(), work())) == 30
    held = await holdings(connection, PROJECT, ["findings"])
    assert len(held["findings"]) == 31
    await assert_all_agrees(connection, PROJECT)


async def test_who_lost_its_lease_stores_nothing(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 1)
    slow = await store.claim(connection, 10)
    await connection.execute(EXPIRE)
    async with connected(url) as other:
        [taken, _] = await store.claim(other, 10)
        found = await found_in(engine, slow, [decision("late")])
        assert await store.finish(connection, slow, found) == 0
        [first] = [one for one in found if one.span.key == taken.span]
        assert await store.finish(other, [taken], [first]) == 1
    held = await holdings(connection, PROJECT, ["findings"])
    assert len(held["findings"]) == 2
    await assert_all_agrees(connection, PROJECT)


async def test_a_lease_that_ended_is_good_until_somebody_else_has_it(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 1)
    checks = await store.claim(connection, 10)
    await store.finish(connection, checks[:1], [])
    assert await store.finish(connection, checks, []) == 1


async def test_what_is_given_back_is_there_for_others_at_once(
    url: str, connection: Connection
) -> None:
    await fill(url, 1)
    checks = await store.claim(connection, 10)
    await store.release(connection, checks)
    again = await store.claim(connection, 10)
    assert {check.id for check in again} == {check.id for check in checks}
    await store.release(connection, checks)
    assert await store.claim(connection, 10) == [], "an old lease gives nothing back"
    attempts = await connection.fetch("SELECT DISTINCT attempts FROM deferred_checks")
    assert [row["attempts"] for row in attempts] == [1]


async def test_what_fails_every_time_is_given_up(url: str, connection: Connection) -> None:
    await fill(url, 1, spans=1)
    for _ in range(MAX_ATTEMPTS):
        assert len(await store.claim(connection, 10)) == 1
        assert await store.give_up(connection) == 0
        await connection.execute(EXPIRE)
    assert await store.claim(connection, 10) == []
    assert await store.give_up(connection) == 1
    assert (await store.backlog(connection)) == (0, 0.0)


async def test_a_span_that_expired_meanwhile_is_forgotten(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 1, spans=1)
    checks = await store.claim(connection, 10)
    found = await found_in(engine, checks, [decision("late")])
    for table in ("spans", "traces", "sessions", "rollup_deltas", "findings"):
        await connection.execute(f"DELETE FROM {table}")
    assert await store.finish(connection, checks, found) == 1
    for table in ("findings", "rollup_deltas", "deferred_checks"):
        assert await connection.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_work_beside_a_writer_on_the_same_traces(
    url: str, connection: Connection, engine: AsyncEngine
) -> None:
    await fill(url, 6)
    over = asyncio.Event()

    async def write() -> None:
        async with running(url) as writer:
            for number in range(10, 30):
                spans = [
                    make_span(trace, span_id=f"{number:016x}", start_ns=START_NS, session_id="s")
                    for trace in range(6, 0, -1)
                ]
                waiting = {place: {"late"} for place in range(len(spans))}
                await writer.enqueue(prepared(PROJECT, spans, None, waiting))
        over.set()

    async def work() -> None:
        async with connected(url) as own:
            while checks := await store.claim(own, 5) or not over.is_set():
                if isinstance(checks, list):
                    found = await found_in(engine, checks, [decision("late")])
                    await store.finish(own, checks, found[::-1])

    await asyncio.gather(write(), work(), work())
    assert await connection.fetchval(WAITING) == 0
    held = await holdings(connection, PROJECT, ["findings"])
    assert len(held["findings"]) == 1 + 12 + 20 * 6
    await assert_all_agrees(connection, PROJECT)
