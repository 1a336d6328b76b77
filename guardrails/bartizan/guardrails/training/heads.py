"""The models to build, each from its examples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bartizan.guardrails.engine.linear_model import LinearModel
from bartizan.guardrails.training import examples
from bartizan.guardrails.training.calibrate import calibration
from bartizan.guardrails.training.corpus import Corpus, Floats, Row, corpus
from bartizan.guardrails.training.fit import fit
from bartizan.guardrails.training.folds import ABUSE, ATTACKS, Folds, Held, held_out, labels_of
from bartizan.guardrails.training.logistic import Recipe, Weights

SEED = 7

LARGEST = 127
"""Of the numbers that weights are stored as."""

CUT_SHARE = 0.0002
"""Of the weights, those so far out are cut off, which leaves finer steps to the others."""

CLEAR_RATE, ALARM_RATE = 0.05, 0.005
"""Shares of harmless agent traffic."""

LOOKALIKES = frozenset(
    {
        "benign:awesome-prompts",
        "benign:purplellama-frr",
        "benign:multilingual-ui",
    }
)
"""Harmless, but no ordinary traffic of agents."""


@dataclass(frozen=True, slots=True)
class Head:
    """How one model is made.

    Attributes:
        data: the file that its rows are in.
        examples: what it learns from, given the rows and a seed.
        folds: the sources that are left out together to calibrate and to measure it.
        with_evidence: whether the rules add theirs.
        recipe: how to train.
    """

    data: str
    examples: Callable[[Sequence[Row], int], list[Row]]
    folds: Folds
    with_evidence: bool
    recipe: Recipe


HEADS: Mapping[str, Head] = {
    "injection_user": Head("injection", examples.for_users, ATTACKS, True, Recipe()),
    "injection_tool": Head("injection", examples.for_tools, ATTACKS, True, Recipe()),
    "toxicity_abuse": Head("toxicity", examples.of_abuse, ABUSE, False, Recipe(epochs=3)),
    "toxicity_hate": Head("toxicity", examples.of_hate, ABUSE, False, Recipe(epochs=3)),
    "toxicity_profanity": Head("toxicity", examples.of_profanity, ABUSE, False, Recipe(epochs=3)),
}


def prepared(head: Head, rows: Sequence[Row]) -> tuple[list[Row], Corpus]:
    """Returns what a head learns from, and what it sees of it."""
    found = head.examples(rows, SEED)
    return found, corpus((row.text for row in found), head.with_evidence)


def build(head: Head, rows: Sequence[Row]) -> LinearModel:
    """Returns the model of a head, calibrated. The same rows give the same model."""
    found, seen = prepared(head, rows)
    held = held_out(found, seen, head.folds, head.recipe)
    everything = np.arange(len(found))
    learned = fit(seen, everything, labels_of(found), np.ones(len(found)), head.recipe)
    return _stored(learned, head, found, held)


def is_traffic(row: Row) -> bool:
    """Returns True for harmless texts as agents and their users write them, unchanged."""
    ordinary = row.source.startswith("benign:") and row.source not in LOOKALIKES
    return ordinary and not row.label and row.split != "tricked"


def _stored(learned: Weights, head: Head, rows: Sequence[Row], held: Held) -> LinearModel:
    measured = held.fold >= 0
    knots, logits = calibration(held.sums[measured], labels_of(rows)[measured])
    unit = float(np.quantile(np.abs(learned.weights), 1 - CUT_SHARE)) / LARGEST
    steps = np.clip(np.rint(learned.weights / unit), -LARGEST, LARGEST).astype(np.int8)
    prior = head.recipe.prior
    model = LinearModel(
        steps, unit, learned.bias, prior, head.with_evidence, knots, logits, 0.5, 0.5
    )
    traffic: Floats = held.sums[measured & np.array([is_traffic(row) for row in rows])]
    clear, alarm = np.quantile(traffic, [1 - CLEAR_RATE, 1 - ALARM_RATE])
    return model.with_thresholds(model.probability(clear), model.probability(alarm))
