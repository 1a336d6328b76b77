"""Says what a sum means, by what became of texts from sources that training did not see."""

import numpy as np

from bartizan.guardrails.training.corpus import Floats

BINS = 24
LEAST_SLOPE = 0.02
"""A higher sum always means more, if ever so little."""


def calibration(sums: Floats, labels: Floats) -> tuple[Floats, Floats]:
    """Returns sums in ascending order, and the logit of the probability that each means.

    Both sorts of texts count the same in total, however many there are of each.
    """
    importance = np.where(labels > 0.5, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    order = np.argsort(sums, kind="stable")
    groups = np.array_split(order, BINS)
    knots = np.array([sums[group].mean() for group in groups])
    sizes = np.array([importance[group].sum() for group in groups])
    hits = np.array([(importance * labels)[group].sum() for group in groups])
    rates = rising((hits + 0.5) / (sizes + 1), sizes)
    logits = np.log(rates / (1 - rates))
    keep = np.concatenate(([True], np.diff(knots) > 0))
    knots, logits = knots[keep], logits[keep]
    return knots, logits + LEAST_SLOPE * (knots - knots.mean())


def rising(rates: Floats, sizes: Floats) -> Floats:
    """Returns the rates, changed as little as possible so that none is below the one before."""
    pools: list[list[float]] = []
    for rate, size in zip(rates, sizes, strict=True):
        pools.append([rate, size, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            rate_after, size_after, count_after = pools.pop()
            before = pools[-1]
            both = before[1] + size_after
            before[0] = (before[0] * before[1] + rate_after * size_after) / both
            before[1], before[2] = both, before[2] + count_after
    return np.concatenate([np.full(int(count), rate) for rate, _, count in pools])
