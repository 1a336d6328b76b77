"""A backtest counts what a rule would have found, beside what the one in force does."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.ruling import Words, add_project
from tests.support.storing import decision, store

from bartizan.plugins.decision import Action, Decision
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.limits import FAILURES_TO_OPEN
from bartizan.server.rules.backtest import Backtest, Plan, State
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.keeping import Author, RuleKeeper
from bartizan.server.rules.reading import parse_rule
from bartizan.server.rules.tally import Heading
from bartizan.server.store import guardrail_rules
from bartizan.server.store.clock import from_ns
from bartizan.server.store.findings import FindingFilter, FindingReader
from bartizan.server.store.history import History
from bartizan.server.store.labels import LabelReader
from bartizan.v1 import common_pb2

START = from_ns(START_NS)
DAY = timedelta(days=1)
EVERYWHERE = 1e9

Span = common_pb2.Span


def span(trace: int, content: str, number: int = 1, **fields: Any) -> Span:
    made = make_span(trace, span_id=f"{number:016x}", name="x", **fields)
    if content:
        made.input.add(role=common_pb2.ROLE_USER, content=content)
    return made


def rule(**document: Any) -> Mapping[str, Any]:
    return {"id": "house", "plugin": "words"} | document


def flagged(
    category: str = "test.word", *, rule: str = "house", start: int = 0, end: int = 3
) -> Decision:
    """Returns what a rule said once, and did nothing about."""
    one = decision(category)
    found = replace(one.finding, start=start, end=end)
    return replace(one, rule=rule, action=Action.FLAG, finding=found)


class Clock:
    """Goes on by a second each time it is asked."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


class Trials:
    """Backtests over the spans of one project."""

    def __init__(self, engine: AsyncEngine, url: str, book: RuleBook, project: int) -> None:
        self.engine, self.url, self.book, self.project = engine, url, book, project

    async def store(
        self, *spans: Span, decisions: Mapping[int, list[Decision]] | None = None
    ) -> None:
        await store(self.url, self.project, spans, decisions)

    async def states(
        self, document: Mapping[str, Any], *, every_s: float = EVERYWHERE, **options: Any
    ) -> list[State]:
        backtest = Backtest(
            self.book,
            self.project,
            History(self.engine, self.project),
            LabelReader(self.engine, self.project),
            Clock(),
        )
        plan = Plan(parse_rule(document, "rule"), START, START + 7 * DAY, 1_000, 10)
        plan = replace(plan, **options)
        return [state async for state in backtest.run(plan, every_s)]

    async def run(self, document: Mapping[str, Any], **options: Any) -> State:
        *_, last = await self.states(document, **options)
        assert last.done
        return last

    async def keep(self, document: Mapping[str, Any]) -> None:
        """Puts a rule in force."""
        keeper = RuleKeeper(self.engine, self.book, lambda: START)
        await keeper.write(Author(self.project, "ada"), document, may=lambda before: None)

    async def label(self, right: bool, **wanted: Any) -> None:
        reader = FindingReader(self.engine, self.project)
        for row in await reader.newest(FindingFilter(**wanted), None, 100):
            await reader.label(row, right, "ada", START)


@pytest.fixture
def trials(rules_engine: AsyncEngine, rules_url: str, book: RuleBook, project: int) -> Trials:
    return Trials(rules_engine, rules_url, book, project)


async def test_what_is_counted(trials: Trials) -> None:
    await trials.store(
        span(1, "bad odd", agent="a"),
        span(2, "odd", agent="a", start_ns=START_NS + 86_400 * NS),
        span(3, "bad", agent="b", start_ns=START_NS + 86_400 * NS),
        span(4, "clean", agent="b"),
        span(5, ""),
        span(6, "odd", start_ns=START_NS + 8 * 86_400 * NS),
    )
    state = await trials.run(rule(config={"words": ["odd"], "category": "test.odd"}))
    tally = state.tally
    assert (state.total, state.wanted, tally.done, tally.without_texts) == (5, 5, 5, 1)
    assert (tally.hits, tally.both, tally.only_new, tally.only_in_force) == (2, 1, 1, 1)
    assert tally.by_category == {"test.odd": Heading(2, 2, 0), "test.word": Heading(0, 0, 2)}
    assert tally.by_agent == {"a": Heading(2, 2, 1), "b": Heading(0, 0, 1)}
    days = [START.date().isoformat(), (START + DAY).date().isoformat()]
    assert tally.by_day == {days[0]: Heading(1, 1, 1), days[1]: Heading(1, 1, 1)}
    assert tally.texts == 4 + 5 + 2 * 2  # messages, names, agents
    assert len(tally.latencies_s) == 5


