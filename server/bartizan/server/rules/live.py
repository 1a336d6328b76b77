"""One set of rules in force: its chains, and who is still inside them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

import structlog

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Guardrail, Text
from bartizan.plugins.decision import Action
from bartizan.plugins.errors import BartizanError, ConfigError
from bartizan.plugins.judgement import ASK_ALL, Ask, ChainMetrics, Context, Judgement
from bartizan.plugins.pool import Broken, PluginPool
from bartizan.plugins.redact import Span, Vault, redact
from bartizan.plugins.rules import OnTimeout, Rule, RuleSet, Stage

log = structlog.get_logger(__name__)

AGAIN_BUDGET_MS = 60_000
"""What a rule gets that had no time inline: after the write nobody waits for it."""


class LiveRules:
    """Judges with one set of rules. Others may hold on to it after it is replaced.

    Attributes:
        deferred: the rules that look at spans after the write.
        problems: by the id of a rule, why it is not in force as it is written.
    """

    def __init__(
        self,
        rules: RuleSet,
        plugins: dict[str, Guardrail],
        problems: dict[str, str],
        *,
        hash_key: bytes,
        vault: Vault | None = None,
        metrics: ChainMetrics,
        let_go: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        """Makes the chains. `plugins` holds a started one for each rule that has one, by its id."""
        self.rules = rules
        self.problems = problems
        self.deferred = rules.at(Stage.DEFERRED).rules
        again = [
            rule.changed(budget_ms=max(rule.budget_ms, AGAIN_BUDGET_MS))
            for rule in rules
            if rule.on_timeout is OnTimeout.DEFER
        ]
        self._inline, self._later = (
            Chain(chosen, plugins, hash_key=hash_key, vault=vault, metrics=metrics)
            for chosen in (rules.at(Stage.INLINE), RuleSet((*self.deferred, *again)))
        )
        self._hash_key = hash_key
        self._vault = vault
        self._metrics = metrics
        self._let_go = let_go
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def looks_at_context(self) -> bool:
        """Tells whether what is clean in one place may not be in another."""
        return self._inline.looks_at_context

    @property
    def looks_at_groups(self) -> bool:
        """Tells whether what is clean in one span may not be beside other texts."""
        return self._inline.looks_at_groups

    async def judge(
        self,
        texts: Sequence[Text],
        contexts: Sequence[Context] | None = None,
        ask: Ask = ASK_ALL,
    ) -> Judgement:
        """Returns what the inline rules say about the texts, as Chain.judge."""
        return await self._judged(self._inline, texts, contexts, ask)

    async def judge_later(
        self, texts: Sequence[Text], contexts: Sequence[Context], ask: Ask
    ) -> Judgement:
        """Returns what the deferred rules say, and those that had no time inline."""
        return await self._judged(self._later, texts, contexts, ask)

    def redact(self, value: str, spans: Iterable[Span]) -> str:
        """Returns a value without the text of the spans, as a judgement would replace it."""
        return redact(value, spans, self._hash_key, self._vault)

    def found(self, rule: str, action: Action, shadow: bool) -> None:
        """Counts a finding of a judgement that did not count its own."""
        self._metrics.found(rule, action, shadow, 1)

    async def retire(self) -> None:
        """Lets the plugins go after the calls under way."""
        await self._idle.wait()
        await self._let_go()

    async def _judged(
        self, chain: Chain, texts: Sequence[Text], contexts: Sequence[Context] | None, ask: Ask
    ) -> Judgement:
        self._calls += 1
        self._idle.clear()
        try:
            return await chain.judge(texts, contexts, ask)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()


async def make_live(
    rules: RuleSet,
    pool: PluginPool,
    *,
    hash_key: bytes,
    vault: Vault | None = None,
    metrics: ChainMetrics,
    tolerant: bool,
) -> LiveRules:
    """Returns rules ready to judge.

    A rule whose plugin cannot be had, or that needs a vault where there is none, raises
    ConfigError; if `tolerant`, it fails alone, whenever it is asked, and follows its `on_error`.
    """
    problems: dict[str, str] = {}
    taken: list[Rule] = []

    async def let_go() -> None:
        held, taken[:] = taken[:], []
        for rule in held:
            await pool.give_back(rule)

    async def one(rule: Rule) -> Guardrail:
        try:
            _check_vault(rule, vault)
            plugin = await pool.take(rule)
        except Exception as error:
            if not tolerant:
                raise
            problems[rule.id] = _told(error, rule)
            log.error("a rule cannot be started and fails", rule=rule.id, why=problems[rule.id])
            return Broken()
        taken.append(rule)
        return plugin

    try:
        plugins = {rule.id: await one(rule) for rule in rules if rule.when is None}
    except BaseException:
        await let_go()
        raise
    return LiveRules(
        rules, plugins, problems, hash_key=hash_key, vault=vault, metrics=metrics, let_go=let_go
    )


def _check_vault(rule: Rule, vault: Vault | None) -> None:
    if rule.uses_pseudonyms and vault is None:
        raise ConfigError(
            "NO_VAULT",
            f"rule '{rule.id}': redaction: pseudonyms are for rules of a project, on a server with "
            "a vault_key_file",
            field="redaction",
        )


def _told(error: Exception, rule: Rule) -> str:
    if isinstance(error, BartizanError):
        return error.message
    # The type alone: a message may quote a secret of the configuration.
    return f"guardrail '{rule.plugin}' cannot be had: {type(error).__name__}"
