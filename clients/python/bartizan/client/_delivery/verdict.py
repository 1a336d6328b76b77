"""What an error means for what was sent."""

from __future__ import annotations

from enum import Enum

from bartizan.client._calls.errors import (
    Aborted,
    AlreadyExists,
    BartizanError,
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from bartizan.client._delivery.wire import CLOSED


class Verdict(Enum):
    """Why a batch was not taken, and so what to do with it."""

    AWAY = "away"
    """The server is away or full: the same again, soon."""
    BLOCKED = "blocked"
    """The key or the endpoint is wrong: the same again, now and then, until a person acts."""
    REFUSED = "refused"
    """The server does not want this content: find out which part."""
    SICK = "sick"
    """The server fails, perhaps over this content: try a few times, then find out which part."""


_AWAY = (Unavailable, Cancelled, DeadlineExceeded, Aborted)
_BLOCKED = (Unauthenticated, PermissionDenied, Unimplemented, NotFound, FailedPrecondition)
_REFUSED = (InvalidArgument, ResourceExhausted, AlreadyExists)


def judge(error: BartizanError, *, proved: bool) -> Verdict:
    """Returns what an error means; `proved` when this server has taken something before."""
    if isinstance(error, _AWAY) or error.retryable or error.reason == CLOSED:
        return Verdict.AWAY
    if isinstance(error, _BLOCKED):
        return Verdict.BLOCKED
    if isinstance(error, _REFUSED):
        return Verdict.REFUSED
    # Proxies and strangers answer so to everything; then nothing may be given up for it.
    return Verdict.SICK if error.reason or proved else Verdict.BLOCKED
