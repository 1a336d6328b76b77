import json
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guardrails.asked import cut

from bartizan.guardrails.pii import Pii, PiiConfig
from bartizan.plugins.unescaped import Unescaped, has_escapes, without_escapes

PII = Pii(PiiConfig())
EMAIL = "pii.email_address"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r'{"a": "jane\u0040example.com"}', r"jane\u0040example.com"),
        (r'{"a": "{\"b\": \"jane\\u0040example.com\"}"}', r"jane\\u0040example.com"),
        (r'"Write to\njane@example.com\n"', "jane@example.com"),
        (r"'\x6aane@example.com'", r"\x6aane@example.com"),
        (r'"\ud83d\ude00 jane@example.com"', "jane@example.com"),
        (r"C:\temp jane@example.com", "jane@example.com"),
        ("https://h/?email=jane%40example.com&x=1", "jane%40example.com"),
        ("https://h/?email=jane%2540example.com&x=1", "jane%2540example.com"),
        ("https://h/?q=%C3%A9%20jane%40example.com", "jane%40example.com"),
        ("100%ff jane@example.com", "jane@example.com"),
    ],
)
def test_what_escapes_hide_is_found(text: str, found: str) -> None:
    assert cut(PII, text) == [(EMAIL, found)]


@pytest.mark.parametrize("before", ["\n", "\t", "\u4e2d\uff1a", '"'])
def test_an_escape_before_a_number_hides_it_not(before: str) -> None:
    text = json.dumps(json.dumps({"a": f"x{before}415-555-0132"}))
    assert cut(PII, text) == [("pii.phone_number", "415-555-0132")]


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\%\"'/n\u00e9")))
def test_what_was_escaped_reads_as_it_was(text: str) -> None:
    plain = text.replace("\\", "/").replace("%", "")
    for escaped in (json.dumps(plain), json.dumps(json.dumps(plain)[1:-1])):
        assert Unescaped(escaped[1:-1]).text == plain
    assert Unescaped(urllib.parse.quote(plain)).text == plain


@given(st.text(st.sampled_from('\\%un0049aAbB"/x ') | st.characters(), max_size=60), st.data())
def test_a_stretch_is_where_it_was(text: str, data: st.DataObject) -> None:
    read = Unescaped(text)
    places = [read.original(at, at + 1) for at in range(len(read.text))]
    assert all(one[1] <= other[0] for one, other in pairwise(places))
    for (start, end), char in zip(places, read.text, strict=True):
        assert text[start:end] == char or has_escapes(text[start:end])
    assert has_escapes(text) or read.text == text
    if read.text:
        start = data.draw(st.integers(0, len(read.text) - 1))
        assert read.original(start, len(read.text)) == (places[start][0], places[-1][1])


def test_a_scan_reads_what_matters() -> None:
    assert without_escapes(r"a\n415\t1\/2") == "a\n415\t1/2"
    assert without_escapes(r"jane\u0040example.com") == "jane@example.com"
