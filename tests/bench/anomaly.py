"""Measures the anomaly detectors on series with known anomalies.

Prints tables in Markdown for docs/anomaly.md, in some minutes:

    python -m tests.bench.anomaly > tables.md
    python -m tests.bench.anomaly --seeds 1 --detectors auto   # a look
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product

import numpy as np
import numpy.typing as npt
from tests.bench.anomaly_series import (
    BACKGROUNDS,
    DAILY,
    FIVE_MINUTES,
    HOURLY,
    KINDS,
    SEASONAL,
    Sampling,
    Series,
    made,
)

from bartizan.alerts.anomaly import ALARM, DETECTORS, detector

START = datetime(2024, 1, 1, tzinfo=UTC)

AFTER = 120
"""Points after an anomaly in which an alarm is neither a hit nor a false one: its end is a change
as well, and detectors take about a hundred points for a new level."""

SAME = 12
"""Points without an alarm that end an episode of alarms."""

LATE = 2
"""Points after its end in which a spike still counts as found."""


@dataclass
class Tally:
    """What came of the series of one kind."""

    anomalies: int = 0
    delays: list[float] = field(default_factory=list)
    false: int = 0
    weeks: float = 0.0
    seconds: float = 0.0
    points: int = 0

    def add(self, other: "Tally") -> None:
        """Adds what came of other series."""
        self.anomalies += other.anomalies
        self.delays += other.delays
        self.false += other.false
        self.weeks += other.weeks
        self.seconds += other.seconds
        self.points += other.points


@dataclass(frozen=True)
class Case:
    """One detector on one series."""

    detector: str
    background: str
    kind: str
    sampling: Sampling
    seed: int


def scores_of(name: str, series: Series, sampling: Sampling) -> npt.NDArray[np.float64]:
    """Returns the score of each point."""
    judge, spacing = detector(name), timedelta(seconds=sampling.seconds)
    times = (START + at * spacing for at in range(sampling.points))
    rows = [judge.update(t, float(v)).score for t, v in zip(times, series.values, strict=True)]
    return np.array(rows)


def measured(case: Case) -> Tally:
    """Returns what one detector makes of one series."""
    series = made(case.background, case.kind, case.sampling, case.seed)
    begun = time.process_time()
    alarms = scores_of(case.detector, series, case.sampling) >= ALARM
    tally = Tally(seconds=time.process_time() - begun, points=len(alarms))
    quiet = np.ones(len(alarms), dtype=bool)
    for start, end in series.anomalies:
        quiet[start : end + AFTER] = False
        found = np.flatnonzero(alarms[start : end + (LATE if case.kind == "spike" else 0)])
        tally.anomalies += 1
        tally.delays += [float(found[0])] if len(found) else []
    at = np.flatnonzero(alarms & quiet)
    tally.false = int(len(at) > 0) + int((np.diff(at) > SAME).sum())
    tally.weeks = float(quiet.sum()) * case.sampling.seconds / (7 * 86_400)
    return tally


def cases(detectors: Sequence[str], samplings: Sequence[Sampling], seeds: int) -> Iterator[Case]:
    """Yields all cases; a break of the season needs a season."""
    every = product(detectors, BACKGROUNDS, KINDS, samplings, range(seeds))
    for name, background, kind, sampling, seed in every:
        if kind != "break" or background in SEASONAL:
            yield Case(name, background, kind, sampling, seed)


def table(results: Sequence[tuple[Case, Tally]], row: str, column: str) -> str:
    """Returns a table: recall, median delay in points and false alarms a week in each cell."""
    cells: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for case, tally in results:
        cells[str(getattr(case, row)), str(getattr(case, column))].add(tally)
    rows = list(dict.fromkeys(key for key, _ in cells))
    columns = list(dict.fromkeys(key for _, key in cells))
    lines = [f"| {row} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for one in rows:
        told = (_told(cells[one, other]) for other in columns)
        lines.append(f"| {one} | {' | '.join(told)} |")
    return "\n".join(lines)


def _told(tally: Tally) -> str:
    if not tally.weeks:
        return ""
    false = f"{tally.false / tally.weeks:.2f}"
    if not tally.anomalies:
        return false
    recall = f"{100 * len(tally.delays) / tally.anomalies:.0f} %"
    delay = f"{np.median(tally.delays):.0f}" if tally.delays else "-"
    return f"{recall}, {delay}, {false}"


def main() -> int:
    """Runs the cases that the command line names and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detectors", nargs="*", default=list(DETECTORS), choices=list(DETECTORS))
    parser.add_argument("--sampling", nargs="*", default=["5 min", "1 h", "1 d"])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    samplings = [one for one in (FIVE_MINUTES, HOURLY, DAILY) if one.name in chosen.sampling]
    every = list(cases(chosen.detectors, samplings, chosen.seeds))
    with ProcessPoolExecutor(chosen.workers) as pool:
        results = list(zip(every, pool.map(measured, every, chunksize=4), strict=True))
    for sampling in samplings:
        of_sampling = [one for one in results if one[0].sampling is sampling]
        print(f"\n### {sampling.name}\n\n{table(of_sampling, 'kind', 'detector')}")
        name = chosen.detectors[0]
        of_one = [one for one in of_sampling if one[0].detector == name]
        print(f"\n`{name}` by series:\n\n{table(of_one, 'background', 'kind')}")
    spent = sum(tally.seconds for _, tally in results) / sum(tally.points for _, tally in results)
    print(f"\n{1e6 * spent:.0f} µs of CPU a point")
    return 0


if __name__ == "__main__":
    sys.exit(main())
