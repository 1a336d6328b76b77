"""What Slack's API says went wrong, and whether to try again. Its statuses are mostly 200."""

import json
from collections.abc import Mapping
from typing import Any

from bartizan.alerts.notifiers.http import Answer
from bartizan.plugins.notification import Cause, NotifyError, Permanent, Retryable

BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
FAILING = frozenset(
    {"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
)
REFUSED = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired",
     "no_permission", "missing_scope", "not_allowed_token_type", "org_login_required",
     "ekm_access_denied", "access_denied", "not_in_channel"}
)  # fmt: skip
GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""The message cannot be changed any more; a new one can be posted."""

KNOWN = BUSY | FAILING | REFUSED | GONE | {
    "channel_not_found", "is_archived", "invalid_blocks", "invalid_attachments", "no_text",
    "msg_too_long", "msg_blocks_too_long", "restricted_action", "thread_not_found",
}  # fmt: skip
"""Only these words are repeated: anything else may be anything."""


class MessageGone(Permanent):
    """Raised when a message that was posted cannot be changed any more."""


def answered(answer: Answer) -> Mapping[str, Any]:
    """Returns the document of an answer that says yes.

    Raises Retryable or Permanent as its error says, MessageGone if a message is missing.
    """
    document = _document(answer.body)
    if document is None:
        raise Retryable("slack answered with no document", cause=Cause.SERVER)
    if document.get("ok") is True:
        return document
    raise _error(document.get("error"), answer.retry_after_s)


def _document(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _error(said: object, retry_after_s: float | None) -> NotifyError:
    word = said if isinstance(said, str) and said in KNOWN else "an error unknown here"
    told = f"slack answered: {word}"
    if word in BUSY:
        return Retryable(told, retry_after_s, Cause.RATE_LIMITED)
    if word in FAILING:
        return Retryable(told, retry_after_s, Cause.SERVER)
    if word in GONE:
        return MessageGone(told, Cause.CLIENT)
    return Permanent(told, Cause.AUTH if word in REFUSED else Cause.CLIENT)
