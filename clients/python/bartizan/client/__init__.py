"""Traces AI agents, sends what they do to Bartizan, and reads it back."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bartizan.client._api import TraceView
from bartizan.client._channel import Tls
from bartizan.client._client import Bartizan
from bartizan.client._delivery import Sending
from bartizan.client._errors import (
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
from bartizan.client._recorder import Source
from bartizan.client._retry import Backoff
from bartizan.client._span import Span
from bartizan.client._stats import Stats

if TYPE_CHECKING:
    from bartizan.client._admin import Admin
    from bartizan.client._aio import AsyncBartizan
    from bartizan.client._outbox import Limits
    from bartizan.client._query import SessionQuery, TraceQuery
    from bartizan.client._stream import Stream

_LATER = {
    "Admin": "_admin",
    "AsyncBartizan": "_aio",
    "Limits": "_outbox",
    "SessionQuery": "_query",
    "Stream": "_stream",
    "TraceQuery": "_query",
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
    "DeadlineExceeded",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "Limits",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
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
