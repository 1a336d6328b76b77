"""What one transaction makes of new spans, copies, refused ones and mixtures of all three."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.database import Databases, project_ids
from tests.support.recount import assert_all_agrees
from tests.support.storing import decision, prepared
from tests.support.writing import connected, holdings, ledger, running

from bartizan.server.ingest.batch import Outcome, Refused
from bartizan.server.ingest.group import Group, Pending
from bartizan.server.store import writing
from bartizan.server.store.engine import Connection, connect
from bartizan.server.store.partitions import Partitions, weeks_of
from bartizan.v1 import common_pb2, trace_pb2

ON_A_DATABASE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
WEEK_NS = 7 * 86_400 * NS
POISON = "poison"
WORDS = st.sampled_from(["", "one", "two"])

Span = common_pb2.Span


@pytest.fixture(scope="module")
async def picky_url(databases: Databases) -> AsyncIterator[str]:
    """A database that refuses every span with a certain name."""
    url = await databases.create()
    async with connected(url) as connection:
        await connection.execute(
            f"ALTER TABLE spans ADD CONSTRAINT picky CHECK (name <> '{POISON}')"
        )
    yield url
    await databases.drop(url)


@pytest.fixture(scope="module")
async def connection(picky_url: str) -> AsyncIterator[Connection]:
    connection = await connect(picky_url)
    await writing.configure(connection)
    yield connection
    await connection.close()


async def store_group(
    connection: Connection, pending: Sequence[Pending], **options: bool
) -> list[Outcome]:
    """Writes batches in one transaction."""
    times = [span.record.start_ns for batch in pending for span in batch.spans]
    await Partitions().ensure(connection, weeks_of(times))
    return await Group(connection, pending, **options).store(isolate=False)


@st.composite
def some_spans(draw: st.DrawFn) -> list[Span]:
    return [
        make_span(
            draw(st.integers(1, 2)),
            span_id=f"{number + 0x7FFF_FFFF_FFFF_FFFE:016x}",
            parent_span_id=draw(st.sampled_from(["", "00000000000000aa"])),
            start_ns=START_NS + draw(st.integers(0, 200)) * NS + draw(st.integers(0, 999)),
            kind=draw(st.integers(0, 3)),
            status=draw(st.sampled_from([0, 1, 2])),
            agent=draw(WORDS),
            model=draw(WORDS),
            session_id=draw(WORDS),
            user_id=draw(WORDS),
            tags=draw(st.lists(WORDS, max_size=2)),
            usage=common_pb2.TokenUsage(
                input=draw(st.integers(0, 9)), output=draw(st.integers(0, 9))
            ),
            cost=common_pb2.Cost(amount=draw(st.integers(0, 9))),
            input=[common_pb2.Message(role=common_pb2.ROLE_USER, content="first")],
        )
        for number in range(draw(st.integers(1, 6)))
    ]


SHIFTS = (0, 1, 999, 1_000, NS, -NS, 3600 * NS, WEEK_NS, -WEEK_NS, 3 * WEEK_NS)


@st.composite
def copies(draw: st.DrawFn, spans: list[Span]) -> list[Span]:
    """Spans with the ids of others, at other times and with other content."""
    result = []
    for span in draw(st.lists(st.sampled_from(spans), min_size=1, max_size=6)):
        shift = draw(st.sampled_from(SHIFTS))
        copy = make_span(
            0,
            trace_id=span.trace_id,
            span_id=span.span_id,
            start_ns=span.start_time.ToNanoseconds() + shift,
            name=draw(WORDS),
            session_id=draw(WORDS),
            status=draw(st.sampled_from([0, 1, 2])),
            agent=draw(WORDS),
            usage=common_pb2.TokenUsage(input=7),
            input=[common_pb2.Message(role=common_pb2.ROLE_USER, content="second")],
        )
        result.append(copy)
    return result


def split(data: st.DataObject, spans: list[Span]) -> list[list[Span]]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(spans)), max_size=2)))
    return [spans[a:b] for a, b in zip([0, *cuts], [*cuts, len(spans)], strict=True)]


@settings(ON_A_DATABASE, max_examples=30)
@given(some_spans(), st.data())
async def test_copies_change_nothing_whatever_they_hold(
    connection: Connection, spans: list[Span], data: st.DataObject
) -> None:
    project_id = next(project_ids)
    decisions = {0: [decision("pii.person")]}
    first = [prepared(project_id, batch, decisions) for batch in split(data, spans) if batch]
    await store_group(connection, first)
    before = await holdings(connection, project_id)
    await assert_all_agrees(connection, project_id)
    for _ in range(2):
        again = data.draw(copies(spans))
        batches = [prepared(project_id, batch, decisions) for batch in split(data, again)]
        outcomes = await store_group(connection, batches, thorough=data.draw(st.booleans()))
        assert outcomes == [Outcome(duplicate=len(batch.spans)) for batch in batches]
    assert await holdings(connection, project_id) == before


@settings(ON_A_DATABASE, max_examples=30)
@given(some_spans(), st.data())
async def test_the_first_copy_in_a_group_is_the_one_that_is_stored(
    connection: Connection, spans: list[Span], data: st.DataObject
) -> None:
    project_id = next(project_ids)
    sent = [*spans, *data.draw(copies(spans))]
    batches = split(data, sent)
    seen: set[str] = set()
    expected = []
    for batch in batches:
        new = {span.span_id for span in batch} - seen
        seen |= new
        expected.append(Outcome(stored=len(new), duplicate=len(batch) - len(new)))
    assert (
        await store_group(connection, [prepared(project_id, batch) for batch in batches])
        == expected
    )
    await assert_all_agrees(connection, project_id)
    stored = await holdings(connection, project_id, ["span_payloads"])
    assert len(stored["span_payloads"]) == len(spans)
    assert all("first" in str(row) for row in stored["span_payloads"])


@st.composite
def mixtures(draw: st.DrawFn) -> list[list[tuple[list[Span], int]]]:
    """Groups of batches of spans of three ids each, some of them poisonous, with rejections."""
    batch = st.tuples(
        st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=4), st.integers(0, 2)
    )
    groups = draw(st.lists(st.lists(batch, min_size=1, max_size=3), min_size=1, max_size=3))
    return [
        [
            (
                [
                    make_span(n % 2 + 1, span_id=f"{n:016x}", name=POISON if bad else "chat")
                    for n, bad in numbered
                ],
                rejected,
            )
            for numbered, rejected in group
        ]
        for group in groups
    ]


class Model:
    """What the promises say becomes of spans."""

    def __init__(self) -> None:
        self.stored: set[str] = set()
        self.quarantined: set[str] = set()

    def group(self, batches: list[list[Span]]) -> list[Outcome]:
        """Returns what becomes of the batches of one transaction."""
        fate: dict[str, str] = {}
        outcomes = []
        for batch in batches:
            counts: Counter[str] = Counter()
            for span in batch:
                first = span.span_id not in fate
                if first:
                    fate[span.span_id] = self._fate(span)
                counts[fate[span.span_id] if first else "duplicate"] += 1
            outcomes.append(Outcome(**counts))
        return outcomes

    def _fate(self, span: Span) -> str:
        if span.span_id in self.stored or (
            span.name == POISON and span.span_id in self.quarantined
        ):
            return "duplicate"
        kept, fate = (
            (self.quarantined, "quarantined") if span.name == POISON else (self.stored, "stored")
        )
        kept.add(span.span_id)
        return fate


def refused(index: int) -> Refused:
    return Refused(index, trace_pb2.REJECT_REASON_MISSING, "trace_id", "is required")


@settings(ON_A_DATABASE, max_examples=20)
@given(mixtures())
async def test_the_ledger_balances_for_every_mixture(
    picky_url: str, connection: Connection, groups: list[list[tuple[list[Span], int]]]
) -> None:
    project_id, model = next(project_ids), Model()
    totals: Counter[str] = Counter()
    async with running(picky_url) as writer:
        for group in groups:
            expected = model.group([spans for spans, _ in group])
            waiting = []
            for spans, rejected in group:
                pending = prepared(project_id, spans)
                pending.batch.refused = [refused(n) for n in range(rejected)]
                waiting.append(writer.enqueue(pending))
                totals.update(received=len(spans) + rejected, rejected=rejected)
            # Enqueued without a pause, they are one group.
            outcomes = await asyncio.gather(*waiting)
            assert outcomes == expected
            for outcome in outcomes:
                totals.update({name: getattr(outcome, name) for name in Outcome.__slots__})
    assert await ledger(connection, project_id) == +totals
    parts = ("stored", "duplicate", "rejected", "quarantined")
    assert totals["received"] == sum(totals[name] for name in parts)
    found = await holdings(connection, project_id, ["spans", "quarantine"])
    assert len(found["spans"]) == len(model.stored)
    assert len(found["quarantine"]) == len(model.quarantined)
    await assert_all_agrees(connection, project_id)


async def test_a_refused_span_is_set_aside_whole_and_redacted(
    picky_url: str, connection: Connection, project_id: int
) -> None:
    bad = make_span(
        1,
        span_id=f"{5:016x}",
        name=POISON,
        user_id="user \u00e9",
        input=[common_pb2.Message(role=common_pb2.ROLE_USER, content="[EMAIL_ADDRESS] \u4e2d")],
    )
    good = [make_span(1, span_id=f"{n:016x}") for n in range(1, 4)]
    async with running(picky_url) as writer:
        outcome = await writer.enqueue(prepared(project_id, [*good[:2], bad, good[2]]))
        assert outcome == Outcome(stored=3, quarantined=1)
        assert await writer.enqueue(prepared(project_id, [bad])) == Outcome(duplicate=1)
    (row,) = await connection.fetch("SELECT * FROM quarantine WHERE project_id = $1", project_id)
    assert (row["reason"], row["span_id"], row["trace_id"].int) == ("23514", 5, 1)
    assert row["document"].isascii()
    document: dict[str, Any] = json.loads(row["document"])
    assert (document["name"], document["user_id"]) == (POISON, "user \u00e9")
    assert document["input"] == [{"role": "user", "content": "[EMAIL_ADDRESS] \u4e2d"}]
    assert (document["trace_id"], document["span_id"]) == (bad.trace_id, bad.span_id)


async def test_a_span_that_was_refused_once_can_be_stored_later(
    picky_url: str, connection: Connection, project_id: int
) -> None:
    async with running(picky_url) as writer:
        bad, mended = (make_span(1, name=name) for name in (POISON, "chat"))
        assert await writer.enqueue(prepared(project_id, [bad])) == Outcome(quarantined=1)
        assert await writer.enqueue(prepared(project_id, [mended])) == Outcome(stored=1)
        assert await writer.enqueue(prepared(project_id, [bad])) == Outcome(duplicate=1)
    await assert_all_agrees(connection, project_id)


async def test_a_copy_of_what_outlived_its_summary_is_no_news_and_no_poison(
    picky_url: str, connection: Connection, project_id: int
) -> None:
    spans = [make_span(1, span_id=f"{n:016x}") for n in range(1, 6)]
    async with running(picky_url) as writer:
        await writer.enqueue(prepared(project_id, spans))
        await connection.execute("DELETE FROM traces WHERE project_id = $1", project_id)
        before = await holdings(connection, project_id)
        # The first brings a key that is there already, the second another refusal beside it.
        assert await writer.enqueue(prepared(project_id, spans)) == Outcome(duplicate=5)
        bad = make_span(2, name=POISON)
        outcome = await writer.enqueue(prepared(project_id, [*spans, bad]))
        assert outcome == Outcome(duplicate=5, quarantined=1)
    after = await holdings(connection, project_id)
    assert len(after.pop("quarantine")) == 1
    assert before.pop("quarantine") == []
    assert after == before


async def test_other_projects_have_their_own_spans_with_the_same_ids(
    connection: Connection,
) -> None:
    mine, theirs = next(project_ids), next(project_ids)
    span = make_span(1, session_id="s")
    pending = [prepared(mine, [span]), prepared(theirs, [span]), prepared(mine, [span])]
    outcomes = await store_group(connection, pending)
    assert outcomes == [Outcome(stored=1), Outcome(stored=1), Outcome(duplicate=1)]
    for project_id in (mine, theirs):
        await assert_all_agrees(connection, project_id)
        assert (await ledger(connection, project_id))["stored"] == 1


async def test_a_group_of_very_many_projects_is_announced(
    picky_url: str, connection: Connection
) -> None:
    projects = range(2_000_000_000, 2_000_001_000)
    pending = [prepared(project_id, [make_span(1)]) for project_id in projects]
    heard: list[str] = []
    async with connected(picky_url) as listening:
        await listening.add_listener("bartizan_commits", lambda *said: heard.append(str(said[3])))
        outcomes = await store_group(connection, pending)
        await listening.execute("SELECT 1")
        await listening.reset()
    assert outcomes == [Outcome(stored=1)] * 1_000
    told = [int(number) for said in heard for number in said.partition(":")[2].split(",")]
    assert sorted(told) == list(projects)
