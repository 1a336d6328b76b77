"""Series with known anomalies, made from seeds: what `tests.bench.anomaly` measures detectors on.

Sizes of anomalies are in standard deviations of the noise that a series has at that hour.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Random = np.random.Generator

CLEAN_SHARE = 0.3
"""The first part of each series holds no anomaly."""

ANOMALIES = 5

SPIKE, SHIFT, DRIFT, BURST = 10.0, 3.0, 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often a series has a point, and how many points series and anomalies have."""

    name: str
    seconds: int
    points: int
    lengths: dict[str, int]

    @property
    def days(self) -> Floats:
        """The time of each point, in days."""
        return np.arange(self.points, dtype=np.float64) * (self.seconds / 86_400)


FIVE_MINUTES = Sampling(
    "5 min", 300, 8064, {"spike": 1, "shift": 432, "drift": 432, "burst": 48, "break": 96}
)
HOURLY = Sampling(
    "1 h", 3600, 3024, {"spike": 1, "shift": 72, "drift": 144, "burst": 24, "break": 12}
)
DAILY = Sampling(
    "1 d", 86_400, 730, {"spike": 1, "shift": 40, "drift": 60, "burst": 20, "break": 10}
)
KINDS = ("none", *FIVE_MINUTES.lengths)


@dataclass(slots=True)
class Series:
    """Values, the mean and the deviation of the noise in them, and anomalies, start to end."""

    values: Floats
    mean: Floats
    deviation: Floats
    counts: bool = False
    anomalies: list[tuple[int, int]] = field(default_factory=list)


def _season(sampling: Sampling) -> Floats:
    """Returns a curve around 0: high by day, low at night, flatter at weekends."""
    days = sampling.days
    weekday = np.where(days % 7 < 5, 1.0, 0.4)
    if sampling is DAILY:
        return np.asarray(2 * weekday - 1.4)
    curve = np.sin(2 * np.pi * (days - 0.3)) + 0.3 * np.sin(4 * np.pi * (days - 0.05))
    return np.asarray(weekday * (curve + 1.2) - 1.1)


def _remembering(random: Random, count: int, memory: float) -> Floats:
    values, last = np.zeros(count), 0.0
    for at, shock in enumerate(random.normal(size=count) * np.sqrt(1 - memory**2)):
        last = values[at] = memory * last + shock
    return values


def _around(mean: Floats, noise: Floats, deviation: float) -> Series:
    return Series(mean + noise, mean, np.full(len(mean), deviation))


def _steady(random: Random, sampling: Sampling) -> Series:
    return _around(np.full(sampling.points, 50.0), random.normal(0, 2, sampling.points), 2.0)


def _heavy(random: Random, sampling: Sampling) -> Series:
    return _around(np.full(sampling.points, 20.0), random.standard_t(3, sampling.points), 1.3)


def _requests(random: Random, sampling: Sampling) -> Series:
    mean = 80 + 60 * _season(sampling)
    return Series(random.poisson(mean).astype(np.float64), mean, np.sqrt(mean), counts=True)


def _near_zero(random: Random, sampling: Sampling) -> Series:
    mean = 0.3 * np.maximum(_season(sampling), 0.05)
    values = random.poisson(mean).astype(np.float64)
    return Series(values, mean, np.full(sampling.points, 0.6), counts=True)


def _latency(random: Random, sampling: Sampling) -> Series:
    mean = 400 * (1 + 0.2 * _season(sampling))
    return Series(mean * np.exp(random.normal(0, 0.25, sampling.points)), mean, 0.25 * mean)


def _load(random: Random, sampling: Sampling) -> Series:
    mean = 40 + 20 * _season(sampling)
    return _around(mean, 3 * _remembering(random, sampling.points, 0.8), 3.0)


def _wandering(random: Random, sampling: Sampling) -> Series:
    noise = 5 * _remembering(random, sampling.points, 0.98)
    return _around(np.full(sampling.points, 100.0), noise, 5.0)


def _with_gaps(random: Random, sampling: Sampling) -> Series:
    series = _latency(random, sampling)
    for start in random.integers(0, sampling.points, 12):
        series.values[start : start + int(random.integers(1, sampling.points // 60))] = np.nan
    return series


BACKGROUNDS: dict[str, Callable[[Random, Sampling], Series]] = {
    "steady": _steady,
    "heavy tails": _heavy,
    "requests": _requests,
    "near zero": _near_zero,
    "latency": _latency,
    "with gaps": _with_gaps,
    "load": _load,
    "wandering": _wandering,
}

SEASONAL = ("requests", "latency", "with gaps", "load")


def made(background: str, kind: str, sampling: Sampling, seed: int) -> Series:
    """Returns a series with anomalies of one kind, or with none."""
    random = np.random.default_rng([seed, *background.encode(), *kind.encode(), sampling.seconds])
    series = BACKGROUNDS[background](random, sampling)
    if kind != "none":
        for start in _starts(random, sampling, kind):
            end = start + sampling.lengths[kind]
            _damage(random, series, kind, slice(start, end))
            series.anomalies.append((start, end))
    if series.counts:
        series.values = np.maximum(np.round(series.values), 0.0)
    return series


def _starts(random: Random, sampling: Sampling, kind: str) -> list[int]:
    first = int(CLEAN_SHARE * sampling.points)
    room = (sampling.points - first) // ANOMALIES
    slack = max(1, room - sampling.lengths[kind] - 100)
    return [first + at * room + int(random.integers(slack)) for at in range(ANOMALIES)]


def _damage(random: Random, series: Series, kind: str, where: slice) -> None:
    sign = random.choice([-1.0, 1.0]) if not series.counts else 1.0
    values, deviation = series.values[where], series.deviation[where]
    mean, count = series.mean[where], len(series.values[where])
    if kind == "spike":
        values += sign * SPIKE * deviation
    elif kind == "shift":
        values += sign * SHIFT * deviation
    elif kind == "drift":
        values += sign * DRIFT * deviation * np.minimum(1.0, np.arange(count) / (0.7 * count))
    elif kind == "burst":
        values += (BURST - 1) * deviation * random.normal(size=count)
    else:
        values += 2 * (series.mean.mean() - mean)
