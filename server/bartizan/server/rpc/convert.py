"""Between the records of the server and the messages of the contract."""

from collections.abc import Iterable, Sequence

from bartizan.plugins.decision import Decision, Verdict
from bartizan.server.ingest.batch import Batch, Outcome
from bartizan.server.ingest.enums import ACTIONS, VERDICTS
from bartizan.v1 import common_pb2, trace_pb2

_STRICTNESS = (Verdict.ALLOW, Verdict.MODIFY, Verdict.DENY)


def ack(batch: Batch, outcome: Outcome, want_verdicts: bool) -> trace_pb2.Ack:
    """Returns the ack of a batch."""
    message = trace_pb2.Ack(
        seq=batch.seq,
        stored=outcome.stored,
        duplicate=outcome.duplicate,
        quarantined=outcome.quarantined,
    )
    for refused in batch.refused:
        message.rejected.add(
            index=refused.index, reason=refused.reason, field=refused.field, detail=refused.detail
        )
    if want_verdicts and batch.decisions:
        message.verdicts.extend(_verdicts(batch))
    return message


def _verdicts(batch: Batch) -> Iterable[trace_pb2.SpanVerdict]:
    for position, decisions in sorted(batch.decisions.items()):
        enforced = [decision.verdict for decision in decisions if not decision.shadow]
        strictest = max(enforced, key=_STRICTNESS.index, default=Verdict.ALLOW)
        span_id = batch.records[position].span_id.hex()
        yield trace_pb2.SpanVerdict(
            index=batch.indexes[position],
            verdict=VERDICTS[strictest],
            findings=findings(decisions, span_id),
        )


def findings(decisions: Sequence[Decision], span_id: str) -> list[common_pb2.Finding]:
    """Returns what rules decided about one span, as messages."""
    return [
        common_pb2.Finding(
            span_id=span_id,
            category=decision.finding.category,
            score=decision.finding.score,
            field=decision.field,
            start=decision.finding.start,
            end=decision.finding.end,
            code=decision.finding.code,
            rule=decision.rule,
            rule_version=decision.rule_version,
            verdict=VERDICTS[decision.verdict],
            action=ACTIONS[decision.action],
            shadow=decision.shadow,
        )
        for decision in decisions
    ]
