"""Which examples are left out together, what they weigh, and which are used to measure."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.training.folds import ABUSE, ATTACKS
from bartizan.guardrails.training.heads import is_traffic
from bartizan.guardrails.training.second_examples import HEADS, UNKNOWN, Example, Looked, stretch

ATTACK_GROUPS = ((0, 2), (1, 4), (3, 5))
ABUSE_GROUPS = ((0, 3), (1, 4), (2,))
"""Groups of the first look that are left out together: training takes longer here."""

DOUBT_RATE = 0.15
"""The share of harmless agent traffic that the second look gets to see."""

MEASURED_PER_SOURCE = 120
"""Texts of one label; of harmless traffic, all are measured."""

Floats = npt.NDArray[np.float64]


class Question(NamedTuple):
    """A text of a source that was left out, to be judged by the second look.

    Attributes:
        head: of which it is asked.
        row: its number among the examples of the head.
        text: what the encoder reads.
        group: which of the groups was left out.
        worth: how many texts of its source and label it stands for.
    """

    head: str
    row: int
    text: str
    group: int
    worth: float


def left_out(group: int) -> frozenset[str]:
    """Returns the sources that are left out in a group, for all heads."""
    attacks = [ATTACKS[number] for number in ATTACK_GROUPS[group]]
    abuse = [ABUSE[number] for number in ABUSE_GROUPS[group]]
    return frozenset().union(*attacks, *abuse)


def group_of(head: str, fold: int) -> int:
    """Returns the group that a fold of the first look's is in."""
    groups = ATTACK_GROUPS if head.startswith("injection") else ABUSE_GROUPS
    return next(number for number, folds in enumerate(groups) if fold in folds)


def doubt_of(one: Looked) -> float:
    """Returns the sum from which on the first look is in doubt."""
    traffic = [place for place in measured(one) if is_traffic(one.rows[place])]
    return float(np.quantile(one.sums[traffic], 1 - DOUBT_RATE))


def questions(head: str, one: Looked, seed: int) -> list[Question]:
    """Returns what the second look is asked about texts that the first look did not clear."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    doubt = doubt_of(one)
    by_source: defaultdict[tuple[str, bool], list[int]] = defaultdict(list)
    for place in measured(one):
        if one.sums[place] >= doubt:
            by_source[one.rows[place].source, one.rows[place].label].append(place)
    found = []
    for places in by_source.values():
        most = len(places) if is_traffic(one.rows[places[0]]) else MEASURED_PER_SOURCE
        chosen = chance.sample(places, min(most, len(places)))
        for place in chosen:
            text = stretch(one.rows[place], one.spans[place])
            group = group_of(head, int(one.fold[place]))
            found.append(Question(head, place, text, group, len(places) / len(chosen)))
    return found


def labels_and_weights(
    examples: Sequence[Example], without: frozenset[str]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Returns labels and weights, a row per example and a column per head.

    Examples of the sources in `without`, and unknown labels, weigh nothing. Both labels of a head
    weigh the same, and of a large source each example less.
    """
    labels = np.array([example.labels for example in examples], np.float32)
    weights = np.zeros_like(labels)
    for head in range(len(HEADS)):
        sizes = Counter((example.source, example.labels[head]) for example in examples)
        worth = np.array(
            [
                0.0
                if example.source in without or example.labels[head] == UNKNOWN
                else sizes[example.source, example.labels[head]] ** -0.35
                for example in examples
            ]
        )
        for label in (0, 1):
            mine = labels[:, head] == label
            worth[mine] /= 2 * max(worth[mine].sum(), 1e-9)
        weights[:, head] = worth * np.count_nonzero(worth)
    return np.maximum(labels, 0), weights


def measured(one: Looked) -> list[int]:
    """Returns the texts of sources that were left out, as they were written."""
    return [
        place
        for place, row in enumerate(one.rows)
        if one.fold[place] >= 0 and row.split != "tricked"
    ]


def all_questions(given: Mapping[str, Looked], seed: int) -> list[Question]:
    """Returns the questions of all heads."""
    return [question for head in HEADS for question in questions(head, given[head], seed)]
