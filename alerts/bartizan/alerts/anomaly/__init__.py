"""Streaming anomaly detectors: `update(time, value)` says how odd a point is, 0 to 1."""

from datetime import UTC, tzinfo

from bartizan.alerts.anomaly.auto import AutoDetector
from bartizan.alerts.anomaly.base import ALARM, AnomalyScore, Detector
from bartizan.alerts.anomaly.detector import BaselineDetector
from bartizan.alerts.anomaly.drift import DriftDetector
from bartizan.alerts.anomaly.seasonal import SeasonalDetector

_ALL: tuple[type[BaselineDetector], ...] = (AutoDetector, SeasonalDetector, DriftDetector)

DETECTORS = {one.name: one for one in _ALL}
"""By the name that a rule uses; the first is the default."""


def detector(name: str = AutoDetector.name, zone: tzinfo = UTC) -> Detector:
    """Returns a new detector that takes hours of the week in a time zone.

    Raises `KeyError` for a name that is not in `DETECTORS`.
    """
    return DETECTORS[name](zone)


__all__ = [
    "ALARM",
    "DETECTORS",
    "AnomalyScore",
    "AutoDetector",
    "Detector",
    "DriftDetector",
    "SeasonalDetector",
    "detector",
]
