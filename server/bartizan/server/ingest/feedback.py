"""Feedback on its way to the disk: checked field by field, then judged by the inline rules."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.judgement import Judgement
from bartizan.server.ingest import checks
from bartizan.server.ingest.batch import Refused
from bartizan.server.ingest.checks import Reason, Rejection, check_text
from bartizan.server.ingest.span import NANOS
from bartizan.server.store.clock import from_ns
from bartizan.v1 import evaluation_pb2

MAX_NAME = 128
MAX_LABEL = 128
MAX_COMMENT = 8_192
"""Longer comments are cut: the beginning of one still says something."""
MAX_CORRECTION = 8_192
"""Longer corrections are refused: the beginning of an output is another output."""
MAX_RATING = 100
DEFAULT_NAME: Final = "user"

_SOURCE = evaluation_pb2.FeedbackSource
_ROLES = {
    "session_id": Role.METADATA,
    "name": Role.METADATA,
    "label": Role.METADATA,
    "user_id": Role.METADATA,
    "comment": Role.USER,
    "correction": Role.ASSISTANT,
}
"""Every field that a sender can put words into, and whose words they are."""


class FeedbackRecord(NamedTuple):
    """One valid item of feedback. Texts are what was sent until the rules have judged them."""

    feedback_id: UUID
    trace_id: UUID | None
    span_id: int | None
    """Its eight bytes as a signed number."""
    session_id: str
    name: str
    thumbs_up: bool | None
    rating: float | None
    label: str
    comment: str
    correction: str
    user_id: str
    source: int
    create_time: datetime


def convert(
    items: Sequence[evaluation_pb2.Feedback], now_ns: int
) -> tuple[list[FeedbackRecord], list[Refused]]:
    """Returns the records of valid items, and why the others were refused."""
    records: list[FeedbackRecord] = []
    refused: list[Refused] = []
    for index, item in enumerate(items):
        try:
            records.append(record(item, now_ns))
        except Rejection as error:
            refused.append(Refused(index, error.reason, error.field, error.detail))
    return records, refused


def record(item: evaluation_pb2.Feedback, now_ns: int) -> FeedbackRecord:
    """Returns the record of one item; raises Rejection."""
    which = item.WhichOneof("value")
    found = FeedbackRecord(
        feedback_id=UUID(bytes=checks.parse_id(item.feedback_id, 16, "feedback_id")),
        trace_id=_trace_id(item),
        span_id=_span_id(item),
        session_id=check_text(item.session_id, "session_id", checks.MAX_LENGTH["session_id"]),
        name=check_text(item.name, "name", MAX_NAME) or DEFAULT_NAME,
        thumbs_up=item.thumbs_up if which == "thumbs_up" else None,
        rating=_rating(item.rating) if which == "rating" else None,
        label=check_text(item.label, "label", MAX_LABEL),
        comment=check_text(item.comment, "comment"),
        correction=check_text(item.correction, "correction", MAX_CORRECTION),
        user_id=check_text(item.user_id, "user_id", checks.MAX_LENGTH["user_id"]),
        source=checks.known(item.source, _SOURCE, "source") or _SOURCE.FEEDBACK_SOURCE_USER,
        create_time=_create_time(item, now_ns),
    )
    if which in (None, "label") and not (found.label or found.comment or found.correction):
        raise Rejection(
            Reason.REJECT_REASON_MISSING, "value", "is required, or a comment or a correction"
        )
    return found


class Rules(Protocol):
    """What judges: the inline rules of the project."""

    async def judge(self, texts: Sequence[Text]) -> Judgement:
        """Returns what the rules say about the texts."""


async def judge(rules: Rules, records: Sequence[FeedbackRecord]) -> list[FeedbackRecord]:
    """Returns the records with what the rules redact or withhold taken out of them.

    Feedback has no agent, environment and model, so rules that are limited by them apply too.
    """
    places = [
        (position, field, value)
        for position, one in enumerate(records)
        for field in _ROLES
        if (value := getattr(one, field))
    ]
    texts = [Text(_ROLES[field], value) for _, field, value in places]
    judgement = await rules.judge(texts)
    changes: dict[int, dict[str, str]] = {}
    for index, replacement in judgement.replacements.items():
        position, field, _ = places[index]
        changes.setdefault(position, {})[field] = replacement
    return [_shortened(one, changes.get(n, {})) for n, one in enumerate(records)]


def _shortened(one: FeedbackRecord, changes: dict[str, str]) -> FeedbackRecord:
    # Cut after it was judged: what is cut through could be recognized no more.
    comment = changes.get("comment", one.comment)[:MAX_COMMENT]
    return one._replace(**{**changes, "comment": comment})  # type: ignore[arg-type]


def _trace_id(item: evaluation_pb2.Feedback) -> UUID | None:
    if not item.trace_id and item.session_id and not item.span_id:
        return None
    return UUID(bytes=checks.parse_id(item.trace_id, 16, "trace_id"))


def _span_id(item: evaluation_pb2.Feedback) -> int | None:
    if not item.span_id:
        return None
    return int.from_bytes(checks.parse_id(item.span_id, 8, "span_id"), "big", signed=True)


def _rating(value: float) -> float:
    if not math.isfinite(value):
        raise Rejection(Reason.REJECT_REASON_MALFORMED, "rating", "must be a finite number")
    if not 0 <= value <= MAX_RATING:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE, "rating", f"must be from 0 to {MAX_RATING}"
        )
    return value


def _create_time(item: evaluation_pb2.Feedback, now_ns: int) -> datetime:
    if not item.HasField("create_time"):
        return from_ns(now_ns)
    time = item.create_time
    time_ns = time.seconds * NANOS + time.nanos
    if not checks.MIN_START_NS <= time_ns <= now_ns + checks.MAX_AHEAD_NS:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE,
            "create_time",
            "must be from 2000-01-01 to one day from now",
        )
    return from_ns(time_ns)
