"""Spikes, dips and breaks of the season: how rare the deviation of a single point is."""

from collections.abc import Mapping
from typing import Any

from bartizan.alerts.anomaly.baseline import Reading
from bartizan.alerts.anomaly.histogram import LARGEST
from bartizan.alerts.anomaly.tail import Tail

LEARNED = 1.5
"""A deviation widens the tail as if it were at most so many times the limit of an alarm."""


class TwoSides:
    """How rare deviations are, upwards and downwards apart."""

    def __init__(self) -> None:
        self.up, self.down = Tail(), Tail()

    def surprise(self, deviation: float) -> float:
        """Returns minus log10 of the share of points that deviate as much to this side."""
        tail = self.up if deviation > 0 else self.down
        return tail.surprise(min(abs(deviation), LARGEST))

    def learn(self, deviation: float, alarm: float) -> None:
        """Counts a deviation on one side, and that there is none on the other one."""
        for tail, size in (self.up, deviation), (self.down, -deviation):
            tail.learn(min(max(size, 0.0), LEARNED * tail.limit(alarm), LARGEST))


class Deviations:
    """Judges a point by its distance from the quick and from the slow forecast."""

    def __init__(self) -> None:
        self._quick, self._slow = TwoSides(), TwoSides()

    def judge(self, reading: Reading) -> float:
        """Returns the surprise of a point."""
        return max(
            self._quick.surprise(reading.quick.deviation),
            self._slow.surprise(reading.slow.deviation),
        )

    def learn(self, reading: Reading) -> None:
        """Counts the deviations of a point."""
        self._quick.learn(reading.quick.deviation, reading.alarm)
        self._slow.learn(reading.slow.deviation, reading.alarm)

    def band(self, reading: Reading, *, quick: bool) -> tuple[float, float]:
        """Returns between which values a point is no alarm by its distance from a forecast."""
        sides, one = (self._quick, reading.quick) if quick else (self._slow, reading.slow)
        down, up = sides.down.limit(reading.alarm), sides.up.limit(reading.alarm)
        return one.expected - down * one.size, one.expected + up * one.size

    def state(self) -> dict[str, Any]:
        """Returns what was counted, as a JSON document."""
        tails = (self._quick.up, self._quick.down, self._slow.up, self._slow.down)
        return {"tails": [one.state() for one in tails]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        tails = (self._quick.up, self._quick.down, self._slow.up, self._slow.down)
        for tail, one in zip(tails, state["tails"], strict=True):
            tail.restore(one)
