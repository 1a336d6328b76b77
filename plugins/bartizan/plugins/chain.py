"""Runs rules over texts. Owns deadlines, limits, failures and what is done about findings."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import compress

from bartizan.plugins.config import missing_package
from bartizan.plugins.contract import Finding, Guardrail, Role, Text, ToolUse
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import BartizanError, ConfigError
from bartizan.plugins.judgement import (
    ASK_ALL,
    NOTHING_SAID,
    Ask,
    ChainMetrics,
    Context,
    Failure,
    Judgement,
    NoMetrics,
    Report,
    Ruled,
)
from bartizan.plugins.redact import WITHHELD, Span, redact
from bartizan.plugins.registry import Registry
from bartizan.plugins.rules import Rule, RuleSet, Stage, Where
from bartizan.plugins.runner import Outcome, RuleRunner

WITHHELD_CATEGORY = "chain.withheld"

_SKIPPED = Outcome({})


class Chain:
    """The rules of one stage with their plugins. One chain serves many concurrent calls."""

    def __init__(
        self,
        rules: RuleSet,
        plugins: Mapping[str, Guardrail],
        *,
        hash_key: bytes,
        clock: Callable[[], float] = time.monotonic,
        metrics: ChainMetrics | None = None,
    ) -> None:
        """Makes a chain. `plugins` holds one for each rule, by the rule's id."""
        heard = metrics or NoMetrics()
        self._runners = [RuleRunner(rule, plugins[rule.id], clock, heard) for rule in rules]
        self._plugins = list({id(plugin): plugin for plugin in plugins.values()}.values())
        self._hash_key = hash_key
        self.looks_at_context = any(rule.where.looks_at_context for rule in rules)

    async def start(self) -> None:
        """Lets every plugin load what it needs. Raises ConfigError if a package is missing."""
        await asyncio.gather(*(self._start(runner) for runner in self._one_runner_per_plugin()))

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
        if self.looks_at_context:
            return await self._judge(texts, contexts, ask)
        once, copies = _distinct(texts)
        return _spread(await self._judge(once, None, ask), copies)

    async def aclose(self) -> None:
        """Closes every plugin. May be called before `start`, and twice."""
        await asyncio.gather(*(plugin.aclose() for plugin in self._plugins))

    async def _start(self, runner: RuleRunner) -> None:
        start = getattr(runner.plugin, "start", None)
        if start is None:
            return
        what = f"guardrail '{runner.rule.plugin}' of rule '{runner.rule.id}'"
        try:
            await start()
        except BartizanError:
            raise
        except ImportError as error:
            raise missing_package(what, error) from error
        except Exception as error:
            # The type alone: a message may quote a secret of the configuration.
            failed = f"{what} cannot be started: {type(error).__name__}"
            raise ConfigError("PLUGIN_START_FAILED", failed) from error

    def _one_runner_per_plugin(self) -> Iterator[RuleRunner]:
        return iter({id(runner.plugin): runner for runner in self._runners}.values())

    async def _judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Judgement:
        asked = [
            (runner, _applicable(runner.rule.where, texts, contexts))
            for runner in self._runners
            if not ask.rules or runner.rule.id in ask.rules
        ]
        outcomes = iter(
            await _all(
                [runner.run(_at(texts, indexes), ask) for runner, indexes in asked if indexes]
            )
        )
        said = _Said(texts, self._hash_key)
        for runner, indexes in asked:
            said.add(runner.rule, indexes, next(outcomes) if indexes else _SKIPPED)
        return said.judgement()


