# ruff: noqa: RUF001 - letters whose case is odd are what this is about

import random
import threading
from collections.abc import Mapping

import pytest
import re2
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.engine.expressions import Expressions
from bartizan.guardrails.engine.keywords import Hit, Keyword, Keywords, folded, is_whole
from bartizan.guardrails.engine.looking import NobodyWaits
from bartizan.guardrails.patterns import Patterns
from bartizan.guardrails.patterns_config import MAX_PATTERNS, PatternsConfig
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.testing import GuardrailConformance

NEVER = threading.Event()


def patterns(*given: Mapping[str, object]) -> Patterns:
    return Patterns(PatternsConfig.model_validate({"patterns": given}))


class TestPatterns(GuardrailConformance):
    def make(self) -> Guardrail:
        return patterns(
            {"id": "names", "words": ["Jane", "fox", "lazy dog", "other digits"]},
            {"id": "numbers", "pattern": r"(?P<last>\d{4})\b|[^ ]+@"},
        )


def test_words_are_whole_and_in_any_case() -> None:
    guardrail = patterns({"id": "codename", "words": ["Bluebird", "Project X"], "score": 0.7})
    text = "BLUEBIRD, bluebirds, xBluebird and project x; Bluebird_2"
    assert cut(guardrail, text) == [
        ("pattern.codename", "BLUEBIRD"),
        ("pattern.codename", "project x"),
    ]
    assert {one.score for one in asked(guardrail, text)} == {0.7}


def test_parts_of_words_and_case_on_request() -> None:
    part = {"id": "part", "words": ["Ab"], "whole_word": False, "case_sensitive": True}
    assert cut(patterns(part), "xAby ab AB Ab") == [("pattern.part", "Ab"), ("pattern.part", "Ab")]


def test_what_overlaps_is_all_found() -> None:
    guardrail = patterns(
        {"id": "a", "words": ["new york", "york times"]},
        {"id": "b", "words": ["york", "New York Times"], "category": "place.us"},
    )
    assert cut(guardrail, "New York Times") == [
        ("pattern.a", "New York"),
        ("place.us", "New York Times"),
        ("place.us", "York"),
        ("pattern.a", "York Times"),
    ]


def test_the_named_group_is_what_is_found() -> None:
    ticket = {"id": "ticket", "pattern": r"ticket (?P<n>\d+)(?: for (?P<who>\w+))?"}
    assert cut(patterns(ticket), "Ticket 17 for Zoë, ticket 4") == [
        ("pattern.ticket", "17"),
        ("pattern.ticket", "Zo"),
        ("pattern.ticket", "4"),
    ]
    alone = {"id": "any", "pattern": "a(?P<x>x)?b"}
    assert cut(patterns(alone), "ab axb") == [("pattern.any", "ab"), ("pattern.any", "x")]


def test_an_expression_can_ask_for_whole_words() -> None:
    whole = {"id": "w", "pattern": "[a-z]{3}[0-9]", "whole_word": True}
    assert cut(patterns(whole), "éabc1 abc1, abc1x") == [("pattern.w", "abc1")]


@pytest.mark.parametrize("text", ["東京タワーへ行く", "ไปกรุงเทพมหานครพรุ่งนี้"])
def test_languages_without_spaces_have_words_too(text: str) -> None:
    words = {"id": "city", "words": ["東京", "กรุงเทพ"]}
    assert len(cut(patterns(words), text)) == 1


def test_a_combining_mark_goes_on_with_a_word() -> None:
    assert cut(patterns({"id": "w", "words": ["cafe"]}), "cafe\u0301 cafe") == [
        ("pattern.w", "cafe")
    ]


words = st.text("ab İιςσſKé", min_size=1, max_size=4).filter(str.strip)
written = st.text("abAB İιςσΣſSKKéÉ_-\ud800\0\U0001f600", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.lists(words, min_size=1, max_size=6, unique=True), written, st.booleans(), st.booleans())
@example(["a", "aa"], "aaaa", True, False)
def test_keywords_are_found_as_by_hand(
    given: list[str], text: str, exact: bool, whole: bool
) -> None:
    keywords = Keywords(
        [Keyword(word, owner, whole) for owner, word in enumerate(given)], case_sensitive=exact
    )
    told = list(keywords.find(text, NEVER))
    compared = text if exact else folded(text)
    by_hand = {
        Hit(start, start + len(word), owner)
        for owner, word in enumerate(given)
        for start in range(len(text) - len(word) + 1)
        if compared.startswith(word if exact else folded(word), start)
        and not (whole and not is_whole(text, start, start + len(word)))
    }
    assert set(told) == by_hand
    assert len(told) == len(by_hand)
    assert keywords.candidates([text]) or not by_hand


