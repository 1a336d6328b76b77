from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.notifiers.golden import resolved, same_as, several

from bartizan.alerts.notifiers.mail_message import Envelope, mail_of
from bartizan.alerts.notifiers.mail_text import plain_text
from bartizan.alerts.notifiers.wording import message_of
from bartizan.plugins.notification import Notification
from bartizan.plugins.notifier_testing import ODD_TEXTS, notification, odd

SILENCE = "https://bartizan.example.com/silences/new?alert=a1"
NOW = datetime(2026, 11, 20, 3, 15, tzinfo=UTC)
ENVELOPE = Envelope(
    Address("Bartizan", "alerts", "bartizan.example"), ("jane@example.com", "joe@example.com")
)
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
    "X-Auto-Response-Suppress", "X-Bartizan-Status", "X-Bartizan-Severity", "Importance",
    "MIME-Version", "Content-Type",
}  # fmt: skip


def rendered(told: Notification) -> bytes:
    return mail_of(told, ENVELOPE, NOW).as_bytes()


def test_what_on_call_reads() -> None:
    same_as("mail_firing.eml", rendered(notification()).decode().replace("\r\n", "\n"))
    thread = {"root": "<a@x>", "last": "<b@x>", "subject": "[CRITICAL] It is high"}
    over = resolved(thread=thread, acknowledged_by="jane")
    same_as("mail_resolved.eml", rendered(over).decode().replace("\r\n", "\n"))
    same_as("mail_several.txt", plain_text(message_of(several(), 25)))


def unharmed(mail: bytes) -> None:
    parsed = message_from_bytes(mail, policy=default)
    assert set(parsed.keys()) <= HEADERS
    assert len(parsed.keys()) == len(set(parsed.keys()))
    assert parsed["To"] == ", ".join(ENVELOPE.recipients)
    assert parsed.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parsed.walk()][1:] == ["text/plain", "text/html"]
    assert mail.isascii()


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_no_label_gets_into_the_headers(text: str) -> None:
    thread = {"root": text, "last": text, "subject": text}
    for told in (odd(text), replace(odd(text), thread=thread, number=2)):
        unharmed(rendered(told))


@given(st.text(st.characters(), max_size=300))
def test_no_text_gets_into_the_headers(text: str) -> None:
    thread = {"root": text, "last": text, "subject": text}
    unharmed(rendered(replace(odd(text), thread=thread, number=2)))


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "javascript:a()"])
def test_no_label_gets_into_the_page(text: str) -> None:
    parsed = message_from_bytes(rendered(odd(text)), policy=default)
    page = parsed.get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script" not in page
    assert "<img" not in page
    assert [part.split('"')[0] for part in page.split('href="')[1:]] == [SILENCE]
