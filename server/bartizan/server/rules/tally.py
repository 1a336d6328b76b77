"""What a backtest counts."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bartizan.plugins.decision import Decision
from bartizan.plugins.judgement import Failure, Report
from bartizan.server.store.history import StoredSpan

MAX_LATENCIES = 100_000


@dataclass(frozen=True, slots=True)
class Label:
    """What a person says of a place in a span."""

    field: str
    category: str
    start: int
    end: int
    is_right: bool
    is_redacted: bool
    """True if part of the text was redacted, so that the finding may be there no more."""

    def is_about(self, found: Decision) -> bool:
        """Tells whether a finding is the one that was labelled, found a little differently maybe.

        It is in the same text, overlaps, and its category has the same first part.
        """
        finding = found.finding
        return (
            found.field == self.field
            and finding.start < max(self.end, self.start + 1)
            and self.start < max(finding.end, finding.start + 1)
            and finding.category.partition(".")[0] == self.category.partition(".")[0]
        )


@dataclass(slots=True)
class Heading:
    """Hits under one heading."""

    spans: int = 0
    findings: int = 0
    spans_in_force: int = 0


@dataclass(frozen=True, slots=True)
class Example:
    """A span in which two versions differ, by one finding of it."""

    span: StoredSpan
    found: Decision


@dataclass(slots=True)
class Tally:
    """The count so far. Spans, unless something else is said."""

    max_examples: int
    done: int = 0
    texts: int = 0
    texts_redacted: int = 0
    texts_failed: int = 0
    without_texts: int = 0
    hits: int = 0
    only_new: int = 0
    only_in_force: int = 0
    both: int = 0
    by_category: dict[str, Heading] = field(default_factory=dict)
    by_agent: dict[str, Heading] = field(default_factory=dict)
    by_day: dict[str, Heading] = field(default_factory=dict)
    examples_new: list[Example] = field(default_factory=list)
    examples_in_force: list[Example] = field(default_factory=list)
    labelled: Counter[bool] = field(default_factory=Counter)
    """Findings by what a person says of them: right or not."""
    right_missed: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def add(
        self,
        span: StoredSpan,
        new: Sequence[Decision],
        in_force: Sequence[Decision],
        labels: Collection[Label],
    ) -> None:
        """Adds what two versions found in a span."""
        self.done += 1
        self.without_texts += not span.has_texts
        self.hits += bool(new)
        if new and in_force:
            self.both += 1
        elif new:
            self.only_new += 1
            self._example(self.examples_new, span, new[0])
        elif in_force:
            self.only_in_force += 1
            self._example(self.examples_in_force, span, in_force[0])
        self._add_headings(span, new, in_force)
        self._add_labels(new, labels)

    def add_run(self, report: Report) -> None:
        """Adds how the rule fared with the texts of a span."""
        self.texts += report.texts
        if report.failure is not None:
            self.texts_failed += report.texts
        asked = report.texts and report.failure is not Failure.CIRCUIT_OPEN
        if asked and len(self.latencies_s) < MAX_LATENCIES:
            self.latencies_s.append(report.seconds)

    def _example(self, examples: list[Example], span: StoredSpan, found: Decision) -> None:
        # One of a trace, as the spans of one say the same thing again and again.
        traces = (one.span.key.trace_id for one in examples)
        if len(examples) < self.max_examples and span.key.trace_id not in traces:
            examples.append(Example(span, found))

    def _add_headings(
        self, span: StoredSpan, new: Sequence[Decision], in_force: Sequence[Decision]
    ) -> None:
        if not new and not in_force:
            return
        in_new = Counter(one.finding.category for one in new)
        for category in {*in_new, *(one.finding.category for one in in_force)}:
            heading = self.by_category.setdefault(category, Heading())
            heading.findings += in_new[category]
            heading.spans += bool(in_new[category])
            heading.spans_in_force += any(one.finding.category == category for one in in_force)
        day = span.key.start_time.date().isoformat()
        for headings, value in ((self.by_agent, span.record.dims.agent), (self.by_day, day)):
            heading = headings.setdefault(value, Heading())
            heading.findings += len(new)
            heading.spans += bool(new)
            heading.spans_in_force += bool(in_force)

    def _add_labels(self, new: Sequence[Decision], labels: Collection[Label]) -> None:
        for label in labels:
            found = sum(label.is_about(one) for one in new)
            if found:
                self.labelled[label.is_right] += 1
            elif label.is_right and not label.is_redacted:
                self.right_missed += 1
