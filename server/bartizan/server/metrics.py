"""Every metric of the server, in one place. Labels hold names and codes, never content."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OUTCOMES = ("stored", "duplicate", "rejected", "quarantined")
FEEDBACK_OUTCOMES = OUTCOMES[:3]

_FAST_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SPANS = (1, 10, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000)


class Metrics:
    """Declares every metric in one registry; make one a process.

    With PROMETHEUS_MULTIPROC_DIR set, gauges of several processes are added up.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._rows: list[tuple[str, str, str, str]] = []
        self._declare_ingest()
        self._declare_rpc()
        self._declare_chain()
        self._declare_jobs()

    def _declare_ingest(self) -> None:
        self.spans = self._counter(
            "bartizan_spans", "Spans received, by what became of them.", "outcome"
        )
        for outcome in OUTCOMES:
            self.spans.labels(outcome)
        self.spans_rejected = self._counter(
            "bartizan_spans_rejected", "Spans rejected, by the reason in their ack.", "reason"
        )
        self.feedback = self._counter(
            "bartizan_feedback", "Items of feedback received, by what became of them.", "outcome"
        )
        for outcome in FEEDBACK_OUTCOMES:
            self.feedback.labels(outcome)
        self.queue_bytes = self._gauge(
            "bartizan_ingest_queue_bytes", "Bytes of batches that wait for their commit."
        )
        self.queue_batches = self._gauge(
            "bartizan_ingest_queue_batches", "Batches that wait for their commit."
        )
        self.commit_spans = self._histogram(
            "bartizan_ingest_commit_spans", "Spans that shared one commit.", _SPANS
        )
        self.commit_seconds = self._histogram(
            "bartizan_ingest_commit_seconds", "Time one commit took, writing included."
        )

    def _declare_rpc(self) -> None:
        self.rpc_requests = self._counter(
            "bartizan_rpc_requests", "Calls ended, by method and code.", "method", "code"
        )
        self.rpc_seconds = self._histogram(
            "bartizan_rpc_seconds",
            "Time from the start of a call to its end, streams included.",
            _FAST_SECONDS,
            "method",
        )
        self.streams_open = self._gauge(
            "bartizan_rpc_streams_open", "Streaming calls open now.", "method"
        )
        self.tail_skipped = self._counter(
            "bartizan_tail_skipped", "Traces passed over for live tails that read too slowly."
        )

    def _declare_chain(self) -> None:
        self.rule_failures = self._counter(
            "bartizan_rule_failures",
            "Times a rule failed to judge, by rule and failure code.",
            "rule",
            "code",
        )
        self.findings = self._counter(
            "bartizan_findings",
            "Findings that rules acted on, or in shadow mode would have.",
            "rule",
            "action",
            "shadow",
        )
        self.rule_seconds = self._histogram(
            "bartizan_rule_seconds", "Time a rule took for one batch.", _FAST_SECONDS, "rule"
        )
        self.rules_reload_failed = self._gauge(
            "bartizan_rules_reload_failed",
            "1 while the rules file is wrong and the last good rules stay in force.",
        )

        self.deferred_spans = self._counter(
            "bartizan_deferred_spans",
            "Spans for deferred rules: judged, given_up after failures, passed_over if many wait.",
            "outcome",
        )
        self.deferred_backlog = self._gauge(
            "bartizan_deferred_backlog", "Spans that wait for deferred rules, up to 100,000."
        )
        self.deferred_age = self._gauge(
            "bartizan_deferred_age_seconds", "Age of the oldest span that waits for deferred rules."
        )

    def _declare_jobs(self) -> None:
        self.job_runs = self._counter("bartizan_job_runs", "Background jobs begun, by job.", "job")
        self.job_failures = self._counter(
            "bartizan_job_failures", "Background jobs that failed, by job.", "job"
        )

    def rows(self) -> Sequence[tuple[str, str, str, str]]:
        """Returns name, type, labels and meaning of each metric."""
        return self._rows

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        self._rows.append((f"{name}_total", "counter", ", ".join(labels), meaning))
        return Counter(name, meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        self._rows.append((name, "gauge", ", ".join(labels), meaning))
        return Gauge(name, meaning, labels, registry=self._registry, multiprocess_mode="livesum")

    def _histogram(
        self, name: str, meaning: str, buckets: Sequence[float] = _FAST_SECONDS, *labels: str
    ) -> Histogram:
        self._rows.append((name, "histogram", ", ".join(labels), meaning))
        return Histogram(name, meaning, labels, registry=self._registry, buckets=buckets)


def describe() -> str:
    """Returns the table of all metrics in Markdown, for the documentation."""
    head = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    rows = Metrics(CollectorRegistry()).rows()
    return "\n".join([*head, *(f"| `{n}` | {t} | {labels} | {m} |" for n, t, labels, m in rows)])
