"""Builds the background of topics: `python -m bartizan.guardrails.training.topics DATA`.

Sources stand in for topics. Of each, some texts are examples, others are to be found, and the texts
of all other sources are not. The background of a topic is made without the topic's source.
"""

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bartizan.guardrails.engine.ngrams import pieces
from bartizan.guardrails.topics import background as backgrounds
from bartizan.guardrails.topics.background import TERMS, Background, Floats, rarities
from bartizan.guardrails.topics.scorer import Scorer, distinct
from bartizan.guardrails.training.corpus import LONGEST_CHARACTERS, Row, read

SEED = 20_261_120
MIXED = ("own_", "deepset", "bipia", "benign:multilingual", "benign:gpteacher", "benign:self")
"""Sources about everything, or written for attacks: no topics. They are among the others."""

LEAST_TEXTS = 300
OF_A_SOURCE = 150
OF_OTHERS = 25
NUMBERS_OF_EXAMPLES = (3, 10, 30, 100)
ROUNDS = 4
RIDGE = 1e-3
START = (-2.0, 10.0, 1.0, 0.0)
OUTPUT = Path(backgrounds.__file__).parent / backgrounds.FILE

Texts = Mapping[str, Sequence[str]]


class Case(NamedTuple):
    """A text and a topic: what its windows are like, and whether it belongs there.

    Attributes:
        topic: the source that stands for the topic.
        examples: how many the topic has.
        terms: a row a window.
        label: 1 if it is about the topic.
    """

    topic: str
    examples: int
    terms: Floats
    label: float


def texts_by_source(rows: Sequence[Row], seed: int = SEED) -> Texts:
    """Returns the distinct harmless texts of each source in random order."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for row in rows:
        if not row.label and row.text.strip():
            found[row.source][row.text[:LONGEST_CHARACTERS]] = None
    shuffled = {}
    for source in sorted(found):
        texts = list(found[source])
        random.Random(f"{seed} {source}").shuffle(texts)  # noqa: S311 - nothing secret
        shuffled[source] = texts
    return shuffled


def topics(texts: Texts) -> list[str]:
    """Returns the sources that are about something."""
    return [
        source
        for source, found in texts.items()
        if len(found) >= LEAST_TEXTS and not source.startswith(MIXED)
    ]


def background_of(texts: Texts, without: str = "") -> Background:
    """Returns the background of all sources but one, with the terms to start from."""
    documents = [
        distinct(text)
        for source, found in texts.items()
        if source != without
        for text in found[:OF_A_SOURCE]
    ]
    return Background(rarities(documents), START)


def cases(texts: Texts, topic: str) -> Iterator[Case]:
    """Yields texts of a topic and of all others, compared with few and many examples of it."""
    known = background_of(texts, topic)
    for examples in NUMBERS_OF_EXAMPLES:
        yield from _cases(texts, topic, examples, known)


def _cases(texts: Texts, topic: str, examples: int, known: Background) -> Iterator[Case]:
    scorer = Scorer([texts[topic][-examples:]], known)
    for text in texts[topic][:OF_A_SOURCE]:
        yield Case(topic, examples, terms(scorer, text, examples), 1.0)
    for source, found in texts.items():
        if source != topic:
            # Not those that the background was made of.
            for text in found[-OF_OTHERS:]:
                yield Case(topic, examples, terms(scorer, text, examples), 0.0)


def terms(scorer: Scorer, text: str, examples: int) -> Floats:
    """Returns what makes up the score of each window of a text, for the first topic."""
    found = [scorer.likeness(piece) for _, piece in pieces(text)]
    near = np.concatenate([one.near[:, 0] for one in found])
    common = np.concatenate([one.common[:, 0] for one in found])
    ones = np.ones(len(near))
    return np.stack([ones, near, common, ones * np.log(examples)], axis=1)


def fitted(chosen: Sequence[Case]) -> tuple[float, ...]:
    """Returns the weights of the terms. Texts of and beside each topic count the same in total."""
    labels = np.array([case.label for case in chosen])
    importance = np.where(labels > 0.5, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    weights = np.array(START)
    for _ in range(ROUNDS):
        best = np.stack([case.terms[(case.terms @ weights).argmax()] for case in chosen])
        weights = _regressed(best, labels, importance, weights)
    return tuple(weights.tolist())


def _regressed(x: Floats, labels: Floats, importance: Floats, weights: Floats) -> Floats:
    """Returns the weights of a logistic regression, by Newton's method."""
    for _ in range(20):
        rates = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        slope = x.T @ (importance * (labels - rates)) - RIDGE * weights
        curve = (x * (importance * rates * (1 - rates))[:, None]).T @ x + RIDGE * np.eye(TERMS)
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def main() -> int:
    """Writes the background; returns 2 if the data is not there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with injection.jsonl.gz")
    parser.add_argument("--out", type=Path, default=OUTPUT, help="the file to write")
    chosen = parser.parse_args()
    path: Path = chosen.data / "injection.jsonl.gz"
    if not path.is_file():
        print(f"no file {path}", file=sys.stderr)  # noqa: T201
        return 2
    texts = texts_by_source(read(path))
    all_cases = [case for topic in topics(texts) for case in cases(texts, topic)]
    made = Background(background_of(texts).rarity, fitted(all_cases))
    with chosen.out.open("wb") as file:
        made.write(file)
    print(f"{chosen.out.name}: terms {made.terms}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
