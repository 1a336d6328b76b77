"""Traces AI agents, sends what they do to Bartizan, and reads it back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bartizan.client._calls.api import TraceView
from bartizan.client._calls.channel import Tls
from bartizan.client._calls.errors import (
    Aborted,
    AlreadyExists,
    BartizanError,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from bartizan.client._calls.retry import Backoff
from bartizan.client._checking.checked import Checked, Denied
from bartizan.client._client import Bartizan
from bartizan.client._delivery.delivery import Sending
from bartizan.client._delivery.stats import Stats
from bartizan.client._recording.recorder import Source
from bartizan.client._recording.span import Span

if TYPE_CHECKING:
    from bartizan.client._aio import AsyncBartizan
    from bartizan.client._calls.admin import Admin
    from bartizan.client._calls.outbox import Limits
    from bartizan.client._calls.query import FindingQuery, SessionQuery, TraceQuery
    from bartizan.client._calls.rules import Rules
    from bartizan.client._calls.stream import Stream

_LATER = {
    "Admin": "_calls.admin",
    "AsyncBartizan": "_aio",
    "FindingQuery": "_calls.query",
    "Limits": "_calls.outbox",
    "Rules": "_calls.rules",
    "SessionQuery": "_calls.query",
    "Stream": "_calls.stream",
    "TraceQuery": "_calls.query",
}
"""What needs gRPC or the messages, which take their time to import."""

__all__ = [
    "Aborted",
    "Admin",
    "AlreadyExists",
    "AsyncBartizan",
    "Backoff",
    "Bartizan",
    "BartizanError",
    "Cancelled",
    "Checked",
    "DeadlineExceeded",
    "Denied",
    "FailedPrecondition",
    "FindingQuery",
    "Internal",
    "InvalidArgument",
    "Limits",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "Rules",
    "Sending",
    "SessionQuery",
    "Source",
    "Span",
    "Stats",
    "Stream",
    "Tls",
    "TraceQuery",
    "TraceView",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"bartizan.client.{_LATER[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
