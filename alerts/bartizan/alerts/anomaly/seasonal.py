"""The detector of points that do not fit the hour of the week."""

from bartizan.alerts.anomaly.detector import BaselineDetector


class SeasonalDetector(BaselineDetector):
    """Finds spikes, dips and breaks of the season: single points far from what is usual now.

    Usual is the median of the same hour on former days and weeks, moved to the level of the last
    points; while nothing is known of the hour, the level alone.
    """

    name = "seasonal"
    lasting = False
