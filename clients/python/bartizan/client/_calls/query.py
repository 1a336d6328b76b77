"""What to look for, in Python's own types."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypedDict

from bartizan.client._calls.errors import InvalidArgument
from bartizan.v1 import common_pb2, guardrail_pb2, trace_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class TraceQuery(TypedDict, total=False):
    """Which traces. Everything that is given must hold."""

    since: datetime | timedelta
    """Traces that began then or later; a timedelta counts back from now."""
    until: datetime | timedelta
    """Traces that began before then."""
    agent: str
    user_id: str
    session_id: str
    model: str
    status: str
    """"ok" or "error"."""
    environment: str
    machine: str
    workspace: str
    tags: Sequence[str]
    """All of these."""
    min_duration: timedelta
    min_cost_usd: float
    finding: str
    """A category such as "pii" or "pii.email_address", or "*" for any."""
    text: str
    """Words in the redacted content."""


class SessionQuery(TypedDict, total=False):
    """Which sessions. Everything that is given must hold."""

    since: datetime | timedelta
    """Sessions that were active then or later; a timedelta counts back from now."""
    until: datetime | timedelta
    """Sessions that were active before then."""
    user_id: str
    agent: str
    environment: str


class FindingQuery(TypedDict, total=False):
    """Which findings. Everything that is given must hold."""

    since: datetime | timedelta
    """Of spans that began then or later; a timedelta counts back from now."""
    until: datetime | timedelta
    """Of spans that began before then."""
    rule: str
    category: str
    """This one, and what is below it: all of "pii.…" when it is "pii"."""
    trace_id: str
    action: str
    """"flag", "redact" or "block"."""
    min_severity: str
    """"info", "low", "medium", "high" or "critical"."""
    shadow: bool
    """Only of rules that watched, or of rules that acted."""
    labelled: bool
    """Only those of which a person said something, or nothing."""


_ENUMS = {"action": common_pb2.Action, "min_severity": common_pb2.Severity}
_TIMES = {"since": "start_time", "until": "end_time"}


def trace_filter(query: TraceQuery, now: datetime) -> trace_pb2.TraceFilter:
    """Returns the message for a query; raises InvalidArgument for a name or value that is wrong."""
    wanted = trace_pb2.TraceFilter()
    _fill(wanted, query, now)
    return wanted


def session_filter(query: SessionQuery, now: datetime) -> trace_pb2.SessionFilter:
    """Returns the message for a query; raises InvalidArgument for a name or value that is wrong."""
    wanted = trace_pb2.SessionFilter()
    _fill(wanted, query, now)
    return wanted


def finding_filter(query: FindingQuery, now: datetime) -> guardrail_pb2.FindingFilter:
    """Returns the message for a query; raises InvalidArgument for a name or value that is wrong."""
    wanted = guardrail_pb2.FindingFilter()
    _fill(wanted, query, now)
    return wanted


def _fill(wanted: Any, query: Mapping[str, Any], now: datetime) -> None:
    known = set(wanted.DESCRIPTOR.fields_by_name) - set(_TIMES.values()) | set(_TIMES)
    for key, value in query.items():
        if key not in known:
            raise InvalidArgument(
                f"There is no filter {key!r}; there are {', '.join(sorted(known))}.",
                reason="UNKNOWN_FILTER",
                field=key,
            )
        if value is not None:
            _set(wanted, key, value, now)


def _set(wanted: Any, key: str, value: Any, now: datetime) -> None:
    if key in _TIMES:
        getattr(wanted, _TIMES[key]).FromDatetime(at(value, now))
    elif key == "min_duration":
        wanted.min_duration.FromTimedelta(value)
    elif key == "tags":
        wanted.tags.extend(value)
    elif key == "status":
        wanted.status = status_code(value)
    elif key in _ENUMS:
        setattr(wanted, key, _number(key, value))
    else:
        setattr(wanted, key, value)


def at(value: datetime | timedelta, now: datetime) -> datetime:
    """Returns a moment in UTC; a timedelta counts back from now."""
    when = now - value if isinstance(value, timedelta) else value
    # A time without a zone is the caller's own time, as everywhere in Python.
    return when.astimezone(timezone.utc)


def status_code(name: str) -> common_pb2.StatusCode.ValueType:
    """Returns the status that is called "ok" or "error"; raises InvalidArgument for others."""
    if name.lower() not in ("ok", "error"):
        raise InvalidArgument(f'A status is "ok" or "error", not {name!r}.', field="status")
    return common_pb2.StatusCode.Value(f"STATUS_CODE_{name.upper()}")


def _number(key: str, name: str) -> int:
    enum: Any = _ENUMS[key]
    prefix = f"{enum.DESCRIPTOR.name.upper()}_"
    names = [one[len(prefix) :].lower() for one, number in enum.items() if number]
    if name not in names:
        raise InvalidArgument(f"{key} is one of {', '.join(names)}, not {name!r}.", field=key)
    number: int = enum.Value(f"{prefix}{name.upper()}")
    return number