async def test_examples_name_the_version_that_found(trials: Trials) -> None:
    await trials.store(span(1, "odd"), span(2, "bad"))
    document = rule(stage="deferred", sample=0.5, mode="shadow", config={"words": ["odd"]})
    state = await trials.run(document)
    [new], [old] = state.tally.examples_new, state.tally.examples_in_force
    assert new.found.rule_version == parse_rule(document, "rule").version
    assert state.in_force is not None
    assert old.found.rule_version == state.in_force.version
    assert (new.span.key.trace_id.int, old.span.key.trace_id.int) == (1, 2)
    assert (new.found.field, new.found.finding.start) == ("input[0].content", 0)


async def test_one_example_of_each_trace(trials: Trials) -> None:
    spans = [span(trace, "odd", number) for trace in (1, 2, 3) for number in (1, 2)]
    await trials.store(*spans)
    state = await trials.run(rule(config={"words": ["odd"]}), max_examples=2)
    assert state.tally.only_new == 6
    traces = [one.span.key.trace_id.int for one in state.tally.examples_new]
    assert len(traces) == len(set(traces)) == 2


async def test_the_rules_of_the_project_are_those_in_force(trials: Trials) -> None:
    await trials.store(span(1, "odd"))
    await trials.keep(rule(config={"words": ["odd"]}))
    state = await trials.run(rule(config={"words": ["odd"]}, threshold=0.5))
    assert (state.tally.both, state.tally.only_new) == (1, 0)


async def test_a_new_rule_stands_beside_nothing(trials: Trials) -> None:
    await trials.store(span(1, "bad"))
    state = await trials.run(rule(id="new"))
    assert state.in_force is None
    assert (state.tally.only_new, state.tally.both) == (1, 0)


async def test_a_combination_is_tried_with_the_members_in_force(trials: Trials) -> None:
    await trials.store(span(1, "bad"), span(2, "clean"))
    state = await trials.run({"id": "new", "when": {"all": ["house", "spare"]}})
    assert state.tally.only_new == 1
    with pytest.raises(ConfigError, match="names a rule 'gone'"):
        await trials.run({"id": "new", "when": {"all": ["house", "gone"]}})


async def test_where_a_rule_applies(trials: Trials) -> None:
    await trials.store(
        span(1, "bad", agent="a"), span(2, "bad", agent="b"), span(3, "bad", tags=["t"])
    )
    for where, hits in (({"agents": ["a"]}, 1), ({"tags": ["t"]}, 1), ({"roles": ["system"]}, 0)):
        assert (await trials.run(rule(id="new", where=where))).tally.hits == hits


async def test_a_broken_rule_in_force_does_not_stop_the_test_of_a_better_one(
    trials: Trials, book: RuleBook
) -> None:
    await trials.store(span(1, "bad"))
    document = rule(config={"how": "no start"})
    async with trials.engine.begin() as connection:
        broken = StoredRule(trials.project, "house", 0, "v", document, False, "key", START)
        await guardrail_rules.lock(connection)
        await guardrail_rules.insert(connection, broken)
    await book.poll_own()
    assert set(book.problems(trials.project)) == {"house"}
    state = await trials.run(rule())
    assert (state.in_force, state.tally.hits) == (None, 1)


