"""What must not leave the process."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.recording import TRACE_ID, Recording

from bartizan.client import Bartizan, InvalidArgument
from bartizan.client._recording.feedback import Feedback
from bartizan.client._recording.redaction import WITHHELD, make_redactor
from bartizan.v1 import evaluation_pb2

SECRET = "sk-abc123"


def fill(bz: Recording, secret: str) -> bytes:
    """Records a span with a secret in everything that holds text, and returns what would leave."""
    span = bz.span(f"name {secret}", user_id=secret, model=secret, tool_name=secret)
    span.set_input(
        [{"role": "user", "content": secret}, {"role": "tool", "content": {"k": secret}}]
    )
    span.set_output({"deep": [{secret: secret}]}).add_tags(secret)
    span.set_attribute(f"key {secret}", {"a": [secret]}).set_attribute("text", secret)
    span.add_event(secret, detail=secret).set_error(ValueError(secret)).end()
    return bz.records[0].encode()


@pytest.mark.parametrize(
    "redaction",
    [
        [r"sk-\w+"], r"sk-\w+", re.compile(r"sk-\w+"), {"key": r"sk-\w+"},
        lambda text: text.replace(SECRET, "[KEY]"),
    ],
)  # fmt: skip
def test_nothing_of_it_leaves(redaction: object) -> None:
    assert SECRET.encode() in fill(Recording(), SECRET)
    assert SECRET.encode() not in fill(Recording(redact=redaction), SECRET)  # type: ignore[arg-type]


def test_json_stays_json() -> None:
    bz = Recording(redact={"number": r"\d+"})
    bz.span("x").set_input({"a": "12", "b": [34, "5 6"]}).end()
    assert bz.only.input[0].content == '{"a": "[NUMBER]", "b": [34, "[NUMBER] [NUMBER]"]}'


def test_names_are_no_templates() -> None:
    redact = make_redactor({r"\1\g<0>": "secret"})
    assert redact is not None
    assert redact("a secret") == r"a [\1\G<0>]"


def broken(text: str) -> str:
    raise ValueError(text)


@pytest.mark.parametrize("redact", [broken, lambda text: None, lambda text: 7])
def test_a_callback_that_fails_withholds_the_text(redact: object) -> None:
    bz = Recording(redact=redact)  # type: ignore[arg-type]
    assert SECRET.encode() not in fill(bz, SECRET)
    assert bz.only.input[0].content == WITHHELD


@pytest.mark.parametrize("redact", [["("], {"x": "[z-a]"}, [7]])
def test_a_wrong_pattern_is_told_at_once(redact: object) -> None:
    with pytest.raises(InvalidArgument, match="no regular expression"):
        Bartizan("key", "localhost:1", redact=redact)  # type: ignore[arg-type]


@given(st.text(), st.text())
def test_the_pattern_is_gone(before: str, after: str) -> None:
    redact = make_redactor([r"sk-[a-z0-9]+"])
    assert redact is not None
    assert not re.search(r"sk-[a-z0-9]+", redact(f"{before}{SECRET}{after}"))


def test_feedback_is_redacted() -> None:
    redact = make_redactor([r"sk-\w+"])
    record = Feedback(
        "a" * 32, TRACE_ID, 5, redact, rating=80, comment=SECRET, correction=SECRET, user_id=SECRET
    )
    assert SECRET.encode() not in record.encode()
    decoded = evaluation_pb2.Feedback.FromString(record.encode())
    assert (decoded.trace_id, decoded.rating, decoded.comment) == (TRACE_ID, 80, "[REDACTED]")
