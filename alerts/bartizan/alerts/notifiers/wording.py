"""What a notification says to people, before a channel gives it its form.

In the order in which somebody woken at night asks: how bad, what, since when, how far over, where,
and the links to why it fired and to silence it.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from bartizan.plugins.notification import Notification, NotifiedAlert, Severity, Status

NOT_WHERE = frozenset({"alertname", "severity", "rule"})
"""Labels that the first line says already."""

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
CONTROLS_IN_LINE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]+")
INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
"""They make a text look like another one, or cannot be encoded."""

TO_SILENCE = frozenset({Status.FIRING, Status.ACKNOWLEDGED})
MAX_LABEL = 200
MAX_URL = 2_000
"""Longer ones are cut by some mail programs, and then lead elsewhere."""

MAX_FACTS = 8


class Fact(NamedTuple):
    """One thing to know: `Value`, `12.4 % (threshold > 5 %)`."""

    name: str
    value: str


class Link(NamedTuple):
    """One place to go."""

    text: str
    url: str


class Line(NamedTuple):
    """One alert of several.

    Attributes:
        url: why it fired, or its page.
    """

    text: str
    is_firing: bool
    since: datetime
    url: str


@dataclass(frozen=True, slots=True)
class Message:
    """What is said. Single lines without control characters, but for `summary`.

    Attributes:
        word: `CRITICAL`, `ACKNOWLEDGED`, `RESOLVED`.
        since: when the oldest of the alerts began; None if there are none.
        lasted: how long, once resolved; else empty.
        lines: one for each alert, if there are several.
        more: how many alerts are not shown.
        reason: why it is sent.
    """

    word: str
    title: str
    summary: str
    since: datetime | None
    lasted: str
    facts: tuple[Fact, ...]
    lines: tuple[Line, ...]
    more: int
    links: tuple[Link, ...]
    reason: str

    @property
    def headline(self) -> str:
        """The first line: how bad and what."""
        return f"{self.word}: {self.title}"


def message_of(notification: Notification, most_lines: int) -> Message:
    """Returns what `notification` says, with at most `most_lines` alerts one by one."""
    alerts = notification.alerts
    since = min((alert.starts_at for alert in alerts), default=None)
    shown = alerts[:most_lines] if len(alerts) > 1 else ()
    title = clean(notification.title, MAX_LABEL) or clean(alertname(notification), MAX_LABEL)
    summary = clean_lines(notification.summary, 1_024)
    return Message(
        word=word(notification),
        title=title,
        summary="" if summary == title else summary,
        since=since,
        lasted=_lasted(alerts) if notification.status is Status.RESOLVED else "",
        facts=tuple(_facts(notification))[:MAX_FACTS],
        lines=tuple(_line(alert, notification.common_labels) for alert in shown),
        more=(len(alerts) - len(shown) if shown else 0) + notification.truncated,
        links=tuple(links(notification)),
        reason=_reason(notification),
    )


def word(notification: Notification) -> str:
    """Returns how bad it is, or that it no longer is."""
    if notification.status is Status.FIRING:
        return notification.severity.value.upper()
    return notification.status.value.upper()


def colour(notification: Notification) -> str:
    """Returns the colour of `word`, six hexadecimal digits. Words say the same."""
    if notification.status is Status.RESOLVED:
        return "2e8540"
    if notification.status is Status.ACKNOWLEDGED:
        return "b58900"
    return {
        Severity.CRITICAL: "c9252d",
        Severity.ERROR: "d9480f",
        Severity.WARNING: "e0a800",
        Severity.INFO: "2b6cb0",
    }[notification.severity]


def alertname(notification: Notification) -> str:
    """Returns the name of the rule."""
    return notification.common_labels.get("alertname", "") or notification.reason.value


def links(notification: Notification) -> Iterator[Link]:
    """Yields where to go: of the first alert, which is the one that fires longest or worst."""
    first = notification.alerts[0] if notification.alerts else None
    found = {
        "Why it fired": first.why_url if first else "",
        "Silence": first.silence_url if first and notification.status in TO_SILENCE else "",
        "Open": (first.url if first else "") or notification.external_url,
        "Runbook": notification.common_annotations.get("runbook_url", ""),
    }
    for text, url in found.items():
        if safe := safe_url(url):
            yield Link(text, safe)


def safe_url(url: str) -> str:
    """Returns `url` if it may be clicked on, fit for every channel; else nothing."""
    if not url.isprintable() or not url.isascii() or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return ""
    for character in "<>|\"'`\\":
        url = url.replace(character, f"%{ord(character):02X}")
    return url if len(url) <= MAX_URL else ""


def clean(text: str, most: int) -> str:
    """Returns `text` as one line without control or invisible characters, clipped."""
    return clipped(CONTROLS.sub(" ", INVISIBLE.sub("", text)).strip(), most)


def clean_lines(text: str, most: int) -> str:
    """Returns `text` without control or invisible characters but for line ends, clipped."""
    return clipped(CONTROLS_IN_LINE.sub(" ", INVISIBLE.sub("", text)).strip(), most)


def clipped(text: str, most: int) -> str:
    """Returns at most `most` characters; says with `…` that there were more."""
    return text if len(text) <= most else text[: most - 1] + "…"


def measured(alert: NotifiedAlert) -> str:
    """Returns the value against the threshold: `12.4 % (threshold > 5 %)`."""
    if alert.value is None:
        return "no data"
    told = quantity(alert.value, alert.unit)
    if alert.threshold is None:
        return told
    operator = clean(f"{alert.operator} ", 4).lstrip() if alert.operator else ""
    against = quantity(alert.threshold, alert.unit)
    return f"{told} (threshold {operator}{' ' if operator else ''}{against})"


def quantity(value: float, unit: str) -> str:
    """Returns a number as people say it: `12.4 %`, `1.2 s`, `$3.10`."""
    if not math.isfinite(value):
        return "no number"
    if unit == "ratio":
        return f"{number(value * 100)} %"
    if unit == "USD":
        return f"${value:,.2f}"
    if unit == "ms" and abs(value) >= 1_000:
        value, unit = value / 1_000, "s"
    if unit == "s" and abs(value) >= 120:
        return duration(value)
    return f"{number(value)} {clean(unit, 20)}".strip()


def number(value: float) -> str:
    """Returns three digits that count, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """Returns a time span in its two largest units: `3 h 5 min`."""
    left = round(abs(seconds))
    told = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, size)
        if count:
            told.append(f"{count} {unit}")
    return " ".join(told[:2]) or "0 s"


