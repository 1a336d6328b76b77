"""Deferred rules look at stored spans in the end, whatever happens on the way."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.recount import assert_all_agrees
from tests.support.ruling import SECRET, Words, add_project
from tests.support.writing import connected, running

from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.native import NativeConverter
from bartizan.server.ingest.pipeline import Pipeline
from bartizan.server.metrics import Metrics
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.deferred import MAX_WAITING, Backlog, DeferredWork
from bartizan.server.rules.keeping import Author, RuleKeeper
from bartizan.server.store.clock import from_ns
from bartizan.server.store.deferred import DeferredCheck, Findings
from bartizan.server.store.engine import Connection, connect
from bartizan.v1 import common_pb2

LATE = {"id": "late", "plugin": "words", "stage": "deferred", "config": {"words": ["odd"]}}
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
async def connection(rules_url: str) -> AsyncIterator[Connection]:
    connection = await connect(rules_url)
    yield connection
    await connection.close()


class Work:
    """A project whose spans are stored by a writer, and the work of its deferred rules."""

    def __init__(
        self, engine: AsyncEngine, url: str, book: RuleBook, project: int, own: Connection
    ) -> None:
        self.engine, self.url, self.book, self.project, self.own = engine, url, book, project, own
        self.registry = CollectorRegistry()
        self.metrics = Metrics(self.registry)
        self.late = self.deferred()

    def deferred(self, is_busy: Callable[[], bool] = lambda: False, **options: Any) -> DeferredWork:
        url, backlog = options.pop("url", self.url), Backlog(self.metrics)
        return DeferredWork(
            url, self.engine, self.book, self.metrics, backlog, is_busy=is_busy, **options
        )

    async def keep(self, *documents: dict[str, Any]) -> None:
        """Makes these the rules of the project."""
        keeper = RuleKeeper(self.engine, self.book, lambda: from_ns(START_NS))
        await keeper.apply(
            Author(self.project, "ada"), documents, prune=True, expected_state="", dry=False
        )

    async def store(self, *contents: str, first: int = 1, **fields: Any) -> None:
        """Stores spans with a user's message each, one to a trace."""
        spans = [
            make_span(trace, name="x", session_id="s", start_ns=START_NS + trace * NS, **fields)
            for trace in range(first, first + len(contents))
        ]
        for span, content in zip(spans, contents, strict=True):
            span.input.add(role=common_pb2.ROLE_USER, content=content)
        now_ns = time.time_ns()
        records = [NativeConverter().record(span, now_ns) for span in spans]
        async with running(self.url) as writer:
            pipeline = Pipeline(Judge(self.book.now), Encoder(1 << 20), writer, time.time_ns)
            await pipeline.submit(Batch(self.project, records, range(len(records))))

    async def found(self) -> list[tuple[int, str, str]]:
        """Returns what rules of the project's own found: number of the trace, rule, category."""
        rows = await self.own.fetch(
            "SELECT trace_id, rule, category FROM findings WHERE project_id = $1"
            " AND rule NOT IN ('house', 'spare') ORDER BY 1, 2",
            self.project,
        )
        return [(row[0].int, row[1], row[2]) for row in rows]

    async def waiting(self) -> int:
        query = "SELECT count(*) FROM deferred_checks WHERE project_id = $1"
        return int(await self.own.fetchval(query, self.project))

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"bartizan_{name}", labels)


@pytest.fixture
async def work(
    rules_engine: AsyncEngine, rules_url: str, book: RuleBook, project: int, connection: Connection
) -> Work:
    await connection.execute("DELETE FROM deferred_checks")
    return Work(rules_engine, rules_url, book, project, connection)


async def test_a_deferred_rule_finds_after_the_write(work: Work) -> None:
    await work.keep(LATE | {"severity": "critical"})
    await work.store("an odd one", "clean", "bad and odd")
    assert (await work.found(), await work.waiting()) == ([], 3)
    assert await work.late.once(work.own) == 3
    assert await work.found() == [(1, "late", "test.word"), (3, "late", "test.word")]
    assert await work.waiting() == 0
    row = await work.own.fetchrow(
        "SELECT * FROM findings WHERE rule = 'late' AND project_id = $1 LIMIT 1", work.project
    )
    assert row is not None
    assert (row["field"], row["severity"]) == (
        "input[0].content",
        common_pb2.SEVERITY_CRITICAL,
    )
    assert row["rule_version"] == work.book.now(work.project).rules.by_id["late"].version
    await assert_all_agrees(work.own, work.project)
    assert work.metric("deferred_spans_total", outcome="judged") == 3
    assert await work.late.once(work.own) == 0


