"""Measures how well the models of the first look find what they are for, on unseen sources.

Prints tables in Markdown for docs/guardrails-accuracy.md:

    python -m tests.bench.guardrails FOLDER_OF_DATA > tables.md

Each source is judged by a model that was trained without it and without those like it.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.normalise import views
from bartizan.guardrails.training.calibrate import calibration
from bartizan.guardrails.training.corpus import Row, corpus, read
from bartizan.guardrails.training.evasion import TRICKS
from bartizan.guardrails.training.examples import PROFANE
from bartizan.guardrails.training.folds import Held, held_out, labels_of
from bartizan.guardrails.training.heads import HEADS, SEED, Head, is_traffic, prepared

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

KEYWORDS = (
    "ignore previous", "ignore all previous", "ignore the above", "disregard", "system prompt",
    "jailbreak", "developer mode", "do anything now", "your instructions", "no restrictions",
    "unfiltered", "pretend you are", "you are now", "prompt injection", "bypass",
)  # fmt: skip
"""What a plain list of words against injection holds."""

TRICKED = 400
"""Attacks that the tricks are tried on."""

FALSE_POSITIVE_RATES = (0.01, 0.001)

PARTS = 10


def main() -> int:
    """Prints the tables of the models that the command line names, or of the measured three."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guardrails", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder with injection.jsonl.gz and others")
    parser.add_argument("names", nargs="*", choices=[[], *HEADS], metavar="MODEL")
    chosen = parser.parse_args()
    for name in chosen.names or ("injection_user", "injection_tool", "toxicity_abuse"):
        head = HEADS[name]
        print(f"\n## `{name}`\n", flush=True)
        _measure(head, read(chosen.data / f"{head.data}.jsonl.gz"))
    return 0


def _measure(head: Head, rows: Sequence[Row]) -> None:
    found, seen = prepared(head, rows)
    held = held_out(found, seen, head.folds, head.recipe)
    measured = (held.fold >= 0) & np.array([row.split != "tricked" for row in found])
    kept = np.flatnonzero(measured)
    subset = [found[place] for place in kept]
    sums = held.sums[kept]
    listed = np.array([float(_listed(head, row.text)) for row in subset])
    _print_sources(subset, sums, listed)
    _print_slices(subset, sums, listed)
    _print_total(subset, sums)
    _print_tricks(head, found, held, _thresholds(subset, sums)[0])


def _listed(head: Head, text: str) -> bool:
    if head.data == "toxicity":
        return PROFANE.search(text) is not None
    lower = text.lower()
    return any(word in lower for word in KEYWORDS)


def _thresholds(rows: Sequence[Row], sums: Floats) -> tuple[float, ...]:
    traffic = sums[_marks(rows, is_traffic)]
    return tuple(float(np.quantile(traffic, 1 - rate)) for rate in FALSE_POSITIVE_RATES)


def _print_sources(rows: Sequence[Row], sums: Floats, listed: Floats) -> None:
    positive, harmless = labels_of(rows) > 0.5, labels_of(rows) < 0.5
    lenient, strict = _thresholds(rows, sums)
    table = [
        "| source left out | texts | AUROC, all harmless | AUROC, its own | recall at 1 % |"
        " at 0.1 % | word list: recall |",
        "|---|---|---|---|---|---|---|",
    ]
    for source in _sources(rows, positive):
        here = _of_source(rows, source)
        hits, own = sums[here & positive], sums[here & harmless]
        cells = (
            f"{source} | {len(hits)} | {auroc(hits, sums[harmless]):.3f}",
            f"{auroc(hits, own):.3f}" if len(own) >= PARTS else "",
            f"{(hits > lenient).mean():.2f} | {(hits > strict).mean():.2f}",
            f"{listed[here & positive].mean():.2f}",
        )
        table.append(f"| {' | '.join(cells)} |")
    print("\n".join(table), "\n", flush=True)


