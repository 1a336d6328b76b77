"""A detector made of a baseline and of what judges the deviations from it."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

from bartizan.alerts.anomaly.base import ALARM, TRIALS, AnomalyScore, score_of
from bartizan.alerts.anomaly.baseline import Baseline, Reading
from bartizan.alerts.anomaly.deviations import Deviations
from bartizan.alerts.anomaly.shifts import Shifts

NOVELTY = 1.5
"""After n equal values a first other one is as rare as n to minus this power, never rarer."""

DISTURBED = 12
"""From an alarm until levels are settled again, one point in so many teaches what is usual."""

VERSION = 1
"""Of the state document; another one is not read, and the state is made anew from history."""


class BaselineDetector:
    """Scores points by how rare their deviations from a baseline are in this series."""

    name: ClassVar[str]
    single: ClassVar[bool] = True
    lasting: ClassVar[bool] = True

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._baseline = Baseline(zone)
        self._deviations = Deviations()
        self._shifts = Shifts()
        self._disturbed = 0

    def update(self, time: datetime, value: float) -> AnomalyScore:
        """Returns the score of a point by what came before it, then learns from the point.

        A value that is no finite number is a missing one: score 0, nothing learned.
        """
        reading = self._baseline.read(time, value) if math.isfinite(value) else None
        if reading is None:
            last = self._baseline.last
            return AnomalyScore(0.0, last, last, last)
        single, lasting = self._deviations.judge(reading), self._shifts.judge(reading)
        score = self._score(reading, max(single * self.single, lasting * self.lasting))
        forecast = reading.quick if self.single else reading.slow
        low, high = self._deviations.band(reading, quick=self.single)
        least = self._baseline.least
        if not reading.arrival.late:
            shifted = self._score(reading, lasting) >= ALARM
            self._learn(reading, alarmed=score >= ALARM, shifted=shifted)
        return AnomalyScore(score, max(forecast.expected, least), max(low, least), max(high, least))

    def state(self) -> dict[str, Any]:
        """Returns all that was learned, as a small JSON document."""
        return {
            "detector": self.name,
            "version": VERSION,
            "disturbed": self._disturbed,
            "baseline": self._baseline.state(),
            "deviations": self._deviations.state(),
            "shifts": self._shifts.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues where the detector that wrote this state stood.

        Raises `ValueError` for a document that `state()` of the same detector did not write;
        after that the detector is not usable.
        """
        if state.get("detector") != self.name or state.get("version") != VERSION:
            raise ValueError(f"the state is not one of the detector {self.name}")
        try:
            self._disturbed = int(state["disturbed"])
            self._baseline.restore(state["baseline"])
            self._deviations.restore(state["deviations"])
            self._shifts.restore(state["shifts"])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"the state of the detector {self.name} is damaged") from error

    def _score(self, reading: Reading, surprise: float) -> float:
        surprise -= TRIALS
        if reading.flat_points is not None:
            surprise = min(surprise, NOVELTY * math.log10(reading.flat_points + 2))
        return score_of(surprise, reading.alarm - TRIALS)

    def _learn(self, reading: Reading, *, alarmed: bool, shifted: bool) -> None:
        begun = alarmed and not self._baseline.disturbed
        settled = self._baseline.learn(reading, alarmed=alarmed, shifted=shifted)
        self._disturbed = self._disturbed + 1 if self._baseline.disturbed else 0
        teach = begun or self._disturbed % DISTURBED == 0
        if teach:
            self._deviations.learn(reading)
        self._shifts.learn(reading, teach=teach)
        if settled:
            self._shifts.forget()
