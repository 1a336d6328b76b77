"""What is kept, what is dropped, and when, on partitions and on chunks alike."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.rpc.reading import NS, make_span
from tests.support.recount import rollups as rollups_of
from tests.support.storing import decision, prepared, store
from tests.support.writing import connected, ledger

from bartizan.server.store import partitions, retention, rollups, writing
from bartizan.server.store.clock import to_ns
from bartizan.server.store.engine import Connection
from bartizan.server.store.partitions import TABLES, Partitions, monday, weeks_of
from bartizan.v1 import common_pb2

NOW = datetime(2026, 3, 18, 12, 30, tzinfo=UTC)
WEEK_NS = 7 * 86_400 * NS

_CHILDREN = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass"
_CHUNKS = "SELECT c::text FROM show_chunks($1::regclass) AS c"


@pytest.fixture
async def url(fresh_database_url: str) -> str:
    return fresh_database_url


@pytest.fixture
async def connection(url: str) -> AsyncIterator[Connection]:
    async with connected(url) as connection:
        yield connection


async def is_native(connection: Connection) -> bool:
    query = "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"
    return not await connection.fetchval(query)


async def parts(connection: Connection, table: str = "spans") -> set[str]:
    """Returns the names of a table's partitions or chunks."""
    query = _CHILDREN if await is_native(connection) else _CHUNKS
    return {row[0] for row in await connection.fetch(query, table)}


async def make_project(connection: Connection, days: int) -> int:
    await connection.execute(
        "INSERT INTO organizations (slug) VALUES ('acme') ON CONFLICT DO NOTHING"
    )
    query = (
        "INSERT INTO projects (organization_id, slug, retention_days)"
        " SELECT id, gen_random_uuid()::text, $1 FROM organizations RETURNING id"
    )
    return int(await connection.fetchval(query, days))


def days_ago(days: float) -> int:
    return to_ns(NOW - timedelta(days=days))


async def fill(url: str, project_id: int, *ages: float) -> None:
    """Stores a span with a finding and a payload for each age in days."""
    for age in ages:
        span = make_span(int(age) + 1, start_ns=days_ago(age), session_id=f"s{age}")
        span.input.add(role=common_pb2.ROLE_USER, content="[EMAIL_ADDRESS]")
        await store(url, project_id, [span], {0: [decision("pii.person")]})


async def ages(connection: Connection, table: str, project_id: int, column: str) -> list[int]:
    query = f"SELECT {column} FROM {table} WHERE project_id = $1 ORDER BY 1 DESC"
    rows = await connection.fetch(query, project_id)
    return [(NOW - row[0]).days for row in rows]


@given(st.integers(0, 2**62))
def test_a_week_begins_with_its_monday(time_ns: int) -> None:
    (week,) = weeks_of([time_ns])
    start = monday(week)
    assert start.weekday() == 0
    assert 0 <= time_ns - to_ns(datetime(start.year, start.month, start.day, tzinfo=UTC)) < WEEK_NS


async def test_partitions_are_made_ahead_and_once(connection: Connection) -> None:
    if not await is_native(connection):
        pytest.skip("TimescaleDB makes its own partitions")
    await retention.make_partitions(connection, NOW)
    made = await parts(connection)
    assert made == {f"spans_{monday_after(week):%Y%m%d}" for week in range(5)}
    assert {len(await parts(connection, table)) for table in TABLES} == {5}
    await retention.make_partitions(connection, NOW + timedelta(days=6))
    assert made < await parts(connection)
    assert len(await parts(connection)) == 6


def monday_after(weeks: int) -> datetime:
    return datetime(2026, 3, 16, tzinfo=UTC) + timedelta(weeks=weeks)


async def test_many_may_make_the_same_partitions(url: str, connection: Connection) -> None:
    async def make() -> None:
        async with connected(url) as own:
            await retention.make_partitions(own, NOW)

    await asyncio.gather(*(make() for _ in range(4)))
    if await is_native(connection):
        assert len(await parts(connection)) == 5


async def test_spans_at_the_edges_of_a_week_have_a_place(
    url: str, connection: Connection, project_id: int
) -> None:
    edge = to_ns(monday_after(0))
    spans = [make_span(n, start_ns=edge + shift) for n, shift in enumerate((-1, 0, 1), 1)]
    assert (await store(url, project_id, spans)).stored == 3
    starts = await connection.fetch("SELECT start_time, start_nanos FROM spans ORDER BY 1, 2")
    assert [to_ns(row[0]) + row[1] for row in starts] == [edge - 1, edge, edge + 1]


async def test_a_new_partition_has_the_checks_of_its_table(
    url: str, connection: Connection, project_id: int
) -> None:
    await connection.execute("ALTER TABLE spans ADD CONSTRAINT named CHECK (name <> '')")
    assert (await store(url, project_id, [make_span(1, start_ns=days_ago(0))])).stored == 1


async def test_what_no_project_keeps_is_dropped_whole(url: str, connection: Connection) -> None:
    project_id = await make_project(connection, 30)
    await fill(url, project_id, 1, 29, 45, 400)
    before = {table: await parts(connection, table) for table in TABLES}
    await retention.expire(connection, NOW)
    for table in TABLES:
        assert len(before[table]) - len(await parts(connection, table)) == 2
        assert await ages(connection, table, project_id, "start_time") == [1, 29]
    for table in ("traces", "sessions"):
        assert await ages(connection, table, project_id, "end_time") == [0, 28]


