"""Passes on what a chain does to the metrics."""

import structlog

from bartizan.plugins.decision import Action
from bartizan.plugins.judgement import Failure
from bartizan.server.metrics import Metrics

log = structlog.get_logger(__name__)

MAX_NAMED = 1_000
OTHERS = "others"
"""Stands for the rules after so many: who may write rules must not fill the memory with series."""


class Counted:
    """Hears chains. Rules of the same id in different projects are counted together."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._named: set[str] = set()

    def judged(self, rule: str, texts: int, seconds: float) -> None:
        """Counts a judgement."""
        self._metrics.rule_seconds.labels(self._name(rule)).observe(seconds)

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        """Counts a failure."""
        self._metrics.rule_failures.labels(self._name(rule), failure.value).inc()

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        """Counts findings."""
        labels = (self._name(rule), action.value, str(shadow).lower())
        self._metrics.findings.labels(*labels).inc(findings)

    def circuit(self, rule: str, is_open: bool) -> None:
        """Logs that a rule is suspended, or works again."""
        log.warning("a rule's circuit changed", rule=rule, open=is_open)

    def _name(self, rule: str) -> str:
        if rule not in self._named and len(self._named) >= MAX_NAMED:
            return OTHERS
        self._named.add(rule)
        return rule
