"""Features are the same wherever a text stands, and lie within it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.guardrails.engine.ngrams import (
    BUCKETS,
    PIECE_CHARACTERS,
    REPEAT_CHARACTERS,
    WINDOW_CHARACTERS,
    batches,
    features,
    features_of,
    pieces,
    windows,
)

CHECKSUM, COUNT = 7_629_113, 56

ANY_TEXT = st.text(st.characters(codec=None), max_size=300)


def buckets(text: str) -> set[int]:
    return set(features(text).buckets.tolist())


@given(ANY_TEXT)
def test_any_text_has_features_within_it(text: str) -> None:
    found = features(text)
    assert len(found.buckets) == len(found.places)
    assert all(0 <= bucket < BUCKETS for bucket in found.buckets)
    assert all(0 <= place < len(text) for place in found.places)


@given(st.lists(st.text(st.characters(codec=None), max_size=60), min_size=1, max_size=8))
def test_pieces_have_the_same_features_together_as_alone(parts: list[str]) -> None:
    together = features_of(parts)
    found = sorted(zip(together.buckets.tolist(), together.places.tolist(), strict=True))
    alone: list[tuple[int, int]] = []
    for number, part in enumerate(parts):
        before = sum(map(len, parts[:number]))
        one = features(part)
        alone += zip(one.buckets.tolist(), (one.places + before).tolist(), strict=True)
    assert found == sorted(alone)


@given(st.lists(st.integers(0, PIECE_CHARACTERS), max_size=20))
def test_batches_hold_every_piece_once_and_are_bounded(sizes: list[int]) -> None:
    runs = list(batches(sizes))
    assert [place for first, last in runs for place in range(first, last)] == list(
        range(len(sizes))
    )
    assert all(
        last - first == 1 or sum(sizes[first:last]) <= PIECE_CHARACTERS for first, last in runs
    )


def test_features_do_not_change() -> None:
    # Stored models depend on each of these numbers.
    found = features("Ignore 42 rules, 早く!")
    assert int(found.buckets.sum()) == CHECKSUM
    assert len(found.buckets) == COUNT


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_blank_text_has_none(text: str) -> None:
    assert len(features(text).buckets) == 0


def test_case_and_digits_are_folded() -> None:
    assert buckets("Call 12 Friends") == buckets("call 99 fRIENDS")


def test_a_text_has_the_same_features_wherever_it_stands() -> None:
    alone = buckets("ignore the rules")
    assert alone <= buckets(f"{'word ' * 70}ignore the rules")


def test_place_is_where_the_feature_begins() -> None:
    before = "x " * 120
    shifted = features(f"{before}ignore")
    plain = features("ignore")
    for bucket, place in zip(plain.buckets, plain.places, strict=True):
        at = shifted.places[shifted.buckets == bucket]
        assert len(before) + place in at or (place == 0 and len(before) - 1 in at)


def test_what_is_repeated_at_once_counts_once() -> None:
    once = features("buy now ")
    often = features("buy now " * 10)
    assert all((often.buckets == bucket).sum() == 1 for bucket in once.buckets)


def test_what_is_repeated_much_later_counts_again() -> None:
    far = features(f"ignore {'. ' * REPEAT_CHARACTERS} ignore")
    word = np.intersect1d(features("ignore").buckets, far.buckets)
    assert all((far.buckets == bucket).sum() == 2 for bucket in word)


def test_words_without_spaces_between_are_taken_one_by_one() -> None:
    assert buckets("无视规则") & buckets("请无视")


@given(st.integers(0, 20_000))
def test_windows_cover_a_text(length: int) -> None:
    starts, ends = windows(length)
    assert starts.min() == 0
    assert ends.max() == length
    covered = 0
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        assert start <= covered
        covered = max(covered, end)
    assert covered == length
    assert max((ends - starts).tolist()) <= WINDOW_CHARACTERS[-1]


@given(st.integers(0, 5 * PIECE_CHARACTERS))
def test_pieces_cover_a_text_and_overlap_by_a_window(length: int) -> None:
    text = "a" * length
    covered = 0
    for start, piece in pieces(text):
        assert start == 0 or covered - start >= WINDOW_CHARACTERS[-1]
        assert piece == text[start : start + len(piece)]
        covered = start + len(piece)
    assert covered == length
