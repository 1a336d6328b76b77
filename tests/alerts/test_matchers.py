"""Matchers are read, written and applied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.alerts.matchers import Matcher, all_match, matches_everything, parse_matcher

NAMES = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "label", "holds"),
    [
        ("a=x", "x", True), ("a=x", "xy", False), ("a!=x", "y", True), ("a!=x", "x", False),
        ("a=~x.*", "xy", True), ("a=~x", "xy", False), ("a!~x|y", "z", True),
        ("a!~x|y", "y", False), ('a="x y"', "x y", True), (r'a="say \"hi\""', 'say "hi"', True),
        (" a =  x ", "x", True), ("a=", "", True), ('a=""', "", True), (r"a=~\d+", "12", True),
        (r'a=~"\d+"', "12", True), ("a=~é.", "éx", True), ("a=b=c", "b=c", True),
    ],
)  # fmt: skip
def test_applies(text: str, label: str, holds: bool) -> None:
    assert parse_matcher(text).matches({"a": label}) is holds


def test_a_label_that_is_not_there_is_empty() -> None:
    assert parse_matcher("a!=x").matches({})
    assert parse_matcher("a=~.*").matches({})
    assert not parse_matcher("a=~.+").matches({})
    assert matches_everything([parse_matcher("a!=x"), parse_matcher("b=~.*")])
    assert not matches_everything([parse_matcher("a!=x"), parse_matcher("b=y")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be a matcher such as"), ("a", "must be a matcher such as"),
        ("1a=x", "must be a matcher such as"), ("a=~(", "not an expression"),
        (r"a=~(x)\1", "not an expression"), ('a="x', "quoted and escaped as a whole"),
        ("a=" + "x" * 600, "500 characters"), ("a=~(x{1000}){1000}", "not an expression"),
    ],
)  # fmt: skip
def test_refuses(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_matcher(text)


@given(NAMES, st.text(max_size=30), st.booleans(), st.text(max_size=30))
def test_reads_what_it_writes(name: str, value: str, equal: bool, label: str) -> None:
    matcher = Matcher(name, value, is_equal=equal)
    again = parse_matcher(str(matcher))
    assert again == matcher
    assert again.matches({name: label}) is ((label == value) is equal)


@given(NAMES, st.from_regex(r"[a-z.*+\\d|\"]{0,10}", fullmatch=True), st.booleans())
def test_expressions_too(name: str, value: str, equal: bool) -> None:
    matcher = Matcher(name, value, True, equal)
    try:
        again = parse_matcher(str(matcher))
    except ValueError:
        return
    assert again == matcher


def test_all_have_to_match() -> None:
    matchers = [parse_matcher("a=1"), parse_matcher("b=2")]
    assert all_match(matchers, {"a": "1", "b": "2"})
    assert not all_match(matchers, {"a": "1"})
    assert all_match([], {})
