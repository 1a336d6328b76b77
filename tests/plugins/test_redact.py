import re

from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.redact import Span, joinable_hash, redact
from bartizan.plugins.rules import Redaction

KEY = b"0123456789abcdef"
CHARACTERS = st.characters(codec=None) | st.sampled_from("e\u0301\U0001f469\u200d\U0001f4bb\u202e")


def span(start: int, end: int, redaction: Redaction = Redaction.MASK, score: float = 1.0) -> Span:
    return Span(start, end, "pii.email_address", score, redaction)


@st.composite
def values_and_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    value = draw(st.text(CHARACTERS, max_size=60))
    place = st.integers(0, len(value))
    pairs = draw(st.lists(st.tuples(place, place, st.sampled_from(Redaction)), max_size=6))
    return value, [span(min(one, two), max(one, two), how) for one, two, how in pairs]


@given(values_and_spans())
def test_what_is_outside_stays_and_what_is_inside_goes(drawn: tuple[str, list[Span]]) -> None:
    value, spans = drawn
    inside = {place for one in spans for place in range(one.start, one.end)}
    parts = re.split(r"\[EMAIL_ADDRESS(?::[0-9a-f]{16})?\]", redact(value, spans, KEY))
    if "[" not in value:
        kept = "".join(char for place, char in enumerate(value) if place not in inside)
        assert "".join(parts) == kept


@given(st.text(CHARACTERS), st.text(CHARACTERS))
def test_no_redacted_text_survives(before: str, after: str) -> None:
    secret = "jane@example.com\U0001f469\u0301"
    value = before + secret + after
    start = len(before)
    for how in Redaction:
        redacted = redact(value, [span(start, start + len(secret), how)], KEY)
        if secret not in before + after:
            assert secret not in redacted
        assert redacted.startswith(before)
        assert redacted.endswith(after)


def test_styles() -> None:
    value = "to jane@x.org now"
    assert redact(value, [span(3, 13)], KEY) == "to [EMAIL_ADDRESS] now"
    assert redact(value, [span(3, 13, Redaction.DROP)], KEY) == "to  now"
    hashed = redact(value, [span(3, 13, Redaction.HASH)], KEY)
    assert re.fullmatch(r"to \[EMAIL_ADDRESS:[0-9a-f]{16}\] now", hashed)


def test_overlapping_spans_go_as_one_under_the_surest() -> None:
    spans = [
        Span(0, 6, "pii.url", 0.5, Redaction.MASK),
        Span(4, 10, "pii.email_address", 0.9, Redaction.HASH),
    ]
    assert redact("0123456789 end", spans, KEY) == "[EMAIL_ADDRESS] end"


def test_touching_spans_stay_apart() -> None:
    assert redact("abcd", [span(0, 2), span(2, 4)], KEY) == "[EMAIL_ADDRESS][EMAIL_ADDRESS]"


def test_a_hash_joins_what_is_written_differently() -> None:
    def number(found: str, key: bytes = KEY) -> str:
        return joinable_hash(found, "pii.phone_number", key)

    assert number("+1 (415) 555-0132") == number("+1.415.555.0132")
    assert joinable_hash("Jane@X.org", "pii.email_address", KEY) == joinable_hash(
        "jane@x.org", "pii.email_address", KEY
    )
    assert number("415-555-0132") != number("415-555-0133")
    assert number("415-555-0132") != number("415-555-0132", b"another key")
    assert number("415-555-0132") != joinable_hash("415-555-0132", "pii.us_ssn", KEY)
