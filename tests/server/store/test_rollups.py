"""A fold moves counts and changes none, whoever else folds or writes meanwhile."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.database import Databases, project_ids
from tests.support.recount import LEVELS, assert_all_agrees, latencies, rollups
from tests.support.storing import decision, prepared, store
from tests.support.writing import connected, running

from bartizan.server.ingest.checks import MAX_LENGTH
from bartizan.server.ingest.latency import quantile
from bartizan.server.store.engine import Connection
from bartizan.server.store.rollups import FOLD_LOCK, fold
from bartizan.v1 import common_pb2

DAY_NS = 86_400 * NS
WORDS = st.sampled_from(["", "one", "two"])

Span = common_pb2.Span


@pytest.fixture(scope="module")
async def url(databases: Databases) -> AsyncIterator[str]:
    """A database whose deltas nobody else folds."""
    url = await databases.create()
    yield url
    await databases.drop(url)


@pytest.fixture(scope="module")
async def connection(url: str) -> AsyncIterator[Connection]:
    async with connected(url) as connection:
        yield connection


@st.composite
def some_spans(draw: st.DrawFn) -> list[Span]:
    def span(number: int) -> Span:
        start_ns = START_NS + draw(st.sampled_from([0, 59 * NS, 61 * NS, 3_600 * NS, DAY_NS]))
        span = make_span(
            number,
            start_ns=start_ns,
            parent_span_id=draw(st.sampled_from(["", "00000000000000aa"])),
            kind=draw(st.integers(0, 2)),
            status=draw(st.integers(0, 2)),
            agent=draw(WORDS),
            model=draw(WORDS),
            usage=common_pb2.TokenUsage(input=draw(st.integers(0, 5)), output=2),
            cost=common_pb2.Cost(amount=draw(st.integers(0, 5))),
        )
        span.end_time.FromNanoseconds(start_ns + draw(st.integers(0, 2_000 * NS)))
        return span

    return [span(number) for number in range(1, draw(st.integers(2, 8)))]


async def fold_all(connection: Connection, max_deltas: int = 1_000) -> int:
    folded = 0
    while found := await fold(connection, max_deltas):
        assert found <= max_deltas
        folded += found
    return folded


async def deltas(connection: Connection, project_id: int) -> int:
    query = "SELECT count(*) FROM rollup_deltas WHERE project_id = $1"
    return int(await connection.fetchval(query, project_id))


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(some_spans(), min_size=1, max_size=3), st.integers(1, 5))
async def test_folding_changes_no_sum_at_any_level(
    url: str, connection: Connection, sent: list[list[Span]], max_deltas: int
) -> None:
    project_id = next(project_ids)
    for number, spans in enumerate(sent):
        # Late ones too: they come to minutes that are folded already.
        for span in spans:
            span.trace_id = f"{number + 1:02x}{span.trace_id[2:]}"
        await store(url, project_id, spans, {0: [decision("pii.person")]})
        await assert_all_agrees(connection, project_id)
        await fold(connection, max_deltas)
        await assert_all_agrees(connection, project_id)
    await fold_all(connection)
    assert await deltas(connection, project_id) == 0
    await assert_all_agrees(connection, project_id)


async def test_nothing_to_fold(connection: Connection) -> None:
    await fold_all(connection)
    assert await fold(connection) == 0


async def test_only_one_folds_at_a_time(url: str, connection: Connection, project_id: int) -> None:
    await store(url, project_id, [make_span(n, agent=f"a{n}") for n in range(1, 30)])
    async with connected(url) as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", FOLD_LOCK)
        assert await fold(connection) == 0
    async with connected(url) as other:
        folded = await asyncio.gather(*(fold_all(c, 3) for c in (connection, other)))
    assert sum(folded) >= 29 - 3
    await fold_all(connection)
    await assert_all_agrees(connection, project_id)


async def test_a_fold_that_is_undone_changes_nothing(
    url: str, connection: Connection, project_id: int
) -> None:
    await store(url, project_id, [make_span(n, agent=f"a{n}") for n in range(1, 5)])
    with contextlib.suppress(ZeroDivisionError):
        async with connection.transaction():
            assert await fold(connection) == 4
            raise ZeroDivisionError
    assert await deltas(connection, project_id) == 4
    await assert_all_agrees(connection, project_id)
    await fold_all(connection)
    await assert_all_agrees(connection, project_id)


async def test_sums_are_exact_at_every_instant_of_a_fold_under_load(
    url: str, connection: Connection, project_id: int
) -> None:
    """Reads of both parts in one statement see each span once, however far the fold is."""
    done = asyncio.Event()

    async def write() -> None:
        async with running(url, group_spans=5) as writer:
            while writer.problem:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            batches = [[make_span(n), make_span(n + 500)] for n in range(1, 60)]
            await asyncio.gather(*(writer.enqueue(prepared(project_id, b)) for b in batches))
        done.set()

    async def keep_folding() -> None:
        async with connected(url) as folding:
            while not done.is_set():
                await fold(folding, 3)

    async def keep_looking() -> None:
        async with connected(url) as looking:
            while not done.is_set():
                async with looking.transaction(isolation="repeatable_read", readonly=True):
                    query = "SELECT count(*) FROM spans WHERE project_id = $1"
                    stored = await looking.fetchval(query, project_id)
                    for level in LEVELS:
                        counts = await rollups(looking, project_id, level)
                        assert sum(c["span_count"] for c in counts.values()) == stored

    await asyncio.gather(write(), keep_folding(), keep_folding(), keep_looking())
    await fold_all(connection)
    await assert_all_agrees(connection, project_id)


async def test_the_widest_dimensions_stop_no_fold(
    url: str, connection: Connection, project_id: int
) -> None:
    """One sender's long names must not keep everybody's counts from being folded."""

    def wide(seed: int, length: int) -> str:
        # Letters that do not compress.
        return "".join(chr(0x4E00 + (seed * 7_919 + n * n * 31) % 20_000) for n in range(length))

    names = ("agent", "environment", "model", "provider", "machine", "workspace",
             "tool_name", "error_type")  # fmt: skip
    for seed in (1, 2):
        fields: dict[str, Any] = {
            name: wide(seed + n, MAX_LENGTH[name]) for n, name in enumerate(names)
        }
        await store(url, project_id, [make_span(seed, **fields), make_span(seed + 10, **fields)])
    await store(url, project_id, [make_span(20)])
    await fold_all(connection)
    assert await deltas(connection, project_id) == 0
    await assert_all_agrees(connection, project_id)
    query = "SELECT count(*) FROM dimension_sets WHERE project_id = $1"
    assert await connection.fetchval(query, project_id) == 3


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 30 * DAY_NS), min_size=1, max_size=40))
async def test_percentiles_are_within_a_hundredth(
    url: str, connection: Connection, durations: Sequence[int]
) -> None:
    project_id = next(project_ids)
    spans = [make_span(n) for n in range(1, len(durations) + 1)]
    for span, duration in zip(spans, durations, strict=True):
        span.end_time.FromNanoseconds(START_NS + duration)
    half = len(spans) // 2
    for part in filter(None, (spans[:half], spans[half:])):
        await store(url, project_id, part)
        await fold_all(connection)
    for level in LEVELS:
        counts: Counter[int] = Counter()
        for (_, bucket), found in (await latencies(connection, project_id, level)).items():
            counts[bucket] += found
        for q in (0.0, 0.5, 0.95, 0.99, 1.0):
            exact = sorted(durations)[math.floor(q * (len(durations) - 1))]
            near = quantile(counts, q)
            assert near is not None
            assert abs(near - exact) <= exact * 0.01 + 1