async def test_it_looks_only_where_it_applies(work: Work) -> None:
    await work.keep(LATE | {"where": {"agents": ["bot"], "roles": ["assistant"]}})
    await work.store("odd", agent="other")
    assert await work.waiting() == 0
    await work.store("odd", first=2, agent="bot")
    assert await work.late.once(work.own) == 1
    assert await work.found() == [], "the text is the user's"


async def test_a_sample_is_the_same_before_and_after_the_write(work: Work) -> None:
    await work.keep(LATE | {"sample": 0.5})
    await work.store(*["odd"] * 40)
    waiting = await work.waiting()
    assert 8 <= waiting <= 32
    while await work.late.once(work.own):
        pass
    assert len(await work.found()) == waiting


async def test_a_rule_after_another_looks_where_that_found_something(work: Work) -> None:
    await work.keep(LATE | {"after": ["house"]})
    await work.store("odd", "odd and bad", "bad")
    assert await work.waiting() == 2
    await work.late.once(work.own)
    assert await work.found() == [(2, "late", "test.word")]


async def test_what_had_no_time_is_looked_at_again(work: Work) -> None:
    hurried = LATE | {"stage": "inline", "on_timeout": "defer", "budget_ms": 1}
    hurried["config"] = {"words": ["odd"], "how": "gated"}
    await work.keep(hurried)
    # Equal spans, so that their texts are judged once for both.
    await work.store("odd", "odd", "clean")
    assert (await work.found(), await work.waiting()) == ([], 3)
    looking = asyncio.create_task(work.late.once(work.own))
    asked = len(Words.asked)
    while len(Words.asked) == asked:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    # It has more time now than the millisecond that it had before.
    await asyncio.sleep(0.01)
    assert not looking.done()
    Words.gate.set()
    assert await looking == 3
    assert await work.found() == [(1, "late", "test.word"), (2, "late", "test.word")]


async def test_a_suspended_rule_is_deferred_as_well(work: Work) -> None:
    hurried = LATE | {"stage": "inline", "on_timeout": "defer", "budget_ms": 1}
    hurried["config"] = {"words": ["odd"], "how": "gated"}
    await work.keep(hurried)
    for trace in range(1, 8):
        await work.store("odd", first=trace)
    assert await work.waiting() == 7
    Words.gate.set()
    await work.late.once(work.own)
    assert len(await work.found()) == 7


async def test_redacted_text_is_what_it_sees(work: Work) -> None:
    await work.keep(
        LATE | {"config": {"words": ["secret", "WORD"]}},
        {"id": "redacts", "plugin": "words", "action": "redact", "config": {"words": ["secret"]}},
    )
    await work.store("a secret")
    await work.late.once(work.own)
    assert [one for one in await work.found() if one[1] == "late"] == [(1, "late", "test.word")]
    assert all("secret" not in text.value for text in Words.asked[-3:])


@pytest.mark.parametrize(("on_error", "found"), [("allow", []), ("deny", ["chain.withheld"])])
async def test_a_rule_that_fails_is_done_with_its_span(
    work: Work, on_error: str, found: list[str]
) -> None:
    await work.keep(
        LATE | {"config": {"how": "failing"}, "on_error": on_error, "where": {"roles": ["user"]}},
        LATE | {"id": "other"},
    )
    await work.store("odd")
    assert await work.late.once(work.own) == 1
    told = await work.found()
    assert (1, "other", "test.word") in told
    assert [category for _, rule, category in told if rule == "late"] == found
    assert await work.waiting() == 0


async def test_a_rule_that_is_gone_is_not_missed(work: Work) -> None:
    await work.keep(LATE)
    await work.store("odd")
    await work.keep()
    assert await work.late.once(work.own) == 1
    assert (await work.found(), await work.waiting()) == ([], 0)


