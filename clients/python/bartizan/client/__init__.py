"""Sends traces of AI agents to Bartizan and reads them back."""

from bartizan.client._admin import Admin
from bartizan.client._aio import AsyncBartizan
from bartizan.client._channel import Tls
from bartizan.client._client import Bartizan, TraceView
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
from bartizan.client._outbox import Limits
from bartizan.client._query import SessionQuery, TraceQuery
from bartizan.client._retry import Backoff
from bartizan.client._spans import Source, Span
from bartizan.client._stream import Stream

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
    "SessionQuery",
    "Source",
    "Span",
    "Stream",
    "Tls",
    "TraceQuery",
    "TraceView",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]