async def test_labels_estimate_false_alarms(trials: Trials) -> None:
    await trials.store(
        span(1, "bad"),
        span(2, "bad"),
        span(3, "a bad one"),
        span(4, "missed"),
        decisions={
            0: [flagged(end=3)],
            1: [flagged(end=3)],
            2: [flagged(start=3, end=9)],
            3: [flagged(end=6)],
        },
    )
    await trials.label(True)
    await trials.label(False, trace_id=UUID(int=2))
    tally = (await trials.run(rule())).tally
    assert dict(tally.labelled) == {True: 2, False: 1}
    assert tally.right_missed == 1
    await trials.label(False, trace_id=UUID(int=4))
    tally = (await trials.run(rule())).tally
    assert dict(tally.labelled) == {True: 2, False: 1}
    assert tally.right_missed == 0


async def test_labels_of_other_rules_and_categories_do_not_count(trials: Trials) -> None:
    other, foreign = flagged(rule="other"), flagged("pii.mail")
    await trials.store(span(1, "bad"), span(2, "bad"), decisions={0: [other], 1: [foreign]})
    await trials.label(True)
    tally = (await trials.run(rule())).tally
    assert tally.labelled.total() == 0
    assert tally.right_missed == 1


async def test_what_was_redacted_is_counted_and_not_missed(trials: Trials) -> None:
    redacted = replace(decision("test.word"), rule="house")
    metadata = replace(decision("test.word", field="name"), rule="other")
    watched = decision("test.word", field="output[0].content", shadow=True)
    await trials.store(span(1, "[WORD]"), decisions={0: [redacted, redacted, metadata, watched]})
    await trials.label(True, rule="house")
    tally = (await trials.run(rule())).tally
    assert tally.texts_redacted == 2
    assert tally.right_missed == 0


async def test_a_rule_that_fails_finds_nothing_and_is_counted(trials: Trials) -> None:
    count = FAILURES_TO_OPEN + 3
    await trials.store(*(span(number, "bad") for number in range(1, count + 1)))
    state = await trials.run(rule(config={"how": "failing"}, action="redact"))
    tally = state.tally
    assert (tally.hits, tally.only_in_force) == (0, count)
    assert tally.texts_failed == tally.texts == 2 * count
    assert len(tally.latencies_s) == FAILURES_TO_OPEN
    assert set(tally.by_category) == {"test.word"}


async def test_no_more_spans_are_looked_at_than_was_said(trials: Trials) -> None:
    spans = [span(trace, "bad", number) for trace in range(1, 21) for number in (1, 2, 3)]
    await trials.store(*spans)
    for most in (1, 7, 59, 60, 61):
        state = await trials.run(rule(), max_spans=most)
        assert state.total == 60
        assert state.tally.done <= most
        assert state.wanted == state.tally.done
    assert (await trials.run(rule(), max_spans=60)).tally.done == 60


async def test_how_far_it_has_come_is_told(trials: Trials) -> None:
    await trials.store(*(span(number, "bad") for number in range(1, 7)))
    states = await trials.states(rule(), every_s=2)
    assert [state.done for state in states] == [False] * (len(states) - 1) + [True]
    assert len(states) > 2
    assert all(state.wanted == 6 for state in states)


async def test_a_backtest_that_nobody_reads_to_its_end_lets_go(trials: Trials) -> None:
    await trials.store(*(span(number, "bad") for number in range(1, 7)))
    before = Words.open
    history = History(trials.engine, trials.project)
    labels = LabelReader(trials.engine, trials.project)
    backtest = Backtest(trials.book, trials.project, history, labels, Clock())
    plan = Plan(parse_rule(rule(config={"words": ["zebra"]}), "r"), START, START + DAY, 10, 1)
    states = backtest.run(plan, 0)
    assert not (await anext(states)).done
    assert Words.open == before + 1
    await states.aclose()
    assert Words.open == before


async def test_nobody_tests_on_the_spans_of_others(
    trials: Trials, rules_engine: AsyncEngine, rules_url: str, book: RuleBook
) -> None:
    await trials.store(span(1, "bad"))
    stranger = Trials(rules_engine, rules_url, book, await add_project(rules_engine))
    state = await stranger.run(rule())
    assert (state.total, state.tally.done) == (0, 0)


async def test_nothing_is_counted_by_the_metrics(trials: Trials, book: RuleBook) -> None:
    await trials.store(span(1, "bad"))
    await trials.run(rule())
    seen = [
        sample for metric in book.counted._metrics.findings.collect() for sample in metric.samples
    ]
    assert seen == []