def _print_slices(rows: Sequence[Row], sums: Floats, listed: Floats) -> None:
    harmless = labels_of(rows) < 0.5
    lenient, strict = _thresholds(rows, sums)
    table = [
        "| harmless texts | texts | flagged at 1 % | at 0.1 % | by the word list |",
        "|---|---|---|---|---|",
    ]
    for source in _sources(rows, harmless):
        here = harmless & _of_source(rows, source)
        table.append(
            f"| {source} | {here.sum()} | {(sums[here] > lenient).mean():.2%} |"
            f" {(sums[here] > strict).mean():.2%} | {listed[here].mean():.2%} |"
        )
    print("\n".join(table), "\n", flush=True)


def _print_total(rows: Sequence[Row], sums: Floats) -> None:
    labels = labels_of(rows)
    traffic = _marks(rows, is_traffic)
    lenient, strict = _thresholds(rows, sums)
    print(f"All together: AUROC {auroc(sums[labels > 0.5], sums[labels < 0.5]):.3f},")
    print(f"against traffic of agents {auroc(sums[labels > 0.5], sums[traffic]):.3f}.")
    for threshold, name in ((lenient, "1 %"), (strict, "0.1 %")):
        flagged = sums > threshold
        precision = labels[flagged].mean()
        recall = flagged[labels > 0.5].mean()
        f1 = 2 * precision * recall / (precision + recall)
        print(f"At {name}: precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}.")
    print(f"Calibration error {calibration_error(rows, sums):.3f}.\n", flush=True)


def _print_tricks(head: Head, rows: Sequence[Row], held: Held, threshold: float) -> None:
    original = _marks(rows, lambda row: row.label and row.split != "tricked" and row.text.isascii())
    caught = np.flatnonzero(original & (held.fold >= 0) & (held.sums > threshold))
    chance = random.Random(SEED)
    chosen = chance.sample(caught.tolist(), min(TRICKED, len(caught)))
    print("| trick | caught attacks still caught |\n|---|---|")
    for name, trick in TRICKS.items():
        texts = [trick(rows[place].text, chance) for place in chosen]
        sums = _sums_of(head, held, texts, held.fold[chosen])
        print(f"| {name} | {(sums > threshold).mean():.2f} |", flush=True)


def _sums_of(head: Head, held: Held, texts: Sequence[str], folds: npt.NDArray[np.int64]) -> Floats:
    readings = [[view.text for view in views(text)] for text in texts]
    seen = corpus((text for reading in readings for text in reading), head.with_evidence)
    each = np.array(
        [
            seen.maximum(seen.scores(model.weights, head.recipe.prior)) + model.bias
            for model in held.models
        ]
    )
    ends = np.cumsum([len(reading) for reading in readings])
    starts = np.concatenate(([0], ends[:-1]))
    return np.array(
        [each[fold, start:end].max() for fold, start, end in zip(folds, starts, ends, strict=True)]
    )


def auroc(hits: Floats, others: Floats) -> float:
    """Returns the share of pairs of a hit and another in which the hit has more."""
    order = np.sort(others)
    below = np.searchsorted(order, hits) + np.searchsorted(order, hits, side="right")
    return float(below.mean() / 2 / len(order))


def calibration_error(rows: Sequence[Row], sums: Floats) -> float:
    """Returns how far scores are off on average, calibrated on one half of the sources."""
    names = sorted({row.source for row in rows})
    first = _marks(rows, lambda row: names.index(row.source) % 2 == 0)
    labels = labels_of(rows)
    knots, logits = calibration(sums[first], labels[first])
    found = 1 / (1 + np.exp(-np.interp(sums[~first], knots, logits)))
    rest = labels[~first]
    weights = np.where(rest > 0.5, 0.5 / rest.mean(), 0.5 / (1 - rest.mean()))
    part = np.minimum((found * PARTS).astype(int), PARTS - 1)
    gaps = [abs(np.sum((weights * (found - rest))[part == number])) for number in range(PARTS)]
    return float(sum(gaps) / weights.sum())


def _sources(rows: Sequence[Row], marks: Marks) -> Iterable[str]:
    return sorted({row.source for row, mark in zip(rows, marks, strict=True) if mark})


def _of_source(rows: Sequence[Row], source: str) -> Marks:
    return _marks(rows, lambda row: row.source == source)


def _marks(rows: Sequence[Row], of: Callable[[Row], bool]) -> Marks:
    return np.array([of(row) for row in rows], bool)


if __name__ == "__main__":
    sys.exit(main())