def test_case_folding_keeps_every_place() -> None:
    everything = "".join(map(chr, range(0x110000)))
    assert len(folded(everything)) == len(everything)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(["a+", "(?i)b", r"\bé", "^a", "a$", "[^a]b", r"\d{2}", "x*"])),
    st.text("aAbB é1\ud800\0", max_size=50),
)
def test_expressions_match_as_re2_does(given: list[str], text: str) -> None:
    readable = text.encode("utf-8", "replace").decode()
    assert sorted(Expressions(given).find(text, NEVER)) == sorted(
        (index, match.span())
        for index, pattern in enumerate(given)
        for match in re2.finditer(pattern, readable)
        if match.end() > match.start()
    )


def test_long_texts_are_searched_to_their_end() -> None:
    guardrail = patterns(
        {"id": "w", "words": ["needle", "hay"]}, {"id": "e", "pattern": "n[é ]{1,9}(?P<x>x+)$"}
    )
    text = "é" * 100_000 + " needle né x" + "x" * 900
    assert cut(guardrail, text) == [("pattern.w", "needle"), ("pattern.e", "x" * 901)]


def test_thousands_of_patterns() -> None:
    rng = random.Random(5)
    known = sorted({"".join(rng.choices("abcdefghij", k=8)) for _ in range(3_000)})
    guardrail = patterns(
        {"id": "words", "words": known},
        *({"id": f"e{place}", "pattern": rf"{word}-\d+"} for place, word in enumerate(known[:500])),
    )
    text = f"nothing {known[7]} and {known[9]}-12"
    assert {category for category, _ in cut(guardrail, text)} == {"pattern.words", "pattern.e9"}


@settings(max_examples=200, deadline=None)
@given(anything)
def test_any_text_is_borne(text: str) -> None:
    asked(GUARDRAIL, text)


GUARDRAIL = patterns(
    {"id": "w", "words": ["a", "é ", "\u0301", "0"], "whole_word": False},
    {"id": "e", "pattern": r"(?P<x>[^\x00-\x{ff}])|\s."},
)


@pytest.mark.parametrize(
    "piece", ["a", "ab ", "needle ", "needl", "xx-", "-", "é", "aaaaaaaaaaaaaaaaaab"]
)
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    guardrail = patterns(
        {"id": "w", "words": ["needle", "a" * 30, "b a"], "whole_word": False},
        {"id": "slow", "pattern": "(x+x+)+y|a.*b|a"},
        {"id": "nested", "pattern": "((a*)*)*b"},
    )
    assert grows_with_the_text(lambda text: asked(guardrail, text), piece, 4_000)


def test_nobody_waits() -> None:
    gone = threading.Event()
    gone.set()
    with pytest.raises(NobodyWaits):
        list(Expressions(["a"]).find("a", gone))
    keywords = Keywords([Keyword("a", 0, whole=False)], case_sensitive=True)
    with pytest.raises(NobodyWaits):
        list(keywords.find("a", gone))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"id": "a", "pattern": "(?=x)"}], "'patterns[0].pattern': this is no expression of RE2"),
        ([{"id": "a", "pattern": r"(a)\1"}], "this is no expression of RE2"),
        ([{"id": "a", "pattern": "x*"}], "matches where nothing stands"),
        (
            [{"id": "a", "words": ["x"]}, {"id": "a", "words": ["y"]}],
            "two patterns have the id 'a'",
        ),
        ([{"id": "a"}], "'a' must have either 'words' or 'pattern'"),
        ([{"id": "a", "words": ["x"], "pattern": "y"}], "either 'words' or 'pattern'"),
        ([{"id": "A b", "words": ["x"]}], "'patterns[0].id'"),
        ([{"id": "a", "words": [" "]}], "word 0 must have 1 to 200 characters"),
        ([{"id": "a", "words": ["x", "\0"]}], "word 1 holds a character"),
        ([{"id": "a", "wordz": ["x"]}], "did you mean 'words'"),
        ([{"id": "a", "words": ["x"], "score": 2}], "'patterns[0].score'"),
        ([{"id": "a", "words": ["x"], "category": "Bad."}], "'patterns[0].category'"),
        ([{"words": ["x"]}], "'patterns[0].id' is required"),
        ([{"id": "a", "words": ["x" * 100] * 2_501}], "250,000 characters in all"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(given: list[object], said: str) -> None:
    assert said in refused(PatternsConfig, patterns=given)


def test_a_refusal_quotes_nothing() -> None:
    assert "hunter2" not in refused(PatternsConfig, patterns=[{"id": "a", "pattern": "(hunter2"}])
    assert MAX_PATTERNS >= 5_000
