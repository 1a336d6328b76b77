"""What the second look reads: a stretch of bounded size that holds the middle of the window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.guardrails.engine.second_text import (
    CHARACTERS,
    TOKENS,
    around,
    middle,
    worded,
)


@given(st.text(alphabet="ab \n", max_size=3 * CHARACTERS), st.data())
def test_a_stretch_is_bounded_and_holds_the_middle(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    low, high = around(text, start, end)
    assert 0 <= low <= high <= len(text)
    assert high - low <= CHARACTERS
    if len(text) <= CHARACTERS:
        assert (low, high) == (0, len(text))
    else:
        assert high - low >= CHARACTERS - 50
        assert low <= (start + end) // 2 <= high


def test_a_stretch_begins_and_ends_at_words() -> None:
    text = "word " * 500
    low, high = around(text, 1_001, 1_100)
    assert text[low:high].split() == ["word"] * len(text[low:high].split())
    assert text[low - 1] == " "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain text", "plain text"),
        ("I hate \N{MONKEY}s", "I hate  monkey s"),
        ("gr\u00fc\u00dfe \u4f60\u597d", "gr\u00fc\u00dfe \u4f60\u597d"),
        ("a\ud800b", "a?b"),
    ],
)
def test_signs_are_read_by_their_names(text: str, words: str) -> None:
    assert worded(text) == words


@given(st.lists(st.integers(), max_size=3 * TOKENS))
def test_the_tokens_in_the_middle_are_kept(ids: list[int]) -> None:
    kept = middle(ids)
    assert len(kept) == min(len(ids), TOKENS - 2)
    start = (len(ids) - len(kept)) // 2
    assert kept == ids[start : start + len(kept)]
