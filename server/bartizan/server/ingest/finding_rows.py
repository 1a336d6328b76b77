"""Findings as rows of their table."""

from collections.abc import Iterable, Iterator

from asyncpg.pgproto.pgproto import UUID

from bartizan.plugins.decision import Decision
from bartizan.server.ingest.enums import ACTIONS, SEVERITIES, VERDICTS
from bartizan.server.ingest.span import SpanRecord
from bartizan.server.store.clock import from_ns


def finding_rows(
    project_id: int, record: SpanRecord, decisions: Iterable[Decision]
) -> Iterator[tuple[object, ...]]:
    """Yields what was found in a span, in the order of FINDING_COLUMNS."""
    for decision in decisions:
        finding = decision.finding
        yield (
            project_id,
            UUID(record.trace_id),
            int.from_bytes(record.span_id, "big", signed=True),
            from_ns(record.start_ns),
            decision.field,
            finding.category,
            finding.score,
            finding.start,
            finding.end,
            finding.code,
            decision.rule,
            decision.rule_version,
            VERDICTS[decision.verdict],
            ACTIONS[decision.action],
            decision.shadow,
            SEVERITIES[decision.severity],
        )