async def test_spans_of_one_project_do_not_suffer_from_those_of_another(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Work(work.engine, work.url, work.book, await add_project(work.engine), work.own)
    for one in (work, other):
        await one.keep(LATE)
        await one.store("odd")
    original = work.late._judged

    async def judged(checks: Sequence[DeferredCheck]) -> list[Findings]:
        if checks[0].project_id == work.project:
            raise KeyError(SECRET)
        return await original(checks)

    monkeypatch.setattr(work.late, "_judged", judged)
    with capture_logs() as logs:
        assert await work.late.once(work.own) == 2
    assert (await other.found(), await other.waiting()) == ([(1, "late", "test.word")], 0)
    assert (await work.found(), await work.waiting()) == ([], 1)
    assert [log["error"] for log in logs] == ["KeyError"]
    assert SECRET not in str(logs)


async def test_who_is_stopped_gives_its_spans_back(work: Work) -> None:
    await work.keep(LATE | {"config": {"words": ["odd"], "how": "gated"}})
    await work.store("odd")
    looking = asyncio.create_task(work.late.once(work.own))
    asked = len(Words.asked)
    while len(Words.asked) == asked:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    Words.gate.set()
    assert await work.late.once(work.own) == 1
    assert await work.found() == [(1, "late", "test.word")]


async def test_storing_goes_first(work: Work) -> None:
    await work.keep(LATE)
    await work.store("odd")
    busy = iter([True, True, False, False])
    slept: list[int] = []

    async def sleep(seconds: float) -> None:
        slept.append(await work.waiting())
        if not slept[-1]:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await work.deferred(lambda: next(busy), sleep=sleep).run()
    assert slept == [1, 1, 0]
    assert work.metric("deferred_backlog") == 1
    assert (work.metric("deferred_age_seconds") or 0) > 0


async def test_what_waits_is_told_while_there_is_work(work: Work) -> None:
    await work.keep(LATE)
    await work.store(*["odd"] * 40)
    told: list[float | None] = []

    def is_busy() -> bool:
        told.append(work.metric("deferred_backlog"))
        return False

    async def sleep(seconds: float) -> None:
        if told[-1] == 0:
            raise asyncio.CancelledError

    seconds = iter(range(0, 10_000, 60))
    with pytest.raises(asyncio.CancelledError):
        await work.deferred(is_busy, sleep=sleep, clock=lambda: next(seconds)).run()
    assert told == [40, 24, 8, 0]


async def test_what_is_given_up_is_told(work: Work) -> None:
    await work.keep(LATE)
    await work.store("odd")
    await work.own.execute("UPDATE deferred_checks SET attempts = 5, lease_end = '-infinity'")

    async def sleep(seconds: float) -> None:
        raise asyncio.CancelledError

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await work.deferred(sleep=sleep).run()
    assert await work.waiting() == 0
    assert work.metric("deferred_spans_total", outcome="given_up") == 1
    assert [log["spans"] for log in logs if log["log_level"] == "error"] == [1]


async def test_a_database_that_is_away_is_tried_again(work: Work) -> None:
    tries = 0

    async def sleep(seconds: float) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            raise asyncio.CancelledError

    with capture_logs() as logs, pytest.raises(asyncio.CancelledError):
        await work.deferred(url=NOWHERE, sleep=sleep).run()
    assert logs == []


async def test_a_connection_that_breaks_is_made_anew(work: Work) -> None:
    await work.keep(LATE)
    await work.store("odd")
    broken = False

    def is_busy() -> bool:
        nonlocal broken
        if broken:
            return False
        broken = True
        raise ConnectionResetError

    async def sleep(seconds: float) -> None:
        if not await work.waiting():
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await work.deferred(is_busy, sleep=sleep).run()
    assert await work.found() == [(1, "late", "test.word")]
    async with connected(work.url) as looking:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bartizan deferred'"
        assert await looking.fetchval(query) == 0


def test_what_waits_is_bounded(work: Work) -> None:
    backlog = Backlog(work.metrics)
    assert backlog.has_room(3)
    backlog.tell(MAX_WAITING, 9.0)
    assert not backlog.has_room(3)
    assert work.metric("deferred_spans_total", outcome="passed_over") == 3
    backlog.tell(MAX_WAITING - 1, 9.0)
    assert backlog.has_room(3)
