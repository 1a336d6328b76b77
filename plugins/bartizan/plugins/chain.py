"""Runs rules over texts. Owns deadlines, limits, failures and what is done about findings."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace

from bartizan.plugins.applicability import applicable
from bartizan.plugins.contract import Finding, Guardrail, Text, ToolUse
from bartizan.plugins.judgement import (
    ASK_ALL,
    NOTHING_SAID,
    Ask,
    ChainMetrics,
    Context,
    Judgement,
    NoMetrics,
)
from bartizan.plugins.redact import Vault
from bartizan.plugins.registry import Registry
from bartizan.plugins.rules import Rule, RuleSet, Stage
from bartizan.plugins.runner import Found, Outcome, RuleRunner
from bartizan.plugins.said import Said
from bartizan.plugins.starting import start

_SKIPPED = Outcome({})

Ran = dict[str, tuple[Sequence[int], Outcome]]
"""By the id of a rule: the indexes of the texts that it looked at, and what came of it."""


class Chain:
    """The rules of one stage with their plugins. One chain serves many concurrent calls."""

    def __init__(
        self,
        rules: RuleSet,
        plugins: Mapping[str, Guardrail],
        *,
        hash_key: bytes,
        vault: Vault | None = None,
        clock: Callable[[], float] = time.monotonic,
        metrics: ChainMetrics | None = None,
    ) -> None:
        """Makes a chain. `plugins` holds one for each rule, by the rule's id."""
        self._rules = rules
        self._metrics = metrics or NoMetrics()
        self._runners = [
            RuleRunner(rule, plugins[rule.id], clock, self._metrics)
            for rule in rules
            if rule.when is None
        ]
        self._plugins = list({id(plugin): plugin for plugin in plugins.values()}.values())
        self._hash_key = hash_key
        self._vault = vault
        self.looks_at_context = any(rule.looks_at_context for rule in rules)
        self.looks_at_groups = any(
            getattr(plugin, "needs_group", False) for plugin in self._plugins
        )

    async def start(self) -> None:
        """Lets every plugin load what it needs. Raises ConfigError if a package is missing."""
        named = {
            id(runner.plugin): (
                runner.plugin,
                f"guardrail '{runner.rule.plugin}' of rule '{runner.rule.id}'",
            )
            for runner in self._runners
        }
        await asyncio.gather(*(start(plugin, what) for plugin, what in named.values()))

    async def judge(
        self,
        texts: Sequence[Text],
        contexts: Sequence[Context] | None = None,
        ask: Ask = ASK_ALL,
    ) -> Judgement:
        """Returns what the rules say about the texts.

        `contexts` says where each text was seen; without it rules that ask match every text, as a
        redaction too much does less harm than one too few.
        """
        if not self._runners or not texts:
            return NOTHING_SAID
        if self.looks_at_context or self.looks_at_groups:
            return await self._judge(texts, contexts, ask)
        once, copies = _distinct(texts)
        return _spread(await self._judge(once, None, ask), copies)

    async def aclose(self) -> None:
        """Closes every plugin. May be called before `start`, and twice."""
        await asyncio.gather(*(plugin.aclose() for plugin in self._plugins))

    async def _judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Judgement:
        ran = await self._run(texts, contexts, ask)
        said = Said(texts, self._hash_key, self._vault)
        for rule in self._rules:
            if ask.rules and rule.id not in ask.rules:
                continue
            if rule.when is None:
                said.add(rule, *ran[rule.id])
            else:
                indexes = applicable(rule, texts, contexts)
                said.add(rule, indexes, self._combined(rule, indexes, ran, ask))
        return said.judgement()

    async def _run(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Ran:
        wanted = self._with_members(ask.rules)
        asked = [
            (runner, applicable(runner.rule, texts, contexts))
            for runner in self._runners
            if not wanted or runner.rule.id in wanted
        ]
        outcomes = iter(
            await _all(
                [runner.run(_at(texts, indexes), ask) for runner, indexes in asked if indexes]
            )
        )
        return {
            runner.rule.id: (indexes, next(outcomes) if indexes else _SKIPPED)
            for runner, indexes in asked
        }

    def _with_members(self, wanted: frozenset[str]) -> frozenset[str]:
        """Returns the ids of the rules to run for what is wanted; all when empty."""
        combined = [rule for rule in self._rules if rule.when is not None and rule.id in wanted]
        return wanted.union(*(rule.named_rules() for rule in combined))

    def _combined(self, rule: Rule, indexes: Sequence[int], ran: Ran, ask: Ask) -> Outcome:
        outcome = combine(rule, indexes, ran)
        if outcome.failure is not None:
            self._metrics.failed(rule.id, outcome.failure, len(outcome.unjudged or ()))
        if outcome.found and ask.counts:
            findings = sum(map(len, outcome.found.values()))
            self._metrics.found(rule.id, rule.action, rule.shadow, findings)
        return outcome


def combine(rule: Rule, indexes: Sequence[int], ran: Ran) -> Outcome:
    """Returns what a combination makes of what its members found.

    It fails with one of them where what that would have said matters.
    """
    assert rule.when is not None
    members = {name: ran[name] for name in rule.when.rules() if name in ran}
    by_member = {name: _said(*member) for name, member in members.items()}
    somewhere: set[int] = set().union(*by_member.values())
    found: Found = {}
    unjudged = []
    for position, index in enumerate(indexes):
        if index not in somewhere:
            continue
        held, findings = rule.when.holds(
            {name: said[index] for name, said in by_member.items() if index in said}
        )
        if held is None:
            unjudged.append(position)
        if kept := [one for one in findings if one.score >= rule.threshold]:
            found[position] = kept
    failures = (out.failure for _, out in members.values() if out.failure is not None)
    return Outcome(found, next(failures) if unjudged else None, unjudged=unjudged)


def _said(at: Sequence[int], outcome: Outcome) -> Mapping[int, Sequence[Finding] | None]:
    """Returns by index of the text what a member found; None where it could not say."""
    if outcome.failure is not None:
        return dict.fromkeys(at)
    return {at[position]: findings for position, findings in outcome.found.items()}


def build_chain(
    rules: RuleSet,
    registry: Registry[Guardrail],
    *,
    hash_key: bytes,
    stage: Stage = Stage.INLINE,
    clock: Callable[[], float] = time.monotonic,
    metrics: ChainMetrics | None = None,
) -> Chain:
    """Returns a chain of the rules of a stage, not yet started.

    Rules with the same plugin and configuration share one instance. Raises ConfigError if a
    plugin is unknown or its configuration is wrong.
    """
    chosen = rules.at(stage)
    made: dict[str, Guardrail] = {}
    plugins: dict[str, Guardrail] = {}
    for rule in chosen:
        if rule.when is not None:
            continue
        same = f"{rule.plugin} {sorted(rule.config.items())!r}"
        if same not in made:
            made[same] = registry.create(rule.plugin, rule.config, f"rule '{rule.id}': config")
        plugins[rule.id] = made[same]
    return Chain(chosen, plugins, hash_key=hash_key, clock=clock, metrics=metrics)


async def _all(calls: list[Coroutine[None, None, Outcome]]) -> list[Outcome]:
    if len(calls) == 1:
        return [await calls[0]]
    return await asyncio.gather(*calls)


def _at(texts: Sequence[Text], indexes: Sequence[int]) -> Sequence[Text]:
    return texts if len(indexes) == len(texts) else [texts[index] for index in indexes]


def _distinct(texts: Sequence[Text]) -> tuple[Sequence[Text], list[list[int]] | None]:
    """Returns the texts without repetitions, and where each stood; None if none repeats."""
    if len({text.value for text in texts}) == len(texts):
        return texts, None
    # By the identity of the role: hashing a member of an enumeration calls back into Python.
    places: dict[tuple[str, int, ToolUse | None], list[int]] = {}
    for index, (role, value, use, _) in enumerate(texts):
        key = (value, id(role), use)
        known = places.get(key)
        if known is None:
            places[key] = [index]
        else:
            known.append(index)
    copies = list(places.values())
    return [texts[indexes[0]] for indexes in copies], copies


def _spread(judgement: Judgement, copies: list[list[int]] | None) -> Judgement:
    if copies is None or judgement is NOTHING_SAID:
        return judgement
    decisions = {i: said for at, said in judgement.decisions.items() for i in copies[at]}
    replacements = {i: value for at, value in judgement.replacements.items() for i in copies[at]}
    spans = {i: left_out for at, left_out in judgement.spans.items() for i in copies[at]}
    deferred = {i: rules for at, rules in judgement.deferred.items() for i in copies[at]}
    return replace(
        judgement,
        decisions=decisions,
        replacements=replacements,
        spans=spans,
        deferred=deferred,
        unreported={i: rules for at, rules in judgement.unreported.items() for i in copies[at]},
    )
