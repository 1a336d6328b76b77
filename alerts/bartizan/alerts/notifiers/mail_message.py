"""A notification as a mail: its headers, its thread and its two forms."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from bartizan.alerts.notifiers.mail_text import html, plain_text
from bartizan.alerts.notifiers.wording import clean, colour, message_of
from bartizan.plugins.notification import Notification, Severity, Status

MAX_LINES = 25
MAX_SUBJECT = 150
POLICY = SMTP.clone(cte_type="7bit")
"""Every server takes seven bits, whatever it offers."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom."""

    sender: Address
    recipients: tuple[str, ...]


def mail_of(notification: Notification, envelope: Envelope, now: datetime) -> EmailMessage:
    """Returns the mail. Its `Message-ID` stays the same when it is sent again."""
    mail = EmailMessage(policy=POLICY)
    identity = message_id(notification, envelope.sender.domain)
    mail["From"] = envelope.sender
    mail["To"] = ", ".join(envelope.recipients)
    mail["Subject"] = subject(notification)
    mail["Date"] = format_datetime(now.astimezone(UTC))
    mail["Message-ID"] = identity
    _put_in_thread(mail, notification)
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail["X-Bartizan-Status"] = notification.status.value
    mail["X-Bartizan-Severity"] = notification.severity.value
    if notification.status is Status.FIRING and notification.severity is Severity.CRITICAL:
        mail["Importance"] = "high"
    message = message_of(notification, MAX_LINES)
    mail.set_content(plain_text(message), cte="quoted-printable")
    form = html(message, colour(notification))
    mail.add_alternative(form, subtype="html", cte="quoted-printable")
    mail.set_boundary(f"bartizan-{hashlib.sha256(identity.encode()).hexdigest()[:24]}")
    return mail


def thread_of(notification: Notification, mail: EmailMessage) -> dict[str, str]:
    """Returns what the next mail of the thread has to know."""
    identity = str(mail["Message-ID"])
    root = notification.thread.get("root") or identity
    first = notification.thread.get("subject") or str(mail["Subject"])
    return {"root": root, "last": identity, "subject": first}


def subject(notification: Notification) -> str:
    """Returns `[CRITICAL] what`, and for what follows `Re:` and the same.

    Some mail programs keep a thread together only as long as the subject stays.
    """
    if first := clean(notification.thread.get("subject", ""), MAX_SUBJECT):
        return f"Re: {first}"
    message = message_of(notification, 0)
    return clean(f"[{message.word}] {message.title}", MAX_SUBJECT)


def message_id(notification: Notification, domain: str) -> str:
    """Returns the `Message-ID`: of the group, when its trouble began, and the number."""
    begun = min((alert.starts_at for alert in notification.alerts), default=None)
    since = "0" if begun is None else str(int(begun.timestamp()))
    key = hashlib.sha256(notification.key.encode()).hexdigest()[:32]
    return f"<{key}.{since}.{notification.number}@{domain}>"


def _put_in_thread(mail: EmailMessage, notification: Notification) -> None:
    known = [notification.thread.get(name, "") for name in ("root", "last")]
    ids = list(dict.fromkeys(clean(one, 250) for one in known if one))
    if ids:
        mail["In-Reply-To"] = ids[-1]
        mail["References"] = " ".join(ids)
