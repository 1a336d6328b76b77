"""What the statuses of each channel mean: taken, worth another try, or wrong until changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from bartizan.alerts.notifiers.http import Answer
from bartizan.plugins.notification import Cause, Permanent, Retryable

TOO_MANY = 429
REDIRECTS = range(300, 400)
REFUSED_LOGINS = frozenset({401, 403, 407})
SERVER_ERRORS = frozenset(range(500, 600))


@dataclass(frozen=True, slots=True)
class Statuses:
    """Those that mean yes, and those that may mean yes later. All others mean no."""

    good: frozenset[int]
    retried: frozenset[int]


CHANNELS: Mapping[str, Statuses] = {
    "slack": Statuses(frozenset({200}), SERVER_ERRORS | {TOO_MANY}),
    "pagerduty": Statuses(frozenset({200, 202}), SERVER_ERRORS | {TOO_MANY}),
    "webhook": Statuses(frozenset(range(200, 300)), SERVER_ERRORS | {408, 425, TOO_MANY}),
    "alertmanager": Statuses(frozenset({200}), SERVER_ERRORS | {408, TOO_MANY}),
    "sentry": Statuses(frozenset({200}), SERVER_ERRORS | {TOO_MANY}),
}


def check(channel: str, answer: Answer) -> None:
    """Returns if the channel took it. Raises Retryable or Permanent as its statuses say."""
    statuses, status = CHANNELS[channel], answer.status
    if status in statuses.good:
        return
    said = f"{channel} answered with status {status}"
    if status in statuses.retried:
        cause = Cause.RATE_LIMITED if status == TOO_MANY else Cause.SERVER
        raise Retryable(said, answer.retry_after_s, cause)
    if status in REDIRECTS:
        raise Permanent(f"{said}: redirects are not followed", Cause.CLIENT)
    raise Permanent(said, Cause.AUTH if status in REFUSED_LOGINS else Cause.CLIENT)
