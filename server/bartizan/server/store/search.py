"""Traces whose content holds some words: a bounded search, which may have to go on later."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server.store.content import ContentReader, Words
from bartizan.server.store.trace_filter import TraceFilter
from bartizan.server.store.traces import TraceKey, TraceReader

MAX_SPANS = 20_000
MAX_BYTES = 24 * 1024 * 1024
"""How much one search looks through: some 200 ms of the database's time."""
READ_COST = 3
"""How much more it takes to read content than to have the database look through it."""
FIRST_STEP = 64
LAST_STEP = 2_048
"""How many traces are looked at together: few first, as common words are found at once."""


class Found(NamedTuple):
    """Traces, newest first, and where to go on; None at the end."""

    traces: Sequence[Row[Any]]
    resume: TraceKey | None


@dataclass(slots=True)
class _Budget:
    """What may still be looked through: nothing more than one trace, however large, comes free."""

    spans: int
    bytes: int
    free: int = 1


class TraceSearch:
    """Searches the content of one project.

    Args:
        max_spans: how many spans one search looks through.
    """

    def __init__(self, engine: AsyncEngine, project_id: int, *, max_spans: int = MAX_SPANS) -> None:
        self._traces = TraceReader(engine, project_id)
        self._content = ContentReader(engine, project_id)
        self._max_spans = max_spans

    async def newest(
        self, wanted: TraceFilter, text: str, after: TraceKey | None, limit: int
    ) -> Found:
        """Returns up to `limit` traces that hold the text, from the one that follows `after` on."""
        words = Words(text)
        found: list[Row[Any]] = []
        budget = _Budget(self._max_spans, MAX_BYTES)
        step = FIRST_STEP
        while True:
            candidates = await self._traces.newest(wanted, after, step)
            near = await self._affordable(candidates, budget)
            held, read = await self._content.holding(near, words) if near else (set(), 0)
            budget.bytes -= READ_COST * read
            for trace in near:
                after = TraceKey(trace.start_time, trace.trace_id)
                if trace.trace_id in held:
                    found.append(trace)
                    if len(found) == limit:
                        return Found(found, after)
            if len(near) < len(candidates):
                return Found(found, after)
            if len(candidates) < step:
                return Found(found, None)
            step = min(step * 4, LAST_STEP)

    async def _affordable(
        self, candidates: Sequence[Row[Any]], budget: _Budget
    ) -> Sequence[Row[Any]]:
        """Returns the first of the candidates, as many as may be looked through, and pays."""
        spans = [trace.span_count for trace in candidates]
        few = candidates[: max(budget.free, _fitting(spans, budget.spans))]
        if not few:
            return few
        sizes = await self._content.sizes(few)
        lengths = [sizes.get(trace.trace_id, 0) for trace in few]
        near = few[: max(budget.free, _fitting(lengths, budget.bytes))]
        budget.spans -= sum(spans[: len(near)])
        budget.bytes -= sum(lengths[: len(near)])
        budget.free = 0
        return near


def _fitting(costs: Iterable[int], budget: int) -> int:
    """Returns how many of the first costs the budget holds."""
    return sum(1 for total in accumulate(costs) if total <= budget)
