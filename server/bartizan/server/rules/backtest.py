"""Runs a rule over stored spans, beside the version that is in force."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from bartizan.plugins.decision import Decision
from bartizan.plugins.judgement import Ask
from bartizan.plugins.rules import Rule
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.judging import contexts_of
from bartizan.server.ingest.taking_over import take_over
from bartizan.server.ingest.texts import Texts
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.live import LiveRules
from bartizan.server.rules.probing import trial
from bartizan.server.rules.tally import Tally
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
        tally = Tally(plan.max_examples)
        in_force = self._rules.by_id.get(plan.rule.id)
        wanted = -(-total // nth)
        told = self._clock()
        pages = self._history.pages(plan.start, plan.end, nth)
        async with self._trials(plan.rule, in_force) as (new, old), aclosing(pages):
            async for spans in pages:
                await self._add(tally, plan.rule, new, old, spans)
                if self._clock() - told >= every_s:
                    told = self._clock()
                    yield State(total, wanted, tally, in_force, done=False)
        yield State(total, tally.done, tally, in_force, done=True)

    @asynccontextmanager
    async def _trials(
        self, rule: Rule, in_force: Rule | None
    ) -> AsyncIterator[tuple[LiveRules, LiveRules | None]]:
        async with AsyncExitStack() as stack:
            new = await stack.enter_async_context(trial(rule, self._rules, self._book))
            old = None
            if in_force is not None:
                old = await stack.enter_async_context(trial(in_force, self._rules, self._book))
            yield new, old

    async def _add(
        self,
        tally: Tally,
        rule: Rule,
        new: LiveRules,
        old: LiveRules | None,
        spans: Sequence[StoredSpan],
    ) -> None:
        traces = {span.key.trace_id for span in spans}
        labels = await self._labels.of_rule(rule.id, traces)
        redacted = await self._labels.redacted(traces)
        for span in spans:
            asked = (span.key.trace_id, span.key.span_id)
            found = await self._judged(new, span, rule.id, tally)
            before = await self._judged(old, span, rule.id, None) if old is not None else ()
            tally.add(span, found, before, labels.get(asked, ()))
            tally.texts_redacted += redacted.get(asked, 0)
            # Others have a turn: nobody waits for a backtest.
            await asyncio.sleep(0)

    async def _judged(
        self, rules: LiveRules, span: StoredSpan, rule_id: str, tally: Tally | None
    ) -> Sequence[Decision]:
        records = [span.record]
        texts, places = Texts().of(records)
        if not texts:
            return ()
        contexts = contexts_of(records) * len(texts)
        judgement = await rules.judge(texts, contexts, Ask(frozenset({rule_id})))
        if tally is not None:
            for report in judgement.reports:
                tally.add_run(report)
        batch = Batch(self._project_id, records, range(1))
        take_over(batch, places, judgement)
        return [one for one in batch.decisions.get(0, ()) if one.rule == rule_id]
