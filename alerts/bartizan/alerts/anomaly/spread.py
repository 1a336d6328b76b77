"""At which hours a series is calm and at which it is not."""

from bartizan.alerts.anomaly.hours import SLOTS, Place

GAIN = 0.03
BOUNDS = (0.4, 30.0)
"""How much calmer or less calm an hour can be than the last points were."""

MOST = 3.0
"""A deviation counts up to so many times its usual size."""

SIGMA = 1.2616
"""Standard deviation of a normal distribution by its mean absolute deviation, clipped."""


class Spread:
    """The size of deviations by hour of the day, on weekdays and at weekends."""

    def __init__(self) -> None:
        self.ratios = [1.0] * SLOTS

    def at(self, place: Place) -> float:
        """Returns the factor by which usual errors are larger at this hour."""
        return min(max(self.ratios[place.slot], BOUNDS[0]), BOUNDS[1])

    def learn(self, place: Place, deviation: float) -> None:
        """Takes a deviation in usual errors, before the factor."""
        size = min(abs(deviation), MOST * self.at(place)) * SIGMA
        self.ratios[place.slot] += GAIN * (size - self.ratios[place.slot])
