"""Training finds what tells texts apart, in the right window, and always the same."""

import gzip
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.guardrails.engine.linear_model import LinearModel
from bartizan.guardrails.training import examples
from bartizan.guardrails.training.calibrate import calibration, rising
from bartizan.guardrails.training.corpus import Row, corpus, read
from bartizan.guardrails.training.fit import fit
from bartizan.guardrails.training.folds import ABUSE, ATTACKS, held_out, labels_of
from bartizan.guardrails.training.heads import HEADS, SEED, Head
from bartizan.guardrails.training.logistic import Recipe

WORDS = ("red", "green", "blue", "long", "short", "new", "old", "table", "chair", "door", "house")


def rows(count: int = 120) -> list[Row]:
    """Returns texts of which every third holds the phrase that is to be found."""
    chance = random.Random(3)
    found = []
    for number in range(count):
        words = chance.choices(WORDS, k=chance.randint(5, 80))
        if number % 3 == 0:
            words[2:2] = ["please", "open", "the", "vault"]
        source = "deepset_train" if number % 2 else "hackaprompt"
        found.append(Row(" ".join(words), number % 3 == 0, source))
    return found


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_examples_are_the_same_each_time_and_of_both_sorts(
    head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FOR_USERS", "FOR_TOOLS", "OF_ABUSE", "OF_HATE"):
        fewer = tuple(replace(one, count=20) for one in getattr(examples, name))
        monkeypatch.setattr(examples, name, fewer)
    monkeypatch.setattr(examples, "PLANTED_COUNT", 30)
    first, second = (head.examples(rows(), SEED) for _ in range(2))
    assert first == second
    assert {row.label for row in first} == {True, False}
    assert any(row.split == "tricked" for row in first)


def test_a_file_of_rows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    row = {"text": "é", "label": 1, "source": "s", "split": "dev", "kind": "k"}
    path.write_bytes(gzip.compress((json.dumps(row) + "\n").encode()))
    assert read(path) == [Row("é", True, "s", "k", "dev")]


def test_training_tells_texts_apart_and_points_at_the_phrase() -> None:
    given_rows = rows()
    seen = corpus([row.text for row in given_rows], with_evidence=False)
    labels = labels_of(given_rows)
    recipe = Recipe(epochs=10)
    learned = fit(seen, np.arange(len(labels)), labels, np.ones(len(labels)), recipe)
    sums = seen.maximum(seen.scores(learned.weights, recipe.prior)) + learned.bias
    assert sums[labels > 0.5].min() > sums[labels < 0.5].max()
    again = fit(seen, np.arange(len(labels)), labels, np.ones(len(labels)), recipe)
    assert (again.weights == learned.weights).all()


def test_training_sees_what_the_model_sees() -> None:
    given_rows = rows(30)
    seen = corpus([row.text for row in given_rows], with_evidence=True)
    weights = np.random.default_rng(1).integers(-100, 100, 1 << 18).astype(np.int8)
    line = np.array([-100.0, 100.0])
    model = LinearModel(weights, 1.0, 0.0, 20.0, True, line, line, 0.1, 0.9)
    sums = seen.maximum(seen.scores(weights.astype(float), 20.0))
    scores = [found.score for found in model.score([row.text for row in given_rows])]
    assert scores == pytest.approx([model.probability(total) for total in sums])


def test_each_source_is_judged_by_a_model_that_has_not_seen_it() -> None:
    given_rows = [*rows(), Row("always seen", False, "grammar:benign")]
    seen = corpus([row.text for row in given_rows], with_evidence=False)
    held = held_out(given_rows, seen, ATTACKS, Recipe(epochs=1))
    assert held.fold[-1] == -1
    assert np.isnan(held.sums[-1])
    assert not np.isnan(held.sums[:-1]).any()
    assert len(held.models) == len(ATTACKS)


@pytest.mark.parametrize("folds", [ATTACKS, ABUSE])
def test_no_source_is_left_out_twice(folds: tuple[frozenset[str], ...]) -> None:
    assert sum(map(len, folds)) == len(frozenset().union(*folds))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_rising_rates_rise_and_keep_their_mean(rates: list[float]) -> None:
    found = rising(np.array(rates), np.ones(len(rates)))
    assert (np.diff(found) >= -1e-12).all()
    assert found.mean() == pytest.approx(np.mean(rates))


def test_calibrated_half_means_half() -> None:
    chance = np.random.default_rng(1)
    logits = chance.normal(0, 2, 20_000)
    labels = (chance.random(20_000) < 1 / (1 + np.exp(-logits))).astype(float)
    knots, found = calibration(3 * logits + 1, labels)
    assert (np.diff(knots) > 0).all()
    assert (np.diff(found) > 0).all()
    assert np.interp(1.0, knots, found) == pytest.approx(0, abs=0.2)
