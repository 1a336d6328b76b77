import itertools
import json
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bartizan.plugins.redact import Span, redact
from bartizan.plugins.rules import Redaction

KEY = b"0123456789abcdef"


def redacted(value: str, *found: str, how: Redaction = Redaction.MASK) -> str:
    """Returns a text without what was found, the first time it stands there."""
    starts = [value.index(one) for one in found]
    spans = [
        Span(start, start + len(one), "pii.phone_number", 1.0, how)
        for start, one in zip(starts, found, strict=True)
    ]
    return redact(value, spans, KEY)


@pytest.mark.parametrize(
    ("value", "found", "left"),
    [
        ('{"a": 4155550132}', "4155550132", '{"a": "[PHONE_NUMBER]"}'),
        ('{"a": [1, 4155550132]}', "555", '{"a": [1, "[PHONE_NUMBER]"]}'),
        ('{"a": true, "b": null}', 'true, "b": null', None),
        ('{"415-555-0132": 1}', "415-555-0132", '{"[PHONE_NUMBER]": 1}'),
        ('"a \\n415-555-0132"', "n415-555-0132", '"a [PHONE_NUMBER]"'),
        (r'{"a": "\u0034155"}', "0034155", '{"a": "[PHONE_NUMBER]"}'),
        (r'{"a": "x\"415\"y"}', '"415\\', r'{"a": "x[PHONE_NUMBER]y"}'),
        (r'{"a": "\ud83d\ude00x"}', r"\ude00", '{"a": "[PHONE_NUMBER]x"}'),
        (r'{"a": "{\"b\": 4155550132}"}', "4155550132", r'{"a": "{\"b\": \"[PHONE_NUMBER]\"}"}'),
        (r'{"a": "[\"\\u0034155\"]"}', "155", r'{"a": "[\"\\u0034[PHONE_NUMBER]\"]"}'),
        ('{"a": "see \\"b\\": 4155550132, c"}', "4155550132", None),
        ('  [4155550132]\n{"a": 1}', "4155550132", '  ["[PHONE_NUMBER]"]\n{"a": 1}'),
        ('[1, "a", 4155550132', "4155550132", '[1, "a", "[PHONE_NUMBER]"'),
        (' 2, "phone": 4155550132, "c"', "4155550132", ' 2, "phone": "[PHONE_NUMBER]", "c"'),
        (r"\"phone\": 4155550132}", "155550132", r"\"phone\": \"[PHONE_NUMBER]\"}"),
        (r' cut"], "b": "\n415"', "n415", ' cut"], "b": "[PHONE_NUMBER]"'),
        ("x = {'phone': 4155550132}", "4155550132", "x = {'phone': '[PHONE_NUMBER]'}"),
        (r"C:\temp\n415", "n415", r"C:\temp\[PHONE_NUMBER]"),
        ("[415-555-0132] a", "415-555-0132", "[[PHONE_NUMBER]] a"),
        ('"415-555-0132," she said', "415-555-0132", '"[PHONE_NUMBER]," she said'),
        ("4155550132", "4155550132", "[PHONE_NUMBER]"),
    ],
)
def test_what_is_left_keeps_its_structure(value: str, found: str, left: str | None) -> None:
    assert found in value
    if left is not None:
        assert redacted(value, found) == left
    if _parses(value) and value[0] in '"[{':
        assert _parses(redacted(value, found))
        assert _parses(redacted(value, found, how=Redaction.DROP))


def test_what_spans_several_tokens_is_taken_token_by_token() -> None:
    value = '{"first": "Jane", "last": "Doe", "n": 7}'
    assert redacted(value, 'ane", "last": "D') == (
        '{"first": "J[PHONE_NUMBER]", "[PHONE_NUMBER]": "[PHONE_NUMBER]oe", "n": 7}'
    )
    assert redacted("[1, 2]", "1, 2", how=Redaction.DROP) == '["", ""]'
    assert redacted("[12345]", "12", "45") == '["[PHONE_NUMBER]"]'


def test_a_hash_is_the_same_however_a_value_is_escaped() -> None:
    plain = redacted('{"a": "é4155550132"}', "é4155550132", how=Redaction.HASH)
    escaped = redacted(r'{"a": "\u00e94155550132"}', r"\u00e94155550132", how=Redaction.HASH)
    assert plain == escaped


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgres://app:s3cr3t@db:5432/app", "s3cr3t"),
        ("https://jane@example.com/x?y=1", "jane@example.com"),
        ("http://10.1.2.3:8080/a", "10.1.2.3"),
        ("https://h.org/?email=jane%40example.com&x=1", "jane%40example.com"),
        ("https://h.org/jane/#jane@example.com", "jane@example.com"),
    ],
)
def test_a_url_can_still_be_read(url: str, found: str) -> None:
    for how in (Redaction.MASK, Redaction.HASH):
        value = json.dumps({"a": f"see {url} there"})
        left = json.loads(redacted(value, found, how=how))["a"].split()[1]
        read, before = urlsplit(left), urlsplit(url)
        assert (read.scheme, read.port, bool(read.path)) == (
            before.scheme,
            before.port,
            bool(before.path),
        )
        assert parse_qs(read.query).keys() == parse_qs(before.query).keys()
        assert "PHONE_NUMBER" in left
        assert found not in left


