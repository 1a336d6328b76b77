"""The detector that is used where none is named."""

from bartizan.alerts.anomaly.detector import BaselineDetector


class AutoDetector(BaselineDetector):
    """Finds what the seasonal and the drift detector find; the worse of both scores counts.

    Expected value and range are those of the seasonal one: a lasting shift can be an alarm while
    each of its values lies in the range.
    """

    name = "auto"
