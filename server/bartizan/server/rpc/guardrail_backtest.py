"""Backtests of rules over the stored spans of the caller's project."""

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.plugins.decision import Decision
from bartizan.plugins.errors import InvalidArgument
from bartizan.plugins.rules import Rule
from bartizan.plugins.statistics import quantile, wilson
from bartizan.server.checking.room import Room
from bartizan.server.ingest.enums import ACTIONS, SEVERITIES, VERDICTS
from bartizan.server.rpc import rule_messages, trace_filters, trace_names
from bartizan.server.rpc.call import Call
from bartizan.server.rules.backtest import Backtest, Plan, State
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.probing import warnings_of
from bartizan.server.rules.reading import parse_rule
from bartizan.server.rules.tally import Example, Heading
from bartizan.server.store.clock import MIN_TIME
from bartizan.server.store.history import History
from bartizan.server.store.labels import LabelReader
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

DEFAULT_WINDOW = timedelta(days=7)
DEFAULT_SPANS = 100_000
MAX_SPANS = 1_000_000
DEFAULT_EXAMPLES = 10
MAX_EXAMPLES = 100
MAX_HEADINGS = 100
MAX_RUNS = 2
"""At once in one process: they take what the processor has to give."""
EVERY_S = 1.0


class Backtests:
    """What GuardrailService does about backtests. A key reaches its own project's spans."""

    def __init__(self, engine: AsyncEngine, book: RuleBook, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._book = book
        self._clock = clock
        self._room = Room(MAX_RUNS, "server.backtests")

    async def run(
        self, request: pb.BacktestRuleRequest, call: Call
    ) -> AsyncGenerator[pb.BacktestRuleResponse, None]:
        """Yields how far it has come; raises InvalidArgument, ConfigError, NotFound, Overloaded."""
        caller = call.principal
        trace_names.check_parent(request.parent, caller)
        rule = parse_rule(rule_messages.document(request.document), "document")
        plan = self._plan(request, rule)
        others = self._book.now(caller.project_id).rules
        with self._room.taken(1):
            warnings = await warnings_of(rule, others, self._book)
            history = History(self._engine, caller.project_id)
            labels = LabelReader(self._engine, caller.project_id)
            backtest = Backtest(self._book, caller.project_id, history, labels, time.monotonic)
            async with aclosing(backtest.run(plan, EVERY_S)) as states:
                async for state in states:
                    yield _message(rule, state, warnings)

    def _plan(self, request: pb.BacktestRuleRequest, rule: Rule) -> Plan:
        start, end = trace_filters.times(request)
        end = end or self._clock()
        start = start or max(end, MIN_TIME + DEFAULT_WINDOW) - DEFAULT_WINDOW
        if start >= end:
            raise InvalidArgument(
                "BAD_TIMES", "start_time must be before end_time", field="start_time"
            )
        return Plan(
            rule,
            start,
            end,
            _bounded(request.max_spans, DEFAULT_SPANS, MAX_SPANS, "max_spans"),
            _bounded(request.max_examples, DEFAULT_EXAMPLES, MAX_EXAMPLES, "max_examples"),
        )


def _bounded(value: int, default: int, most: int, field: str) -> int:
    if not 0 <= value <= most:
        raise InvalidArgument("BAD_FIELD", f"{field} must be from 1 to {most}, or 0", field=field)
    return value or default


def _message(rule: Rule, state: State, warnings: Sequence[str]) -> pb.BacktestRuleResponse:
    tally = state.tally
    latencies = sorted(tally.latencies_s)
    labelled = tally.labelled.total()
    return pb.BacktestRuleResponse(
        spans_total=state.total,
        spans_wanted=state.wanted,
        spans_done=tally.done,
        texts_done=tally.texts,
        done=state.done,
        version=rule.version,
        version_in_force="" if state.in_force is None else state.in_force.version,
        hits=_proportion(tally.hits, tally.done),
        by_category=_counts(tally.by_category),
        by_agent=_counts(tally.by_agent),
        by_day=sorted(_counts(tally.by_day), key=lambda one: one.value),
        only_new=tally.only_new,
        only_in_force=tally.only_in_force,
        both=tally.both,
        examples_new=map(_example, tally.examples_new),
        examples_in_force=map(_example, tally.examples_in_force),
        false_alarms=_proportion(tally.labelled[False], labelled) if labelled else None,
        labelled_right_missed=tally.right_missed,
        texts_redacted=tally.texts_redacted,
        spans_without_texts=tally.without_texts,
        texts_failed=tally.texts_failed,
        latency_p50_ms=quantile(latencies, 0.5) * 1_000,
        latency_p99_ms=quantile(latencies, 0.99) * 1_000,
        warnings=warnings,
    )


def _proportion(hits: int, total: int) -> pb.Proportion:
    found = wilson(hits, total)
    return pb.Proportion(
        hits=hits, total=total, value=found.value, lower=found.lower, upper=found.upper
    )


def _counts(headings: Mapping[str, Heading]) -> list[pb.BacktestCount]:
    most = sorted(headings.items(), key=lambda item: (-item[1].spans, item[0]))[:MAX_HEADINGS]
    return [
        pb.BacktestCount(
            value=value,
            spans=heading.spans,
            findings=heading.findings,
            spans_in_force=heading.spans_in_force,
        )
        for value, heading in most
    ]


def _example(example: Example) -> pb.BacktestExample:
    span_id = example.span.record.span_id.hex()
    return pb.BacktestExample(
        trace_id=example.span.key.trace_id.hex,
        span_id=span_id,
        finding=_finding(span_id, example.found),
    )


def _finding(span_id: str, found: Decision) -> common_pb2.Finding:
    return common_pb2.Finding(
        span_id=span_id,
        category=found.finding.category,
        score=found.finding.score,
        field=found.field,
        start=found.finding.start,
        end=found.finding.end,
        code=found.finding.code,
        rule=found.rule,
        rule_version=found.rule_version,
        verdict=VERDICTS[found.verdict],
        action=ACTIONS[found.action],
        shadow=found.shadow,
        severity=SEVERITIES[found.severity],
    )