def moment(time: datetime) -> str:
    """Returns a time as everybody reads it: `2026-11-20 03:12 UTC`."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def labels_text(labels: Mapping[str, str]) -> str:
    """Returns labels in one line: `agent=checkout environment=prod`."""
    pairs = sorted(labels.items())
    return " ".join(f"{clean(name, 60)}={clean(value, MAX_LABEL)}" for name, value in pairs)


def where(labels: Mapping[str, str]) -> dict[str, str]:
    """Returns the labels that say where it is."""
    return {name: value for name, value in labels.items() if name not in NOT_WHERE and value}


def _facts(notification: Notification) -> Iterator[Fact]:
    alerts = notification.alerts
    if len(alerts) == 1:
        yield Fact("Value", measured(alerts[0]))
    elif alerts:
        firing = sum(alert.is_firing for alert in alerts)
        more = f", and {notification.truncated} more" if notification.truncated else ""
        yield Fact("Alerts", f"{firing} firing, {len(alerts) - firing} resolved{more}")
    if notification.acknowledged_by:
        yield Fact("Acknowledged by", clean(notification.acknowledged_by, MAX_LABEL))
    if any(alert.flapping for alert in alerts):
        yield Fact("Flapping", "it has come and gone often of late")
    for name, value in sorted(where(notification.common_labels).items()):
        yield Fact(clean(name, 60).replace("_", " ").capitalize(), clean(value, MAX_LABEL))


def _line(alert: NotifiedAlert, common: Mapping[str, str]) -> Line:
    own = {name: value for name, value in alert.labels.items() if common.get(name) != value}
    name = labels_text(where(own)) or labels_text(where(alert.labels)) or alert.fingerprint
    url = safe_url(alert.why_url) or safe_url(alert.url)
    text = f"{clipped(name, 240)}: {measured(alert)}"
    return Line(text, alert.is_firing, alert.starts_at, url)


def _lasted(alerts: tuple[NotifiedAlert, ...]) -> str:
    ends = [alert.ends_at for alert in alerts if alert.ends_at is not None]
    if not ends:
        return ""
    begun = min(alert.starts_at for alert in alerts)
    return duration((max(ends) - begun).total_seconds())


def _reason(notification: Notification) -> str:
    number_told = f", number {notification.number}" if notification.number > 1 else ""
    return f"{notification.reason.value}{number_told}"
