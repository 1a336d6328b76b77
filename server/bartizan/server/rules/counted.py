"""Passes on what a chain does to the metrics."""

import structlog

from bartizan.plugins.decision import Action
from bartizan.plugins.judgement import Failure
from bartizan.server.metrics import Metrics

log = structlog.get_logger(__name__)


class Counted:
    """Hears chains. Rules of the same id in different projects are counted together."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def judged(self, rule: str, texts: int, seconds: float) -> None:
        """Counts a judgement."""
        self._metrics.rule_seconds.labels(rule).observe(seconds)

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        """Counts a failure."""
        self._metrics.rule_failures.labels(rule, failure.value).inc()

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        """Counts findings."""
        self._metrics.findings.labels(rule, action.value, str(shadow).lower()).inc(findings)

    def circuit(self, rule: str, is_open: bool) -> None:
        """Logs that a rule is suspended, or works again."""
        log.warning("a rule's circuit changed", rule=rule, open=is_open)
