"""Reads the filters of requests; raises InvalidArgument with the path of a field that is wrong."""

import math
import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from bartizan.plugins.errors import InvalidArgument
from bartizan.server.ingest.checks import MAX_LENGTH, Rejection, parse_id
from bartizan.server.ingest.span import NANO_USD
from bartizan.server.store.clock import EPOCH, MAX_TIME, MIN_TIME
from bartizan.server.store.feedback import FeedbackFilter
from bartizan.server.store.findings import FindingFilter
from bartizan.server.store.sessions import SessionFilter
from bartizan.server.store.trace_filter import ANY_FINDING, TraceFilter
from bartizan.v1 import common_pb2, evaluation_pb2, guardrail_pb2, trace_pb2

MAX_TAGS = 16
MIN_TEXT, MAX_TEXT = 2, 256
MAX_COST_USD = 1e9
MAX_CATEGORY = 128
MAX_RULE = 63
_TEXTS = ("agent", "user_id", "session_id", "model", "environment", "machine", "workspace")
_CATEGORY = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_MIN_S = int((MIN_TIME - EPOCH).total_seconds())
_MAX_S = int((MAX_TIME - EPOCH).total_seconds())


def traces(message: trace_pb2.TraceFilter) -> TraceFilter:
    """Reads all of a filter of traces but its text."""
    return TraceFilter(
        start=_time(message, "start_time"),
        end=_time(message, "end_time"),
        status=_status(message.status),
        tags=_tags(message),
        min_duration=_duration(message),
        min_cost_nano_usd=_cost(message.min_cost_usd),
        finding=_category(message.finding),
        **{name: _text(getattr(message, name), name) for name in _TEXTS},
    )


def sessions(message: trace_pb2.SessionFilter) -> SessionFilter:
    """Reads a filter of sessions."""
    return SessionFilter(
        start=_time(message, "start_time"),
        end=_time(message, "end_time"),
        user_id=_text(message.user_id, "user_id"),
        agent=_text(message.agent, "agent"),
        environment=_text(message.environment, "environment"),
    )


def feedback(message: evaluation_pb2.FeedbackFilter) -> FeedbackFilter:
    """Reads a filter of feedback."""
    return FeedbackFilter(
        start=_time(message, "start_time"),
        end=_time(message, "end_time"),
        trace_id=_trace_id(message.trace_id),
        session_id=_text(message.session_id, "session_id"),
        user_id=_text(message.user_id, "user_id"),
    )


def times(message: guardrail_pb2.BacktestRuleRequest) -> tuple[datetime | None, datetime | None]:
    """Reads from when and until when."""
    start, end = (_time(message, name, "") for name in ("start_time", "end_time"))
    return start, end


def findings(message: guardrail_pb2.FindingFilter) -> FindingFilter:
    """Reads a filter of findings."""
    if message.action not in common_pb2.Action.values():
        raise _wrong("action", f"the value {message.action} is not known")
    if message.min_severity not in common_pb2.Severity.values():
        raise _wrong("min_severity", f"the value {message.min_severity} is not known")
    if len(message.rule) > MAX_RULE:
        raise _wrong("rule", f"has {len(message.rule)} characters, limit {MAX_RULE}")
    category = message.category
    if category and (len(category) > MAX_CATEGORY or not _CATEGORY.fullmatch(category)):
        raise _wrong("category", 'must be a category such as "pii.email_address"')
    return FindingFilter(
        start=_time(message, "start_time"),
        end=_time(message, "end_time"),
        rule=_storable(message.rule, "rule"),
        category=category,
        trace_id=_trace_id(message.trace_id),
        action=message.action,
        min_severity=message.min_severity,
        shadow=message.shadow if message.HasField("shadow") else None,
        labelled=message.labelled if message.HasField("labelled") else None,
    )


def text(message: trace_pb2.TraceFilter) -> str:
    """Reads the text to look for; empty when there is none."""
    value = message.text
    if value and not MIN_TEXT <= len(value) <= MAX_TEXT:
        raise _wrong("text", f"must have {MIN_TEXT} to {MAX_TEXT} characters")
    return _storable(value, "text")


def live(message: trace_pb2.TraceFilter) -> TraceFilter:
    """Reads the filter of a tail, which has no times and no text."""
    for name in ("start_time", "end_time"):
        if message.HasField(name):
            raise _wrong(name, "may not be set here")
    if message.text:
        raise _wrong("text", "may not be set here")
    return traces(message)


def _text(value: str, name: str) -> str:
    if len(value) > MAX_LENGTH[name]:
        raise _wrong(name, f"has {len(value)} characters, limit {MAX_LENGTH[name]}")
    return _storable(value, name)


def _trace_id(value: str) -> UUID | None:
    if not value:
        return None
    try:
        return UUID(bytes=parse_id(value, 16, "trace_id"))
    except Rejection as error:
        raise _wrong("trace_id", error.detail) from None


def _storable(value: str, name: str) -> str:
    if "\0" in value:
        raise _wrong(name, "holds the NUL character")
    return value


def _tags(message: trace_pb2.TraceFilter) -> tuple[str, ...]:
    if len(message.tags) > MAX_TAGS:
        raise _wrong("tags", f"has {len(message.tags)} entries, limit {MAX_TAGS}")
    for index, tag in enumerate(message.tags):
        if not 1 <= len(tag) <= MAX_LENGTH["tags"]:
            raise _wrong(f"tags[{index}]", f"must have 1 to {MAX_LENGTH['tags']} characters")
        _storable(tag, f"tags[{index}]")
    return tuple(sorted(set(message.tags)))


def _status(number: int) -> int:
    if number not in common_pb2.StatusCode.values():
        raise _wrong("status", f"the value {number} is not known")
    return number


def _category(value: str) -> str:
    if value in ("", ANY_FINDING):
        return value
    if len(value) > MAX_CATEGORY or not _CATEGORY.fullmatch(value):
        raise _wrong("finding", 'must be a category such as "pii.email_address", or "*"')
    return value


def _cost(amount: float) -> int:
    if not 0 <= amount <= MAX_COST_USD:  # NaN is neither
        raise _wrong("min_cost_usd", f"must be from 0 to {MAX_COST_USD:,.0f}")
    return round(amount * NANO_USD)


def _duration(message: trace_pb2.TraceFilter) -> timedelta:
    duration: Duration = message.min_duration
    seconds, nanos = duration.seconds, duration.nanos
    if seconds < 0 or not 0 <= nanos < 1_000_000_000 or seconds > _MAX_S:
        raise _wrong("min_duration", "must be a valid duration of zero or more")
    return timedelta(seconds=seconds, microseconds=math.ceil(nanos / 1000))


def _time(message: Any, name: str, within: str = "filter.") -> datetime | None:
    if not message.HasField(name):
        return None
    time: Timestamp = getattr(message, name)
    if not (_MIN_S <= time.seconds <= _MAX_S and 0 <= time.nanos < 1_000_000_000):
        raise _wrong(name, "must be a valid time from the year 1 to 9999", within)
    # Stored times are cut to microseconds, so that the next one is the first that is not before.
    return EPOCH + timedelta(seconds=time.seconds, microseconds=math.ceil(time.nanos / 1000))


def _wrong(name: str, what: str, within: str = "filter.") -> InvalidArgument:
    return InvalidArgument("BAD_FILTER", f"{within}{name} {what}.", field=f"{within}{name}")