async def test_a_week_is_kept_while_one_of_its_moments_is(connection: Connection) -> None:
    if not await is_native(connection):
        pytest.skip("TimescaleDB makes its own partitions")
    first, second = monday_after(0), monday_after(1)
    await Partitions().ensure(connection, weeks_of([to_ns(first), to_ns(second)]))
    assert await partitions.drop_before(connection, second - timedelta(microseconds=1)) == []
    dropped = await partitions.drop_before(connection, second)
    assert dropped == [f"{table}_20260316" for table in sorted(TABLES)]
    assert await parts(connection) == {"spans_20260323"}


async def test_each_project_keeps_its_own_time(url: str, connection: Connection) -> None:
    brief, long, other = [await make_project(connection, days) for days in (7, 365, 30)]
    for project_id in (brief, long, other):
        await fill(url, project_id, 1, 6, 8, 40, 200)
    await rollups.fold(connection)
    await retention.expire(connection, NOW)
    kept = {brief: [1, 6], other: [1, 6, 8], long: [1, 6, 8, 40, 200]}
    for project_id, left in kept.items():
        for table in TABLES:
            assert await ages(connection, table, project_id, "start_time") == left
        assert len(await ages(connection, "traces", project_id, "end_time")) == len(left)
        assert len(await ages(connection, "sessions", project_id, "end_time")) == len(left)
        assert len(await rollups_of(connection, project_id, "minute")) == len(left)
    await retention.expire(connection, NOW)
    assert await ages(connection, "spans", brief, "start_time") == [1, 6]


async def test_labels_expire_as_findings_do(url: str, connection: Connection) -> None:
    brief, long = [await make_project(connection, days) for days in (7, 365)]
    for project_id in (brief, long):
        for age in (6, 8):
            await connection.execute(
                "INSERT INTO finding_labels VALUES"
                " ($1, gen_random_uuid(), 1, 'name', 'pii.mail', 0, 1, true, 'ada', $2)",
                project_id,
                NOW - timedelta(days=age),
            )
    await retention.expire(connection, NOW)
    assert await ages(connection, "finding_labels", brief, "create_time") == [6]
    assert await ages(connection, "finding_labels", long, "create_time") == [6, 8]


async def test_more_rows_than_one_transaction_deletes(
    url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    brief, _ = [await make_project(connection, days) for days in (7, 365)]
    spans = [make_span(n, start_ns=days_ago(8 + n % 3)) for n in range(1, 12)]
    await store(url, brief, [*spans, make_span(99, start_ns=days_ago(2))])
    await retention.expire(connection, NOW)
    assert await ages(connection, "spans", brief, "start_time") == [2]
    assert await ages(connection, "traces", brief, "end_time") == [1]


async def test_ledger_quarantine_and_streams_expire_too(url: str, connection: Connection) -> None:
    project_id = await make_project(connection, 7)
    span = make_span(1, start_ns=days_ago(1))
    pending = prepared(project_id, [span])
    key = pending.spans[0].key
    for age, stream in ((1, "young"), (8, "older"), (31, "gone")):
        minute = days_ago(age) // (60 * NS)
        await writing.add_to_ledger(connection, {(project_id, minute, "received", ""): 1})
        await writing.quarantine(connection, bytes([age]) + key[1:], days_ago(age), "x", "{}")
        await connection.execute(
            "INSERT INTO streams VALUES ($1, $2, 5, $3)",
            project_id, stream, NOW - timedelta(days=age),
        )  # fmt: skip
    await retention.expire(connection, NOW)
    assert await ledger(connection, project_id) == {"received": 1}
    assert await ages(connection, "quarantine", project_id, "ingest_time") == [1]
    left = await connection.fetch("SELECT stream_key FROM streams ORDER BY 1")
    assert [row[0] for row in left] == ["older", "young"]


async def test_without_a_project_nothing_is_dropped(url: str, connection: Connection) -> None:
    await fill(url, 1, 4_000)
    await retention.expire(connection, NOW)
    assert await ages(connection, "spans", 1, "start_time") == [4_000]


async def compress(connection: Connection) -> None:
    # The policy does the same at a time of its own, and may be at it now.
    policies = "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = ANY($1)"
    for job in await connection.fetch(policies, list(TABLES)):
        await connection.execute("SELECT delete_job($1)", job[0])
    for table in TABLES:
        for chunk in await parts(connection, table):
            with contextlib.suppress(asyncpg.DuplicateObjectError):
                await connection.execute(f"SELECT compress_chunk('{chunk}')")


async def test_compressed_spans_expire_are_known_again_and_take_late_neighbours(
    url: str, connection: Connection
) -> None:
    if await is_native(connection):
        pytest.skip("only TimescaleDB compresses")
    if await connection.fetchval("SHOW timescaledb.license") != "timescale":
        pytest.skip("this edition does not compress")
    brief, long = [await make_project(connection, days) for days in (7, 365)]
    for project_id in (brief, long):
        await fill(url, project_id, 8, 9)
    await compress(connection)
    again = make_span(9, start_ns=days_ago(8))
    late = make_span(9, span_id="00000000000000ff", start_ns=days_ago(8) + NS)
    outcome = await store(url, long, [again, late])
    assert (outcome.stored, outcome.duplicate) == (1, 1)
    await retention.expire(connection, NOW)
    for table, left in (("spans", [7, 8, 9]), ("span_payloads", [8, 9]), ("findings", [8, 9])):
        assert await ages(connection, table, brief, "start_time") == []
        assert await ages(connection, table, long, "start_time") == left
