"""What a notifier is: the whole of what the author of a channel must know.

A notifier delivers one notification or raises NotifyError. Trying again, de-duplication, the
fallback channel and records are the dispatcher's. What it is given holds ids, numbers and reason
codes, never the text of a prompt or an answer; it adds none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol, runtime_checkable

MAX_SUMMARY = 1_024
"""Characters of a summary: what PagerDuty takes."""


class Status(StrEnum):
    """How a group of alerts stands."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How bad it is, in PagerDuty's words."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Reason(StrEnum):
    """Why a notification is sent: the first five in Alertmanager's words."""

    FIRST = "first notification"
    NEW_ALERTS = "new alerts added"
    SOME_RESOLVED = "some alerts resolved"
    ALL_RESOLVED = "all alerts resolved"
    REPEATED = "repeat interval elapsed"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "not acknowledged in time"
    LEVEL_CHANGED = "level changed"
    TEST = "test notification"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class NotifiedAlert:
    """One alert of a notification.

    Attributes:
        labels: its identity.
        annotations: text over ids, numbers and reason codes.
        starts_at: since when it fires, aware.
        ends_at: when it was resolved, aware; None while it fires.
        fingerprint: 16 hexadecimal digits over the labels.
        value: what was measured; None if there was no data.
        threshold: what `value` was held against.
        unit: of both: `ratio`, `ms`, `s`, `USD`, `tokens` …; empty for a plain number.
        operator: how they were held together: `>`, `>=`, `<`, `<=`.
        url: the page of the alert, or of a trace that shows it.
        silence_url: the page that silences it.
        why_url: the page that explains it.
        flapping: it has come and gone too often of late.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None = None
    fingerprint: str = ""
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    operator: str = ""
    url: str = ""
    silence_url: str = ""
    why_url: str = ""
    flapping: bool = False

    @property
    def is_firing(self) -> bool:
        """Whether it has not been resolved."""
        return self.ends_at is None


@dataclass(frozen=True, slots=True)
class Notification:
    """What a channel has to tell: one group of alerts, as it stands now.

    Attributes:
        key: the same for every notification of the group, across repeats and restarts: 64
            hexadecimal digits over project, rule and group.
        status: how the group stands.
        severity: of the worst alert.
        reason: why this is sent.
        title: one line: what is wrong.
        summary: a few sentences, at most MAX_SUMMARY characters.
        group_labels: what the group is grouped by.
        common_labels: what all its alerts share; `alertname` among them.
        common_annotations: what all its alerts share.
        alerts: the firing ones first. None for a test or a heartbeat.
        truncated: how many more alerts there are than `alerts` holds.
        external_url: the first page of this server; empty if it has no public address.
        receiver: the channel's name.
        acknowledged_by: who acknowledged, if somebody did.
        thread: what the channel answered to the notification before; empty for the first one.
        number: which notification of the thread this is, from 1. The same when it is tried again.
    """

    key: str
    status: Status
    severity: Severity
    reason: Reason
    title: str
    summary: str
    group_labels: Mapping[str, str] = field(default_factory=dict)
    common_labels: Mapping[str, str] = field(default_factory=dict)
    common_annotations: Mapping[str, str] = field(default_factory=dict)
    alerts: tuple[NotifiedAlert, ...] = ()
    truncated: int = 0
    external_url: str = ""
    receiver: str = ""
    acknowledged_by: str = ""
    thread: Mapping[str, str] = field(default_factory=dict)
    number: int = 1


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a notification that a channel took.

    Attributes:
        thread: what the channel wants back with the next notification of the thread.
        warning: what went wrong all the same, for people: `1 of 3 recipients refused`.
    """

    thread: Mapping[str, str] = field(default_factory=dict)
    warning: str = ""


class Cause(StrEnum):
    """Why a delivery failed, for metrics: Alertmanager's words."""

    CLIENT = "clientError"
    SERVER = "serverError"
    AUTH = "authError"
    RATE_LIMITED = "rateLimited"
    DEADLINE = "contextDeadlineExceeded"
    OTHER = "other"


class NotifyError(Exception):
    """The base of what a notifier raises. Raise Retryable or Permanent.

    Attributes:
        reason: for people. Never a secret, an address, a body that came back, or a text.
        cause: for metrics.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, reason: str, cause: Cause = Cause.OTHER) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Permanent(NotifyError):
    """Raised when trying again is of no use before somebody changes something."""


class Retryable(NotifyError):
    """Raised when the same may work later.

    Attributes:
        retry_after_s: how long the other side wants to be left alone, in seconds, if it said so.
    """

    retryable = True

    def __init__(
        self, reason: str, retry_after_s: float | None = None, cause: Cause = Cause.OTHER
    ) -> None:
        super().__init__(reason, cause)
        self.retry_after_s = retry_after_s


@runtime_checkable
class Notifier(Protocol):
    """Delivers notifications of one channel. One instance serves many concurrent calls."""

    async def notify(self, notification: Notification) -> Delivered:
        """Delivers one notification. Raises Retryable or Permanent, and nothing else."""
        ...

    async def aclose(self) -> None:
        """Lets go of everything. May be called before any delivery, and twice."""
        ...
