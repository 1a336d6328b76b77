"""Logistic regression on sparse features, by Adagrad. The same seed gives the same weights."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bartizan.guardrails.engine.ngrams import BUCKETS, Integers
from bartizan.guardrails.training.corpus import Bags, Floats

BATCH = 256


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Attributes:
        epochs: how often to go through the windows.
        rate: the length of the first step.
        decay: how strongly weights are drawn to zero, per example that has the feature.
        prior: as many features without weight are added to each window.
        seed: of the order of the windows.
    """

    epochs: int = 4
    rate: float = 0.3
    decay: float = 1e-5
    prior: float = 20.0
    seed: int = 1


@dataclass(slots=True)
class Weights:
    """What is learned: a number per bucket, and one for all texts."""

    weights: Floats
    bias: float


def train(bags: Bags, labels: Floats, importance: Floats, recipe: Recipe) -> Weights:
    """Returns the weights that tell windows with label 1 from those with 0."""
    weights = np.zeros(BUCKETS)
    seen = np.full(BUCKETS, 1e-2)
    bias, bias_seen = 0.0, 1.0
    scale = 1 / np.sqrt(np.diff(bags.borders) + recipe.prior)
    for chosen in _batches(len(labels), recipe):
        buckets, counts = _gather(bags, chosen)
        value = np.repeat(scale[chosen], counts)
        border = np.concatenate(([0], np.cumsum(counts)))
        total = np.concatenate(([0.0], np.cumsum(weights[buckets] * value)))
        logit = total[border[1:]] - total[border[:-1]] + bias + bags.offsets[chosen]
        error = (_sigmoid(logit) - labels[chosen]) * importance[chosen]
        steepness = np.bincount(buckets, np.repeat(error, counts) * value, BUCKETS)
        touched = np.flatnonzero(steepness)
        gradient = steepness[touched] + recipe.decay * len(chosen) * weights[touched]
        seen[touched] += gradient * gradient
        weights[touched] -= recipe.rate * gradient / np.sqrt(seen[touched])
        step = float(error.sum())
        bias_seen += step * step
        bias -= recipe.rate * step / bias_seen**0.5
    return Weights(weights, bias)


def _batches(count: int, recipe: Recipe) -> Iterator[Integers]:
    order = np.random.default_rng(recipe.seed)
    for _ in range(recipe.epochs):
        shuffled = order.permutation(count)
        for start in range(0, count, BATCH):
            yield shuffled[start : start + BATCH]


def _gather(bags: Bags, chosen: Integers) -> tuple[Integers, Integers]:
    counts = bags.borders[chosen + 1] - bags.borders[chosen]
    ends = np.cumsum(counts)
    shift = np.repeat(bags.borders[chosen] - (ends - counts), counts)
    return bags.buckets[np.arange(ends[-1]) + shift].astype(np.int64), counts


def _sigmoid(logit: Floats) -> Floats:
    found: Floats = 1 / (1 + np.exp(-np.clip(logit, -30, 30)))
    return found
