"""Turns what became of feedback, and rows of it, into messages."""

from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from bartizan.server.ingest.batch import Refused
from bartizan.server.store.clock import to_ns
from bartizan.v1 import evaluation_pb2


def recorded(
    stored: int, duplicate: int, refused: Iterable[Refused]
) -> evaluation_pb2.RecordFeedbackResponse:
    """Returns what became of the items of one request."""
    message = evaluation_pb2.RecordFeedbackResponse(stored=stored, duplicate=duplicate)
    for item in refused:
        message.rejected.add(
            index=item.index, reason=item.reason, field=item.field, detail=item.detail
        )
    return message


def feedback(row: Row[Any]) -> evaluation_pb2.Feedback:
    """Returns one item."""
    create_time = Timestamp()
    create_time.FromNanoseconds(to_ns(row.create_time))
    message = evaluation_pb2.Feedback(
        feedback_id=row.feedback_id.hex,
        trace_id=row.trace_id.hex if row.trace_id is not None else "",
        span_id=_span_id(row.span_id) if row.span_id is not None else "",
        session_id=row.session_id,
        name=row.name,
        comment=row.comment,
        correction=row.correction,
        user_id=row.user_id,
        source=row.source,
        create_time=create_time,
    )
    if row.thumbs_up is not None:
        message.thumbs_up = row.thumbs_up
    elif row.rating is not None:
        message.rating = row.rating
    elif row.label:
        message.label = row.label
    return message


def _span_id(number: int) -> str:
    return number.to_bytes(8, "big", signed=True).hex()
