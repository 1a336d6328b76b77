import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.guardrails.pii_texts import texts

from bartizan.guardrails.engine.choice import Choice
from bartizan.guardrails.engine.personal_data import PersonalData
from bartizan.guardrails.engine.prefilter import Prefilter, condition, digits_outside_ascii, encode


@settings(max_examples=200, deadline=None)
@given(st.lists(texts, max_size=6))
@example(["\0jane@example.com", "x"])
@example(["\ud800 jane@example.com", "\u00e9 596-88-3094", "plain"])
def test_the_prefilter_never_changes_the_answer(
    personal_data: PersonalData, values: list[str]
) -> None:
    candidates = set(personal_data.candidates(values))
    for index, value in enumerate(values):
        thorough = personal_data.find_thoroughly(value)
        assert personal_data.find(value) == thorough
        assert index in candidates or not thorough


@settings(max_examples=60, deadline=None)
@given(texts)
def test_nor_with_every_entity_down_to_the_faintest(everything: PersonalData, value: str) -> None:
    thorough = everything.find_thoroughly(value)
    assert everything.find(value) == thorough
    assert everything.candidates([value]) or not thorough


NUMBERS = Prefilter([condition([(r"(?<![a-z])\d{3}", 0)])])


@given(st.lists(st.text("a1\u00e9\u0661 ", max_size=6), max_size=8))
def test_hits_belong_to_their_own_text(values: list[str]) -> None:
    expected = [index for index, value in enumerate(values) if re.search(r"(?<![a-z])\d{3}", value)]
    assert set(expected) <= set(NUMBERS.candidates(values))


def test_a_match_does_not_reach_into_the_next_text() -> None:
    assert list(NUMBERS.candidates(["11", "1", "x111", "111", "a"])) == [3]


def test_what_has_no_condition_is_always_looked_at() -> None:
    assert condition([(r"(a)?(?(1)b|c)", 0)]) is None
    assert list(Prefilter([None, condition([("a", 0)])]).candidates(["x", "y"])) == [0, 1]


def test_a_choice_is_the_same_when_tested_together_and_alone() -> None:
    conditions = {name: condition([(name, 0)]) for name in ("ab", "cd", "e")} | {"any": None}
    for value in ("", "ab", "xcd", "ecdab", "\u00e9e", "\u00e9ab cd", "a\0b"):
        together = Choice(conditions, ("ab", "cd"), ("cd", "e")).of(value, encode(value))
        assert set(together) == set(Choice(conditions).of(value, encode(value)))
        assert set(together) >= {"any"} | {name for name in ("ab", "cd", "e") if name in value}


@pytest.mark.parametrize("char", ["\u0661", "\uff11", "\U0001d7d8"])
def test_digits_of_other_scripts_are_known(char: str) -> None:
    assert f"{ord(char):x}}}" in digits_outside_ascii()
