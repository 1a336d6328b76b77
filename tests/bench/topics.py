"""Measures the guardrail `topics`: `python -m tests.bench.topics FOLDER_OF_DATA`.

Each source in turn stands for a topic that calibration and background did not see.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bartizan.guardrails.training.corpus import Floats, read
from bartizan.guardrails.training.topics import (
    NUMBERS_OF_EXAMPLES,
    Case,
    cases,
    fitted,
    texts_by_source,
    topics,
)

BINS = 10
HEADER = (
    "| topic | examples | AUROC | found at 0.5 | false at 0.5 | found at 0.9 | false at 0.9"
    " | off topic at 0.9 | what is on topic, at 0.9 |"
)


def main() -> None:
    """Prints a row a topic, and the calibration error over all."""
    texts = texts_by_source(read(Path(sys.argv[1]) / "injection.jsonl.gz"))
    by_topic = {topic: list(cases(texts, topic)) for topic in topics(texts)}
    print(HEADER)
    together = []
    for topic, chosen in by_topic.items():
        weights = np.array(
            fitted([case for other, them in by_topic.items() if other != topic for case in them])
        )
        for number in NUMBERS_OF_EXAMPLES:
            some = [case for case in chosen if case.examples == number]
            scores = _scores(some, weights)
            labels = np.array([case.label for case in some])
            together.append((number, scores, labels))
            print(_row(topic, number, scores, labels), flush=True)
    for number in NUMBERS_OF_EXAMPLES:
        rows = [(scores, labels) for many, scores, labels in together if many == number]
        means = np.mean([_figures(*one) for one in rows], axis=0)
        error = np.mean([_calibration_error(*one) for one in rows])
        pooled = _calibration_error(*(np.concatenate(part) for part in zip(*rows, strict=True)))
        print(f"mean, {number}:", *(f"{one:.3f}" for one in means), f"{error:.3f} {pooled:.3f}")


def _scores(chosen: Sequence[Case], weights: Floats) -> Floats:
    return np.array([1 / (1 + np.exp(-(case.terms @ weights).max())) for case in chosen])


def _row(topic: str, number: int, scores: Floats, labels: Floats) -> str:
    figures = " | ".join(f"{one:.3f}" for one in _figures(scores, labels))
    return f"| {topic} | {number} | {figures} |"


def _figures(scores: Floats, labels: Floats) -> list[float]:
    about, beside = scores[labels > 0.5], scores[labels < 0.5]
    shares = [float((some >= at).mean()) for at in (0.5, 0.9) for some in (about, beside)]
    off = [float((some <= 0.1).mean()) for some in (beside, about)]
    return [_auroc(about, beside), *shares, *off]


def _auroc(about: Floats, beside: Floats) -> float:
    above = (about[:, None] > beside).mean()
    return float(above + (about[:, None] == beside).mean() / 2)


def _calibration_error(scores: Floats, labels: Floats) -> float:
    weights = np.where(labels > 0.5, 0.5 / labels.sum(), 0.5 / (1 - labels).sum())
    places = np.minimum((scores * BINS).astype(int), BINS - 1)
    gaps = np.bincount(places, weights * (scores - labels), BINS)
    return float(np.abs(gaps).sum())


if __name__ == "__main__":
    main()
