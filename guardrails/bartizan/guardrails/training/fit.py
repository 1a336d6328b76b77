"""Learns from the window of each text that matters: where an attack is, what looks most like one.

A label says that an attack is somewhere in a text. At first only short texts stand for attacks;
then the window of each that the model of the round before thinks the most of.
"""

from dataclasses import replace

import numpy as np

from bartizan.guardrails.engine.ngrams import Integers
from bartizan.guardrails.training.corpus import Corpus, Floats
from bartizan.guardrails.training.logistic import Recipe, Weights, train

ROUNDS = 3
FIRST_EPOCHS = 1
"""Enough to find the windows by."""

FEW_WINDOWS = 6
"""Of a text of about 250 characters: an attack so short is in most of them."""

HARDEST = 2
"""Windows of a harmless text that are learned from, besides one by chance."""


def fit(
    corpus: Corpus, chosen: Integers, labels: Floats, importance: Floats, recipe: Recipe
) -> Weights:
    """Returns what is learned from the chosen texts of a corpus.

    Takes the labels and the importance of all its texts.
    """
    chance = np.random.default_rng(recipe.seed)
    short = np.diff(corpus.first)[chosen] <= FEW_WINDOWS
    clear = chosen[short | (labels[chosen] < 0.5)]
    windows = np.concatenate([_any(corpus, clear, chance), _any(corpus, clear, chance)])
    quick = replace(recipe, epochs=FIRST_EPOCHS)
    model = _on(corpus, windows, labels, importance, quick)
    for number in range(2, ROUNDS + 1):
        scores = corpus.scores(model.weights, recipe.prior)
        parts = [corpus.best(scores, chosen)]
        harmless = chosen[labels[chosen] < 0.5]
        parts.append(_any(corpus, harmless, chance))
        for _ in range(HARDEST - 1):
            scores[parts[0]] = -np.inf
            parts.append(corpus.best(scores, harmless))
        last = recipe if number == ROUNDS else quick
        model = _on(corpus, np.concatenate(parts), labels, importance, last)
    return model


def _any(corpus: Corpus, texts: Integers, chance: np.random.Generator) -> Integers:
    first, end = corpus.first[texts], corpus.first[texts + 1]
    found: Integers = chance.integers(first, end)
    return found


def _on(
    corpus: Corpus, windows: Integers, labels: Floats, importance: Floats, recipe: Recipe
) -> Weights:
    windows = np.unique(windows)
    texts = np.searchsorted(corpus.first, windows, side="right") - 1
    return train(corpus.bags(windows), labels[texts], importance[texts], recipe)