class _Said:
    """Gathers what the rules say about one call."""

    def __init__(self, texts: Sequence[Text], hash_key: bytes) -> None:
        self._texts = texts
        self._hash_key = hash_key
        self._decisions: dict[int, list[Ruled]] = {}
        self._spans: dict[int, list[Span]] = {}
        self._withheld: set[int] = set()
        self._reports: list[Report] = []

    def add(self, rule: Rule, indexes: Sequence[int], outcome: Outcome) -> None:
        self._reports.append(
            Report(
                rule.id, rule.version, rule.shadow, len(indexes), outcome.seconds, outcome.failure
            )
        )
        if outcome.failure is not None:
            self._add_failure(rule, indexes, outcome.failure)
        redacts = rule.action is Action.REDACT and not rule.shadow
        for position, findings in outcome.found.items():
            index = indexes[position]
            self._decide(rule, index, findings, rule.verdict)
            if redacts:
                self._spans.setdefault(index, []).extend(_spans(rule, findings))

    def judgement(self) -> Judgement:
        replacements = {}
        for index, spans in self._spans.items():
            value = self._texts[index].value
            redacted = redact(value, spans, self._hash_key)
            if redacted != value:
                replacements[index] = redacted
        replacements.update(dict.fromkeys(self._withheld, WITHHELD))
        complete = not any(report.failure for report in self._reports)
        return Judgement(self._decisions, replacements, complete, self._spans, self._reports)

    def _add_failure(self, rule: Rule, indexes: Sequence[int], failure: Failure) -> None:
        choice = rule.on_timeout if failure is Failure.TIMEOUT else rule.on_error
        if not rule.denies(choice):
            return
        withholds = rule.action is Action.REDACT and not rule.shadow
        for index in indexes:
            length = len(self._texts[index].value)
            if length:
                withheld = Finding(WITHHELD_CATEGORY, 1.0, 0, length, failure)
                self._decide(rule, index, [withheld], Verdict.DENY)
                if withholds:
                    self._withheld.add(index)

    def _decide(
        self, rule: Rule, index: int, findings: Sequence[Finding], verdict: Verdict
    ) -> None:
        self._decisions.setdefault(index, []).extend(
            Ruled(finding, rule.id, rule.version, verdict, rule.action, rule.shadow)
            for finding in findings
        )


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
        same = f"{rule.plugin} {sorted(rule.config.items())!r}"
        if same not in made:
            made[same] = registry.create(rule.plugin, rule.config, f"rule '{rule.id}': config")
        plugins[rule.id] = made[same]
    return Chain(chosen, plugins, hash_key=hash_key, clock=clock, metrics=metrics)


async def _all(calls: list[Coroutine[None, None, Outcome]]) -> list[Outcome]:
    if len(calls) == 1:
        return [await calls[0]]
    return await asyncio.gather(*calls)


def _applicable(
    where: Where, texts: Sequence[Text], contexts: Sequence[Context] | None
) -> Sequence[int]:
    """Returns the indexes of the texts where a rule applies."""
    indexes: Sequence[int] = range(len(texts))
    if where.roles:
        roles: frozenset[Role] = frozenset(where.roles)
        indexes = list(compress(indexes, [text.role in roles for text in texts]))
    if where.looks_at_context and contexts is not None:
        seen = {id(context): context for context in contexts}
        fits = {key: _fits(where, context) for key, context in seen.items()}
        indexes = [index for index in indexes if fits[id(contexts[index])]]
    return indexes


def _at(texts: Sequence[Text], indexes: Sequence[int]) -> Sequence[Text]:
    return texts if len(indexes) == len(texts) else [texts[index] for index in indexes]


def _fits(where: Where, context: Context) -> bool:
    return (
        _named(where.agents, context.agent)
        and _named(where.environments, context.environment)
        and _named(where.models, context.model)
    )


def _named(patterns: Sequence[str], name: str | None) -> bool:
    if not patterns or name is None:
        return True
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _spans(rule: Rule, findings: Sequence[Finding]) -> Iterator[Span]:
    for found in findings:
        redaction = rule.redaction_of(found.category)
        yield Span(found.start, found.end, found.category, found.score, redaction)


def _distinct(texts: Sequence[Text]) -> tuple[Sequence[Text], list[list[int]] | None]:
    """Returns the texts without repetitions, and where each stood; None if none repeats."""
    if len({text.value for text in texts}) == len(texts):
        return texts, None
    # By the identity of the role: hashing a member of an enumeration calls back into Python.
    places: dict[tuple[str, int, ToolUse | None], list[int]] = {}
    for index, (role, value, use) in enumerate(texts):
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
    return Judgement(decisions, replacements, judgement.complete, spans, judgement.reports)
