"""Measures what the second look adds to the first, on sources that neither has seen.

Prints tables in Markdown for docs/guardrails-accuracy.md:

    python -m tests.bench.guardrails_second FOLDER_OF_DATA TOLD.npy > tables.md

`TOLD.npy` is what `python -m bartizan.guardrails.training.second_build --keep TOLD.npy` kept: what
models trained without a source said of it.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bartizan.guardrails.engine.second_model import Judgement, second_model
from bartizan.guardrails.injection import Injection, InjectionConfig
from bartizan.guardrails.toxicity import Kind, Toxicity, ToxicityConfig
from bartizan.guardrails.training.corpus import Row, read
from bartizan.guardrails.training.evasion import TRICKS
from bartizan.guardrails.training.heads import SEED, is_traffic
from bartizan.guardrails.training.second_build import (
    Material,
    answers,
    judgements,
    material,
)
from bartizan.guardrails.training.second_folds import doubt_of, measured
from bartizan.plugins.contract import Guardrail, Role, Text

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]

RATES = (0.01, 0.001)
LEAST = 20
"""Texts for a figure of their own."""

CLEARED = -1_000.0
"""What the first look cleared comes behind all that it did not."""

TRICKED = 100
LONGEST_TRICKED = 1_000
PARTS = 10


class Judged(NamedTuple):
    """What both looks say of the texts of a head.

    Attributes:
        sources: of each text.
        labels: whether each is what is looked for.
        traffic: whether each is harmless traffic of agents.
        worth: how many texts each stands for.
        first: what the first look says.
        both: what the cascade says.
        chances: the scores of the cascade, where the second look was asked.
    """

    sources: npt.NDArray[np.str_]
    labels: Marks
    traffic: Marks
    worth: Floats
    first: Floats
    both: Floats
    chances: Floats


def main() -> int:
    """Prints the tables of all heads, and what tricks do to what is shipped."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.guardrails_second", description=__doc__
    )
    parser.add_argument("data", type=Path, help="the folder with injection.jsonl.gz and others")
    parser.add_argument("told", type=Path, help="the file that second_build kept")
    chosen = parser.parse_args()
    rows = {name: read(chosen.data / f"{name}.jsonl.gz") for name in ("injection", "toxicity")}
    print_tables(material(rows), np.load(chosen.told))
    print_tricks(rows)
    return 0


def print_tables(given: Material, told: npt.NDArray[np.float32]) -> None:
    """Prints how each head does on what it has not seen, beside the first look alone."""
    for head, stored in judgements(given, told).items():
        judged = _judged(head, given, told[:, stored["output"]], Judgement.of(stored))
        print(f"\n## `{head}`\n")
        _print_total(judged)
        _print_sources(judged)
        _print_harmless(judged)


def print_tricks(rows: Mapping[str, Sequence[Row]]) -> None:
    """Prints which share of caught attacks the shipped cascade still catches after each trick."""
    attacks = [row.text for row in rows["injection"] if row.source == "hackaprompt"]
    abuse = [row.text for row in rows["toxicity"] if row.label and row.split == "dev"]
    injection = Injection(InjectionConfig(second_look=True))
    toxicity = Toxicity(ToxicityConfig(kinds=(Kind.ABUSE,), second_look=True))
    alarms = {head: one.alarm for head, one in second_model().judgements.items()}
    columns = [
        _still_caught(injection, Role.TOOL_RESULT, attacks, alarms["injection_tool"]),
        _still_caught(toxicity, Role.USER, abuse, alarms["toxicity_abuse"]),
    ]
    print("\n| trick | injection, tools | abuse |\n|---|---|---|")
    for name, *shares in zip(TRICKS, *columns, strict=True):
        cells = " | ".join(f"{share:.2f}" for share in shares)
        print(f"| {name.replace('_', ' ')} | {cells} |", flush=True)


def _still_caught(
    guardrail: Guardrail, role: Role, texts: Sequence[str], at: float
) -> Iterator[float]:
    with asyncio.Runner() as runner:
        chance = random.Random(SEED)
        some = [text for text in texts if text.isascii() and len(text) < LONGEST_TRICKED]
        some = chance.sample(some, min(2 * TRICKED, len(some)))
        scores = runner.run(_scores(guardrail, role, some))
        caught = [text for text, one in zip(some, scores, strict=True) if one >= at][:TRICKED]
        for trick in TRICKS.values():
            found = runner.run(_scores(guardrail, role, [trick(text, chance) for text in caught]))
            yield sum(one >= at for one in found) / len(caught)
        runner.run(guardrail.aclose())


async def _scores(guardrail: Guardrail, role: Role, texts: Sequence[str]) -> list[float]:
    found = await guardrail.check([Text(role, text) for text in texts])
    return [max((one.score for one in findings), default=0.0) for findings in found]


