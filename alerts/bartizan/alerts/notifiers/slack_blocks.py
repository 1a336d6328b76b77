"""The form of a notification in Slack: one line above a coloured bar of blocks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bartizan.alerts.notifiers.wording import (
    Line,
    Message,
    clean,
    clipped,
    colour,
    labels_text,
    measured,
    message_of,
    moment,
    where,
)
from bartizan.plugins.notification import Notification, Severity, Status

MAX_LINES = 10
MAX_TEXT = 2_900
"""Below Slack's 3,000 characters of a section."""

MAX_FIELD = 500
SIGNS: Mapping[str, str] = {
    Severity.CRITICAL: ":red_circle:",
    Severity.ERROR: ":large_orange_circle:",
    Severity.WARNING: ":large_yellow_circle:",
    Severity.INFO: ":large_blue_circle:",
    Status.ACKNOWLEDGED: ":eyes:",
    Status.RESOLVED: ":white_check_mark:",
}


def body_of(notification: Notification) -> dict[str, Any]:
    """Returns the message: what `chat.postMessage` and incoming webhooks share."""
    message = message_of(notification, MAX_LINES)
    return {
        "text": first_line(notification, message),
        "attachments": [{"color": f"#{colour(notification)}", "blocks": _blocks(message)}],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def reply_of(notification: Notification) -> dict[str, Any]:
    """Returns what is said under the message when something changes: what, and why again."""
    message = message_of(notification, MAX_LINES)
    said = [first_line(notification, message), f"_{escaped(message.reason, 200)}_"]
    by = notification.acknowledged_by
    if notification.status is Status.ACKNOWLEDGED and by:
        said.append(f"by {escaped(by, 200)}")
    if message.lasted:
        said.append(f"after {message.lasted}")
    if notification.status is Status.FIRING:
        said += _links(message)
    return {"text": " · ".join(said), "unfurl_links": False, "unfurl_media": False}


def first_line(notification: Notification, message: Message) -> str:
    """Returns what a phone shows: how bad, what, how far over, where."""
    known = notification.severity if notification.status is Status.FIRING else notification.status
    said = [f"{SIGNS[known]} *{message.word}* {escaped(message.title, 300)}"]
    if len(notification.alerts) == 1 and notification.status is Status.FIRING:
        said.append(escaped(measured(notification.alerts[0]), 120))
    if place := labels_text(where(notification.common_labels)):
        said.append(escaped(place, 400))
    return " · ".join(said)


def escaped(text: str, most: int) -> str:
    """Returns one line in which Slack finds no mention, link or entity, clipped."""
    return _entities(clean(text, most), most)


def _entities(text: str, most: int) -> str:
    def escape(plain: str) -> str:
        return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    told = escape(text)
    # An entity has up to five characters: clipped before, none is cut in two.
    return told if len(told) <= most else escape(clipped(text, most // 5))


def _blocks(message: Message) -> list[dict[str, Any]]:
    blocks = []
    if message.summary:
        blocks.append(_section(_entities(message.summary, MAX_TEXT)))
    fields = [_field(name, value) for name, value in _facts(message)]
    if fields:
        blocks.append({"type": "section", "fields": fields[:10]})
    if message.lines:
        blocks.append(_section(_lines(message)))
    if message.links:
        blocks.append(_section("  ·  ".join(_links(message))))
    said = {"type": "mrkdwn", "text": escaped(f"Bartizan · {message.reason}", 300)}
    return [*blocks, {"type": "context", "elements": [said]}]


def _links(message: Message) -> list[str]:
    """Returns the links that fit into a section together, the most wanted first."""
    left, told = MAX_TEXT, []
    for link in message.links:
        one = _link(link.url, link.text)
        left -= len(one) + 5
        if left > 0:
            told.append(one)
    return told


def _link(url: str, text: str) -> str:
    # Shortened it would lead elsewhere; `safe_url` has taken care of the rest.
    return f"<{url.replace('&', '&amp;')}|{text}>"


def _facts(message: Message) -> list[tuple[str, str]]:
    told = [(fact.name, escaped(fact.value, MAX_FIELD)) for fact in message.facts]
    if message.since is not None:
        lasted = f", lasted {message.lasted}" if message.lasted else ""
        told.insert(1, ("Since", f"{_local(message.since)}{lasted}"))
    return told


def _field(name: str, value: str) -> dict[str, Any]:
    text = f"*{escaped(name, 80)}*\n{value}"
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _lines(message: Message) -> str:
    told = ""
    shown = 0
    for line in message.lines:
        one = _line(line)
        if len(told) + len(one) > MAX_TEXT - 50:
            break
        told += one
        shown += 1
    more = message.more + len(message.lines) - shown
    return told + (f"… and {more} more" if more else "")


def _line(line: Line) -> str:
    sign = "•" if line.is_firing else ":white_check_mark:"
    link = f" {_link(line.url, 'why')}" if line.url else ""
    return f"{sign} {escaped(line.text, 400)}, since {_local(line.since)}{link}\n"


def _local(time: datetime) -> str:
    """Returns a time that Slack shows in the reader's own time zone."""
    return f"<!date^{int(time.timestamp())}^{{date_short_pretty}} {{time}}|{moment(time)}>"
