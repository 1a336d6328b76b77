"""The guardrail rules in force: a chain from a file, with its failures counted."""

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

import structlog

from bartizan.plugins.chain import Chain, build_chain
from bartizan.plugins.contract import Text
from bartizan.plugins.decision import Action
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import ASK_ALL, Ask, Context, Failure, Judgement
from bartizan.plugins.redact import Span, redact
from bartizan.plugins.registry import guardrails
from bartizan.plugins.reload import RulesFile
from bartizan.plugins.rules import RuleSet, Stage
from bartizan.server.metrics import Metrics

log = structlog.get_logger(__name__)


def default_rules() -> Path:
    """Returns the rules that come with the guardrails: redact what identifies a person."""
    return Path(str(resources.files("bartizan.guardrails") / "default_rules.yaml"))


class LiveRules:
    """Judges with the rules of now."""

    def __init__(self, path: Path, hash_key: bytes, metrics: Metrics) -> None:
        self._path = path
        self._hash_key = hash_key
        self._metrics = metrics
        self._counted = _Counted(metrics)
        self._file = RulesFile(path, self._build, self._heard)
        self.generation = 0

    @property
    def looks_at_context(self) -> bool:
        """Tells whether a rule of now asks where a text was seen."""
        return self._file.looks_at_context

    async def start(self) -> None:
        """Loads the rules and their plugins; raises ConfigError if one is wrong."""
        await self._file.start()

    async def poll(self) -> None:
        """Takes over a changed file; a bad one is complained of and changes nothing."""
        error = await self._file.poll()
        if error is not None:
            log.error("the rules file is bad; the last good rules stay", problem=error.message)

    async def judge(
        self,
        texts: Sequence[Text],
        contexts: Sequence[Context] | None = None,
        ask: Ask = ASK_ALL,
    ) -> Judgement:
        """Returns what the rules say about the texts."""
        return await self._file.judge(texts, contexts, ask)

    def redact(self, value: str, spans: Iterable[Span]) -> str:
        """Returns a value without the text of the spans, as a judgement would replace it."""
        return redact(value, spans, self._hash_key)

    def found(self, rule: str, action: Action, shadow: bool) -> None:
        """Counts a finding of a judgement that did not count its own."""
        self._counted.found(rule, action, shadow, 1)

    async def aclose(self) -> None:
        """Closes the plugins."""
        await self._file.aclose()

    def _build(self, rules: RuleSet) -> Chain:
        for rule in rules.at(Stage.DEFERRED):
            raise ConfigError(
                "DEFERRED_RULES",
                f"rule '{rule.id}': stage deferred is not run by this version; use stage inline",
                field="stage",
            )
        return build_chain(rules, guardrails(), hash_key=self._hash_key, metrics=self._counted)

    def _heard(self, good: bool) -> None:
        self._metrics.rules_reload_failed.set(not good)
        if good:
            self.generation += 1
            log.info("rules in force", file=str(self._path))


class _Counted:
    """Passes on what a chain does to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def judged(self, rule: str, texts: int, seconds: float) -> None:
        self._metrics.rule_seconds.labels(rule).observe(seconds)

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        self._metrics.rule_failures.labels(rule, failure.value).inc()

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        self._metrics.findings.labels(rule, action.value, str(shadow).lower()).inc(findings)

    def circuit(self, rule: str, is_open: bool) -> None:
        log.warning("a rule's circuit changed", rule=rule, open=is_open)
