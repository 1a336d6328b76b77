"""The detector of what single points do not show."""

from bartizan.alerts.anomaly.detector import BaselineDetector


class DriftDetector(BaselineDetector):
    """Finds slow drift and level shifts: many deviations, each small, that all go one way.

    Its expected value is the slow forecast, which follows a new level within some hundred points.
    """

    name = "drift"
    single = False