class Writer:
    """Writes documents of JSON in which no character stands twice, and knows where they stand."""

    def __init__(self) -> None:
        self.fresh = (chr(code) for code in itertools.count(0x4E00))
        self.digits = itertools.count(1_000_000)

    def write(self, draw: st.DrawFn, depth: int) -> str:
        kind = draw(st.sampled_from("ssnlaoj" if depth else "aoj"))
        if kind == "n":
            return str(next(self.digits)) + draw(st.sampled_from(["", ".5", "e3"]))
        if kind == "l":
            return draw(st.sampled_from(["true", "false", "null"]))
        if kind == "s" or depth > 4:
            return self.string(draw)
        if kind == "j":
            return json.dumps(self.write(draw, depth + 1), ensure_ascii=draw(st.booleans()))
        parts = [self.write(draw, depth + 1) for _ in range(draw(st.integers(0, 3)))]
        space = draw(st.sampled_from(["", " ", "\n  "]))
        if kind == "a":
            return "[" + f",{space}".join(parts) + "]"
        return "{" + f",{space}".join(f"{self.string(draw)}:{space}{one}" for one in parts) + "}"

    def string(self, draw: st.DrawFn) -> str:
        pieces = draw(
            st.lists(st.sampled_from(["plain", "escaped", r"\n", r"\"", r"\\", "/", "x:"]))
        )
        made = []
        for one in pieces[:6]:
            if one in ("plain", "escaped"):
                char = next(self.fresh)
                made.append(char if one == "plain" else json.dumps(char)[1:-1])
            else:
                made.append(one)
        return f'"{"".join(made)}"'


@st.composite
def documents_and_spans(draw: st.DrawFn) -> tuple[str, list[Span]]:
    value = Writer().write(draw, 0)
    place = st.integers(0, len(value))
    drawn = draw(st.lists(st.tuples(place, place, st.sampled_from(Redaction)), max_size=5))
    return value, [Span(min(one, two), max(one, two), "pii.x", 0.5, how) for one, two, how in drawn]


@settings(max_examples=300, deadline=None)
@given(documents_and_spans())
@example(('{"a": "\\\\"}', [Span(7, 8, "pii.x", 0.5, Redaction.MASK)]))
def test_json_stays_json_without_what_was_found(drawn: tuple[str, list[Span]]) -> None:
    value, spans = drawn
    left = redact(value, spans, KEY)
    before, after = leaves_of(value), leaves_of(left)
    gone = {char for one in spans for char in value[one.start : one.end] if char >= "\u4e00"}
    assert gone.isdisjoint(left)
    if not spans or all(one.start == one.end for one in spans):
        assert left == value
    assert len(before) == len(after)
    for one, other in zip(before, after, strict=True):
        # An escaped character of CJK is six characters of ASCII, perhaps cut by a span.
        assert one == other or isinstance(other, str)


@settings(max_examples=200, deadline=None)
@given(documents_and_spans(), st.data())
def test_what_no_span_touches_is_as_it_was(
    drawn: tuple[str, list[Span]], data: st.DataObject
) -> None:
    value, spans = drawn
    left = redact(value, [one for one in spans if one.end - one.start < 4][:1], KEY)
    if spans and left != value and spans[0].end - spans[0].start < 4:
        one = spans[0]
        # Widened at most to an escape, or to the whole of a number.
        assert left.startswith(value[: max(0, one.start - 40)])
        assert left.endswith(value[min(len(value), one.end + 40) :])


@settings(max_examples=200, deadline=None)
@given(documents_and_spans(), st.lists(st.integers(0, 1_000), max_size=4))
def test_pieces_of_json_are_no_trouble(drawn: tuple[str, list[Span]], cuts: list[int]) -> None:
    value, spans = drawn
    borders = sorted({0, len(value), *(min(cut, len(value)) for cut in cuts)})
    for low, high in itertools.pairwise(borders):
        part = value[low:high]
        inside = [one for one in spans if one.end <= len(part)]
        gone = {char for one in inside for char in part[one.start : one.end] if char >= "\u4e00"}
        assert gone.isdisjoint(redact(part, inside, KEY))


@pytest.mark.parametrize(
    "value",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        '"' + "\\" * 200_001,
        '["' + "\\\\" * 100_000 + '", 1]',
        json.dumps([{"a": number, "b": "x\n"} for number in range(20_000)]),
        "://" * 60_000,
        "-" * 100_000 + '"a": 1',
    ],
)
def test_large_texts_are_bounded(value: str) -> None:
    spans = [Span(at, at + 2, "pii.x", 0.5, Redaction.MASK) for at in range(0, len(value) - 2, 100)]
    before = time.process_time()
    redact(value, spans, KEY)
    assert time.process_time() - before < 5


def test_json_in_json_in_json() -> None:
    value = json.dumps(4155550132)
    for _ in range(4):
        value = json.dumps({"a": value})
    left = redacted(value, "4155550132")
    for _ in range(4):
        left = json.loads(left)["a"]
    assert left == "[PHONE_NUMBER]"


def leaves_of(value: str) -> list[object]:
    """Returns all strings, keys too, and all other values. Keys that are the same count each."""
    return list(_leaves(json.loads(value, object_pairs_hook=lambda pairs: [*map(list, pairs)])))


def _leaves(document: object) -> Iterator[object]:
    if isinstance(document, list):
        for value in document:
            yield from _leaves(value)
    else:
        yield document


def _parses(value: str) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True
