"""Runs the inline rules over a batch: every text of every span, before anything is written."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from weakref import WeakKeyDictionary
from zlib import crc32

from bartizan.plugins.applicability import fits
from bartizan.plugins.contract import Text
from bartizan.plugins.judgement import Context, Judgement
from bartizan.plugins.rules import Rule
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.span import SpanRecord
from bartizan.server.ingest.taking_over import take_over
from bartizan.server.ingest.texts import Place, Texts

DRAWS = 2**32


class Rules(Protocol):
    """One set of rules that judges. Another set is another object."""

    @property
    def looks_at_context(self) -> bool:
        """Tells whether what is clean for one agent may not be for another."""
        ...

    @property
    def looks_at_groups(self) -> bool:
        """Tells whether what is clean in one span may not be beside other texts."""
        ...

    @property
    def deferred(self) -> Sequence[Rule]:
        """The rules that look at spans after the write."""
        ...

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        """Returns what the inline rules say about the texts."""
        ...


class Judge:
    """Applies to each batch the rules of its project."""

    def __init__(
        self, rules: Callable[[int], Rules], has_room: Callable[[int], bool] = lambda spans: True
    ) -> None:
        """Makes a judge.

        Args:
            rules: returns those in force for a project at this moment.
            has_room: returns whether so many spans more may wait for deferred rules.
        """
        self._rules = rules
        self._has_room = has_room
        self._texts: WeakKeyDictionary[Rules, Texts] = WeakKeyDictionary()
        self.under_way = 0
        """Batches that are being judged."""

    async def judge(self, batch: Batch) -> None:
        """Puts the decisions into the batch, and redacted texts in the place of the others."""
        rules = self._rules(batch.project_id)
        contextual = rules.looks_at_context
        known = Texts() if contextual else self._known(rules)
        texts, places = known.of(batch.records)
        contexts = contexts_of(batch.records) if contextual or rules.deferred else []
        found: dict[int, set[str]] = {}
        if texts:
            at_texts = [contexts[position] for position, _ in places] if contextual else None
            self.under_way += 1
            try:
                judgement = await rules.judge(texts, at_texts)
            finally:
                self.under_way -= 1
            if not contextual and judgement.complete:
                dirty = judgement.decisions.keys() | judgement.unreported.keys()
                known.remember(batch.records, texts, dirty)
            if judgement.decisions or judgement.replacements:
                take_over(batch, places, judgement)
            if judgement.deferred:
                _defer_late(batch, places, judgement)
            if rules.deferred:
                found = _found(places, judgement)
        for rule in rules.deferred:
            _defer(batch, rule, contexts, found)
        if batch.deferred and not self._has_room(len(batch.deferred)):
            batch.deferred.clear()

    def _known(self, rules: Rules) -> Texts:
        known = self._texts.get(rules)
        if known is None:
            known = Texts(remember_messages=not rules.looks_at_groups)
            self._texts[rules] = known
        return known


def contexts_of(records: Sequence[SpanRecord]) -> list[Context]:
    """Returns where the texts of each span were seen."""
    return [
        Context(
            record.dims.agent,
            record.dims.environment,
            record.dims.model,
            record.tags,
            draw_of(record.trace_id),
        )
        for record in records
    ]


def draw_of(trace_id: bytes) -> float:
    """Returns a number from 0 to 1 that is the same for all of a trace."""
    # Not the id itself: what clients chose by it would be chosen again.
    return crc32(trace_id) / DRAWS


def _defer_late(batch: Batch, places: Sequence[Place], judgement: Judgement) -> None:
    for index, rules in judgement.deferred.items():
        batch.deferred.setdefault(places[index][0], set()).update(rules)


def _found(places: Sequence[Place], judgement: Judgement) -> dict[int, set[str]]:
    """Returns by position of the span which rules found something in it."""
    found: dict[int, set[str]] = {}
    for index, said in judgement.decisions.items():
        found.setdefault(places[index][0], set()).update(one.rule for one in said)
    for index, rules in judgement.unreported.items():
        found.setdefault(places[index][0], set()).update(rules)
    return found


def _defer(
    batch: Batch, rule: Rule, contexts: Sequence[Context], found: Mapping[int, set[str]]
) -> None:
    """Marks the spans of a batch that a deferred rule is to look at."""
    before = frozenset(rule.after)
    for position, context in enumerate(contexts):
        if before and before.isdisjoint(found.get(position, ())):
            continue
        if fits(rule, context):
            batch.deferred.setdefault(position, set()).add(rule.id)
