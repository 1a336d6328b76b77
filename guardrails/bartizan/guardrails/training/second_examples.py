"""What the second look learns from: of each text the stretch that the first look points at."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bartizan.guardrails.engine.ngrams import Integers, windows
from bartizan.guardrails.engine.second_text import CHARACTERS, around, worded
from bartizan.guardrails.training.corpus import LONGEST_CHARACTERS, Floats, Row
from bartizan.guardrails.training.examples import CLEAN_RESULTS, GRAMMAR, HATEFUL
from bartizan.guardrails.training.folds import held_out
from bartizan.guardrails.training.heads import Head, prepared

HEADS = ("injection_user", "injection_tool", "toxicity_abuse", "toxicity_hate")
"""In the order of the outputs. Profanity goes by words, which the first look knows."""

UNKNOWN = -1
HARDEST_SHARE = 0.25
"""Of the harmless texts, those that the first look likes least are all learned from."""

OTHER_SHARE = 0.25
WRITTEN_SHARE = 0.4
TRICKED_SHARE = 0.35

MOST_CHARACTERS = 70_000
"""Of one source and label, for one head: more takes longer and teaches little."""


class Looked(NamedTuple):
    """What a head of the first look says of all its examples.

    Attributes:
        rows: the examples.
        fold: which group of sources was left out to judge each; -1 if none was.
        sums: what the model says that was trained without; not a number if none was.
        spans: the window of each that scores most, start and end.
    """

    rows: Sequence[Row]
    fold: Integers
    sums: Floats
    spans: Integers


class Example(NamedTuple):
    """A stretch of text to learn from.

    Attributes:
        text: what the encoder reads.
        labels: one per head: 1, 0 or UNKNOWN.
        source: where it comes from.
    """

    text: str
    labels: tuple[int, ...]
    source: str


def looked(head: Head, rows: Sequence[Row]) -> Looked:
    """Returns what the first look says of a head's examples, where it has not seen their source."""
    found, seen = prepared(head, rows)
    held = held_out(found, seen, head.folds, head.recipe)
    each = np.stack([seen.scores(model.weights, head.recipe.prior) for model in held.models])
    each = np.vstack([each, each.mean(axis=0)])
    spans = np.zeros((len(found), 2), np.int64)
    for place, row in enumerate(found):
        low, high = seen.first[place], seen.first[place + 1]
        starts, ends = windows(min(len(row.text), LONGEST_CHARACTERS))
        best = each[held.fold[place], low:high].argmax()
        spans[place] = starts[best], ends[best]
    return Looked(found, held.fold, held.sums, spans)


def stretch(row: Row, span: Integers) -> str:
    """Returns what the encoder reads of a text, given the window to look at."""
    start, end = around(row.text, int(span[0]), int(span[1]))
    return worded(row.text[start:end])


def examples(given: Mapping[str, Looked], unwanted: frozenset[str], seed: int) -> list[Example]:
    """Returns what to learn from, each stretch once. The same seed gives the same."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    labels: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [UNKNOWN] * len(HEADS))
    for number, head in enumerate(HEADS):
        one = given[head]
        for place in _chosen(one, unwanted, chance):
            row = one.rows[place]
            found = labels[stretch(row, one.spans[place]), row.source]
            found[number] = int(row.label)
    for (text, source), found in labels.items():
        _complete(text, source, found)
    return [Example(text, tuple(found), source) for (text, source), found in labels.items()]


def _complete(text: str, source: str, labels: list[int]) -> None:
    """Adds what is known of other heads."""
    user, tool, abuse, hate = range(len(HEADS))
    is_short_attack = labels[user] == 1 and len(text) < CHARACTERS
    if is_short_attack and labels[tool] == UNKNOWN:
        labels[tool] = 1
    if source in CLEAN_RESULTS and source.startswith("benign:"):
        labels[tool] = 0 if labels[tool] == UNKNOWN else labels[tool]
    if source.startswith("benign:") and UNKNOWN in labels[abuse:] and 1 not in labels:
        labels[abuse] = labels[hate] = 0
    if labels[abuse] == 0 and labels[hate] == UNKNOWN:
        labels[hate] = 0


def _chosen(one: Looked, unwanted: frozenset[str], chance: random.Random) -> Iterator[int]:
    harmless = np.array([not row.label for row in one.rows])
    known = ~np.isnan(one.sums)
    hard = np.quantile(one.sums[harmless & known], 1 - HARDEST_SHARE)
    left: defaultdict[tuple[str, bool], int] = defaultdict(lambda: MOST_CHARACTERS)
    for place in chance.sample(range(len(one.rows)), len(one.rows)):
        row = one.rows[place]
        key = row.source, row.label
        if row.source in unwanted or chance.random() >= _share(row, one.sums[place], hard):
            continue
        if left[key] > 0:
            left[key] -= min(len(row.text), CHARACTERS)
            yield place


def _share(row: Row, total: float, hard: float) -> float:
    share = 1.0
    if row.source.startswith(GRAMMAR):
        share = WRITTEN_SHARE
    elif not row.label and not total > hard:
        share = OTHER_SHARE
    return share * (TRICKED_SHARE if row.split == "tricked" else 1.0)


def of_hate(abuse: Looked, written: Sequence[Row]) -> Looked:
    """Returns what the head of hate learns from: the abuse against groups, and all that is none.

    The first look at abuse says where to look in each, and how hard it is.
    """
    kept = [place for place, row in enumerate(abuse.rows) if _tells_of_hate(row)]
    extra = len(written)
    whole = [[0, min(len(row.text), CHARACTERS)] for row in written]
    return Looked(
        [*(abuse.rows[place] for place in kept), *written],
        np.concatenate([abuse.fold[kept], np.full(extra, -1)]),
        np.concatenate([abuse.sums[kept], np.full(extra, np.nan)]),
        np.concatenate([abuse.spans[kept], np.array(whole, np.int64).reshape(-1, 2)]),
    )


def _tells_of_hate(row: Row) -> bool:
    return not row.label or row.source in HATEFUL or row.kind == "hate"