def _judged(
    head: str, given: Material, told: npt.NDArray[np.float32], judgement: Judgement
) -> Judged:
    one, answered = given.looked[head], answers(head, given, told, frozenset())
    asked = [one.rows[question.row] for question in given.questions if question.head == head]
    sums = [one.sums[question.row] for question in given.questions if question.head == head]
    doubt = doubt_of(one)
    cleared = [place for place in measured(one) if one.sums[place] < doubt]
    rows = [*asked, *(one.rows[place] for place in cleared)]
    sure = np.clip(answered.second, judgement.lowest, judgement.highest)
    totals = judgement.first * answered.first + judgement.second * sure
    inside = np.clip(totals, judgement.knots[0], judgement.knots[-1])
    logits = np.interp(inside, judgement.knots, judgement.logits) + (totals - inside)
    return Judged(
        np.array([row.source for row in rows]),
        np.array([row.label for row in rows]),
        np.array([is_traffic(row) for row in rows]),
        np.concatenate([answered.worth, np.ones(len(cleared))]),
        np.concatenate([sums, one.sums[cleared]]),
        np.concatenate([logits, CLEARED + one.sums[cleared]]),
        1 / (1 + np.exp(-logits)),
    )


def _print_total(judged: Judged) -> None:
    print("| | AUROC, all harmless | against traffic | recall at 1 % | at 0.1 % | F1 at 1 % |")
    print("|---|---|---|---|---|---|")
    for name, scores in (("first look alone", judged.first), ("both", judged.both)):
        hits, others = judged.labels, ~judged.labels
        lenient, strict = _thresholds(judged, scores)
        recall = _share(judged, scores, hits, lenient)
        flagged = (judged.worth * others * (scores > lenient)).sum()
        found = recall * judged.worth[hits].sum()
        f1 = 2 * found / (2 * found + flagged + judged.worth[hits].sum() - found)
        print(
            f"| {name} | {_auroc(judged, scores, hits, others):.3f} |"
            f" {_auroc(judged, scores, hits, judged.traffic):.3f} | {recall:.2f} |"
            f" {_share(judged, scores, hits, strict):.2f} | {f1:.2f} |"
        )
    print(f"\nCalibration error of both looks {_calibration_error(judged):.3f}.\n", flush=True)


def _print_sources(judged: Judged) -> None:
    print("| source left out | texts | AUROC | recall at 1 % | at 0.1 % |", end="")
    print(" first look alone: AUROC | at 1 % | at 0.1 % |\n|---|---|---|---|---|---|---|---|")
    for source in sorted(set(judged.sources[judged.labels])):
        here = judged.labels & (judged.sources == source)
        cells = [source, f"{judged.worth[here].sum():.0f}"]
        for scores in (judged.both, judged.first):
            cells.append(f"{_auroc(judged, scores, here, ~judged.labels):.3f}")
            cells += [
                f"{_share(judged, scores, here, at):.2f}" for at in _thresholds(judged, scores)
            ]
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def _print_harmless(judged: Judged) -> None:
    print("| harmless texts | texts | flagged at 1 % | at 0.1 % |", end="")
    print(" first look alone: at 1 % | at 0.1 % |\n|---|---|---|---|---|---|")
    for source in sorted(set(judged.sources[~judged.labels])):
        here = ~judged.labels & (judged.sources == source)
        if here.sum() < LEAST:
            continue
        cells = [source, f"{judged.worth[here].sum():.0f}"]
        for scores in (judged.both, judged.first):
            cells += [
                f"{_share(judged, scores, here, at):.2%}" for at in _thresholds(judged, scores)
            ]
        print(f"| {' | '.join(cells)} |")
    print(flush=True)


def _thresholds(judged: Judged, scores: Floats) -> list[float]:
    """Returns what the shares RATES of harmless traffic exceed."""
    order = np.argsort(-scores[judged.traffic])
    share = np.cumsum(judged.worth[judged.traffic][order])
    places = np.searchsorted(share / share[-1], RATES)
    return [float(scores[judged.traffic][order][place]) for place in places]


def _share(judged: Judged, scores: Floats, of: Marks, above: float) -> float:
    return float(np.average(scores[of] > above, weights=judged.worth[of]))


def _auroc(judged: Judged, scores: Floats, hits: Marks, others: Marks) -> float:
    order = np.argsort(scores[others])
    ranked = scores[others][order]
    below = np.concatenate(([0.0], np.cumsum(judged.worth[others][order])))
    at = [below[np.searchsorted(ranked, scores[hits], side=side)] for side in ("left", "right")]
    shares = (at[0] + at[1]) / 2 / below[-1]
    return float(np.average(shares, weights=judged.worth[hits]))


def _calibration_error(judged: Judged) -> float:
    """Returns how far scores are off on average, both sorts of texts counting the same."""
    asked = len(judged.chances)
    labels, worth = judged.labels[:asked], judged.worth[:asked]
    all_hits = (judged.worth * judged.labels).sum()
    all_others = (judged.worth * ~judged.labels).sum()
    weights = worth * np.where(labels, 1 / all_hits, 1 / all_others)
    part = np.minimum((judged.chances * PARTS).astype(int), PARTS - 1)
    gaps = weights * (judged.chances - labels)
    return float(sum(abs(gaps[part == number].sum()) for number in range(PARTS)) / weights.sum())


if __name__ == "__main__":
    sys.exit(main())
