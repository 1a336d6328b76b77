"""Says what both looks together mean, by what became of sources that neither has seen."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.training.calibrate import LEAST_SLOPE, rising

BINS = 20
STEPS = 30
PULL = 0.01
"""Towards zero, so that the steps always end."""

CLEAR_RATE, ALARM_RATE = 0.04, 0.004
"""Shares of harmless agent traffic. A little below what is promised: new sources are harder."""

SURE = (-3.0, 1.0)
"""Logits of the second look beyond count as these: it is too sure of what it has not seen."""

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


class Told(NamedTuple):
    """What both looks say of texts that the first did not clear.

    Attributes:
        first: logits of the first look.
        second: logits of the second.
        labels: whether each is what is looked for.
        worth: how many texts each stands for.
        traffic: whether each is harmless traffic of agents.
        cleared: how many harmless texts of traffic the first look cleared.
        cleared_labelled: how many texts it cleared that are what is looked for, and how many that
            are not.
    """

    first: Floats
    second: Floats
    labels: Marks
    worth: Floats
    traffic: Marks
    cleared: int
    cleared_labelled: tuple[int, int]


def judged(told: Told) -> dict[str, Any]:
    """Returns what a head's judgement consists of, but for its place and its doubt."""
    weights = _even(told)
    sure = np.clip(told.second, *SURE)
    first, second, _ = _fitted(np.c_[told.first, sure], told.labels, weights)
    # Neither look may speak against what it was trained to find.
    first, second = max(first, 0.0), max(second, 0.0)
    totals = first * told.first + second * sure
    knots, logits = _line(totals, told.labels, weights)
    return {
        "first": round(first, 4),
        "second": round(second, 4),
        "lowest": SURE[0],
        "highest": SURE[1],
        "knots": [round(one, 4) for one in knots.tolist()],
        "logits": [round(one, 4) for one in logits.tolist()],
        "clear": _score(_exceeded(told, totals, CLEAR_RATE), knots, logits),
        "alarm": _score(_exceeded(told, totals, ALARM_RATE), knots, logits),
    }


def _even(told: Told) -> Floats:
    """Returns weights by which both sorts of texts, cleared ones included, count the same."""
    hits = (told.worth * told.labels).sum() + told.cleared_labelled[0]
    others = (told.worth * ~told.labels).sum() + told.cleared_labelled[1]
    weights: Floats = told.worth * np.where(told.labels, 1 / hits, 1 / others)
    return weights * len(weights) / 2


def _fitted(looks: Floats, labels: Marks, weights: Floats) -> Sequence[float]:
    """Returns by how much to multiply each column, and what to add, by logistic regression."""
    columns = np.c_[looks, np.ones(len(looks))]
    found = np.zeros(columns.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-columns @ found))
        slope = columns.T @ (weights * (labels - chance)) - PULL * found
        bend = (columns.T * (weights * chance * (1 - chance))) @ columns
        found += np.linalg.solve(bend + PULL * np.eye(len(found)), slope)
    return [float(one) for one in found]


def _line(totals: Floats, labels: Marks, weights: Floats) -> tuple[Floats, Floats]:
    order = np.argsort(totals, kind="stable")
    groups = np.array_split(order, BINS)
    knots = np.array([np.average(totals[group], weights=weights[group]) for group in groups])
    sizes = np.array([weights[group].sum() for group in groups])
    hits = np.array([(weights * labels)[group].sum() for group in groups])
    rates = rising((hits + 0.5) / (sizes + 1), sizes)
    logits = np.log(rates / (1 - rates))
    keep = np.concatenate(([True], np.diff(knots) > 0))
    knots, logits = knots[keep], logits[keep]
    return knots, logits + LEAST_SLOPE * (knots - knots.mean())


def _exceeded(told: Told, totals: Floats, rate: float) -> float:
    """Returns what so large a share of harmless traffic exceeds, cleared traffic included."""
    order = np.argsort(-totals[told.traffic])
    share = np.cumsum(told.worth[told.traffic][order])
    share /= share[-1] + told.cleared
    place = min(int(np.searchsorted(share, rate)), len(order) - 1)
    return float(totals[told.traffic][order][place])


def _score(total: float, knots: Floats, logits: Floats) -> float:
    inside = min(max(total, knots[0]), knots[-1])
    logit = float(np.interp(inside, knots, logits)) + (total - inside)
    return round(float(1 / (1 + np.exp(-logit))), 4)
