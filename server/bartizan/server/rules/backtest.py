"""Runs a rule over stored spans, beside the version that is in force."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from bartizan.plugins.decision import Decision
from bartizan.plugins.errors import BartizanError
from bartizan.plugins.judgement import Ask
from bartizan.plugins.rules import Rule
from bartizan.plugins.said import WITHHELD_CATEGORY
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.judging import contexts_of
from bartizan.server.ingest.taking_over import take_over
from bartizan.server.ingest.texts import Texts
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.live import LiveRules
from bartizan.server.rules.probing import trial
from bartizan.server.rules.tally import Label, Tally
from bartizan.server.store.history import History, StoredSpan
from bartizan.server.store.labels import LabelReader

ROUGHLY_NTH = 1_000_000
"""Traces are told apart by so many numbers: no coarser choice can be made."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to look at: spans of traces that began from `start` to before `end`."""

    rule: Rule
    start: datetime
    end: datetime
    max_spans: int
    max_examples: int


@dataclass(frozen=True, slots=True)
class State:
    """How far it has come."""

    total: int
    wanted: int
    tally: Tally
    in_force: Rule | None
    done: bool


@dataclass(frozen=True, slots=True)
class _Tried:
    """A version of the rule, ready to judge."""

    rule: Rule
    live: LiveRules


class Backtest:
    """One run over the history of one project."""

    def __init__(
        self,
        book: RuleBook,
        project_id: int,
        history: History,
        labels: LabelReader,
        clock: Callable[[], float],
    ) -> None:
        """Makes it. `clock` tells seconds, from whenever."""
        self._book = book
        self._rules = book.now(project_id).rules
        self._project_id = project_id
        self._history = history
        self._labels = labels
        self._clock = clock

    async def run(self, plan: Plan, every_s: float) -> AsyncGenerator[State, None]:
        """Yields the state every so often, and the last one with `done`. Raises ConfigError."""
        total = await self._history.total(plan.start, plan.end)
        nth = min(ROUGHLY_NTH, max(1, -(-total // plan.max_spans)))
        wanted = min(plan.max_spans, -(-total // nth))
        tally = Tally(plan.max_examples)
        told = self._clock()
        async with self._trials(plan.rule) as (new, old):
            in_force = None if old is None else old.rule
            async with aclosing(self._labelled(plan, nth)) as spans:
                async for span, labels, redacted in spans:
                    found = await self._judged(new, span, tally)
                    before = await self._judged(old, span, None) if old is not None else ()
                    tally.add(span, found, before, labels)
                    tally.texts_redacted += redacted
                    if self._clock() - told >= every_s:
                        told = self._clock()
                        yield State(total, wanted, tally, in_force, done=False)
                    # Others have a turn: nobody waits for a backtest.
                    await asyncio.sleep(0)
        yield State(total, tally.done, tally, in_force, done=True)

    @asynccontextmanager
    async def _trials(self, rule: Rule) -> AsyncIterator[tuple[_Tried, _Tried | None]]:
        in_force = self._rules.by_id.get(rule.id)
        async with AsyncExitStack() as stack:
            live = await stack.enter_async_context(trial(rule, self._rules, self._book))
            old = None if in_force is None else await self._in_force(in_force, stack)
            yield _Tried(rule, live), old

    async def _in_force(self, rule: Rule, stack: AsyncExitStack) -> _Tried | None:
        try:
            live = await stack.enter_async_context(trial(rule, self._rules, self._book))
        except BartizanError:
            # It is broken, which its `problem` tells, and a better one is being tried.
            return None
        return _Tried(rule, live)

    async def _labelled(
        self, plan: Plan, nth: int
    ) -> AsyncGenerator[tuple[StoredSpan, Sequence[Label], int], None]:
        """Yields the spans to look at, with their labels and how many texts were redacted."""
        left = plan.max_spans
        async with aclosing(self._history.pages(plan.start, plan.end, nth)) as pages:
            async for page in pages:
                traces = {span.key.trace_id for span in page}
                redacted = await self._labels.redacted(traces)
                labels = await self._labels.of_rule(plan.rule.id, traces, redacted)
                for span in page[:left]:
                    key = (span.key.trace_id, span.key.span_id)
                    yield span, labels.get(key, ()), len(redacted.get(key, ()))
                left -= len(page)
                if left <= 0:
                    return

    async def _judged(
        self, tried: _Tried, span: StoredSpan, tally: Tally | None
    ) -> Sequence[Decision]:
        records = [span.record]
        texts, places = Texts().of(records)
        if not texts:
            return ()
        contexts = contexts_of(records) * len(texts)
        judgement = await tried.live.judge(texts, contexts, Ask(frozenset({tried.rule.id})))
        if tally is not None:
            for report in judgement.reports:
                tally.add_run(report)
        batch = Batch(self._project_id, records, range(1))
        take_over(batch, places, judgement)
        # What it could not judge is counted as that: it is no finding.
        decided = batch.decisions.get(0, ())
        return [one for one in decided if one.finding.category != WITHHELD_CATEGORY]
