import numpy as np
import pytest

from bartizan.guardrails.topics.background import background
from bartizan.guardrails.topics.scorer import Scorer
from bartizan.guardrails.training.corpus import Floats, Row
from bartizan.guardrails.training.topics import (
    LEAST_TEXTS,
    Case,
    background_of,
    fitted,
    terms,
    texts_by_source,
    topics,
)


def rows(source: str, count: int, label: bool = False) -> list[Row]:
    return [Row(f"{source} {number}", label, source) for number in range(count)]


def test_texts_are_distinct_harmless_and_in_the_same_order_each_time() -> None:
    given = [*rows("a", 5), *rows("a", 5), *rows("a", 9, label=True), *rows("b", 2)]
    texts = texts_by_source(given)
    assert sorted(texts["a"]) == [f"a {number}" for number in range(5)]
    assert texts == texts_by_source(given)
    assert texts["a"] != texts_by_source(given, seed=1)["a"]


def test_sources_about_everything_are_no_topics() -> None:
    given = [*rows("own_x", LEAST_TEXTS), *rows("a", LEAST_TEXTS), *rows("b", LEAST_TEXTS - 1)]
    assert topics(texts_by_source(given)) == ["a"]


def test_a_background_leaves_a_topic_out() -> None:
    texts = {"a": ["zebra crossing"] * 3, "b": ["apple tree"] * 3}
    rare, common = background_of(texts, "a").rarity, background_of(texts).rarity
    assert (rare >= common - 1).all()
    assert rare.min() < common.min()


def case(windows: Floats, label: float) -> Case:
    rest = np.ones((len(windows), 1))
    return Case("t", 10, np.hstack([rest, windows, rest * np.log(10)]), label)


def test_the_more_it_is_alike_the_more_it_scores() -> None:
    chance = np.random.default_rng(1)
    alike = [case(chance.normal((0.3, 1), 0.1, (3, 2)), 1.0) for _ in range(50)]
    others = [case(chance.normal((0.1, 0), 0.1, (3, 2)), 0.0) for _ in range(200)]
    _, near, common, _ = fitted([*alike, *others])
    assert near > 0
    assert common > 0


@pytest.mark.parametrize("length", [20, 170, 171, 700, 5_000, 9_000])
def test_each_window_has_its_terms(length: int) -> None:
    scorer = Scorer([["an example", "another"]], background())
    found = terms(scorer, ("some words " * 1_000)[:length], 2)
    assert found.shape[1] == 4
    assert (len(found) == 1) == (length <= 170)
    assert np.isfinite(found).all()
