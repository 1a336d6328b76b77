"""From what was measured to a level: thresholds, hysteresis, chance and lack of data."""

import math
import operator
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from bartizan.alerts.metrics import Form
from bartizan.alerts.rules import AlertRule, Compare, Direction, NoData, Operator
from bartizan.alerts.samples import Sample
from bartizan.alerts.values import Level
from bartizan.plugins.statistics import wilson

MAX_CHANGE = 1_000_000.0
"""What a change from nothing to something counts as: a number that JSON can hold."""

_COMPARISONS: Mapping[Operator, Callable[[float, float], bool]] = {
    Operator.ABOVE: operator.gt,
    Operator.AT_LEAST: operator.ge,
    Operator.BELOW: operator.lt,
    Operator.AT_MOST: operator.le,
}


class Outcome(StrEnum):
    """What one look came to."""

    LEVEL = "level"
    """There is a value, and it has a level."""
    KEEP = "keep"
    """Too little to say anything: all stays as it is."""
    NO_DATA = "no_data"
    ERROR = "error"


class Because(StrEnum):
    """Why a look came to what it came to."""

    WITHIN = "WITHIN_BOUNDS"
    BREACHED = "THRESHOLD_BREACHED"
    NOT_RECOVERED = "NOT_RECOVERED"
    """Under the threshold, but not yet back over the recovery threshold."""
    CHANCE = "MAY_BE_CHANCE"
    """Over the threshold, but so few that it may be chance."""
    TOO_FEW = "TOO_FEW_SAMPLES"
    NO_DATA = "NO_DATA"
    NO_DIVISOR = "NO_DIVISOR"
    NO_LAST_WEEK = "NO_LAST_WEEK"
    LEARNING = "DETECTOR_IS_LEARNING"
    FAILED = "EVALUATION_FAILED"


class Judgement(NamedTuple):
    """What one look came to.

    Attributes:
        value: what was held against the threshold; None if there was nothing.
        threshold: of the level; of the mildest one if there is none.
        bound: the end of the interval that was held against it in place of the value.
    """

    outcome: Outcome
    level: Level
    because: Because
    value: float | None = None
    threshold: float | None = None
    samples: int = 0
    bound: float | None = None


FAILED = Judgement(Outcome.ERROR, Level.OK, Because.FAILED)
"""A look that could not be had."""


def judge(rule: AlertRule, sample: Sample | None, current: Level = Level.OK) -> Judgement:
    """Returns what a window comes to for an alert that now fires at the level `current`."""
    value, missing = _value(rule, sample)
    if value is None or sample is None:
        return _without_data(rule, missing)
    if sample.samples < rule.min_samples and rule.measured.form is not Form.GAUGE:
        mildest = rule.thresholds[-1][1]
        return Judgement(Outcome.KEEP, Level.OK, Because.TOO_FEW, value, mildest, sample.samples)
    bound = _bound(rule, sample)
    level, threshold = _level(rule, value, value if bound is None else bound, current)
    because = _because(rule, level, value, threshold, bound)
    return Judgement(Outcome.LEVEL, level, because, value, threshold, sample.samples, bound)


def _value(rule: AlertRule, sample: Sample | None) -> tuple[float | None, Because]:
    """Returns what is held against the threshold, and why there is none if there is none."""
    if sample is None or not _is_number(sample.value):
        return None, Because.NO_DATA
    if not sample.samples and rule.measured.form is not Form.GAUGE:
        # A sum over nothing is no zero: whatever should have been counted may be missing.
        return None, Because.NO_DATA
    return _FORMS[rule.compare](rule, sample)


def _plain(rule: AlertRule, sample: Sample) -> tuple[float | None, Because]:
    return sample.value, Because.WITHIN


def _ratio(rule: AlertRule, sample: Sample) -> tuple[float | None, Because]:
    assert sample.value is not None
    if not sample.divisor or not math.isfinite(sample.divisor):
        return None, Because.NO_DIVISOR
    return sample.value / sample.divisor, Because.WITHIN


def _change(rule: AlertRule, sample: Sample) -> tuple[float | None, Because]:
    before = sample.last_week
    assert sample.value is not None
    if before is None or before.value is None or not math.isfinite(before.value):
        return None, Because.NO_LAST_WEEK
    if before.samples < rule.min_samples:
        return None, Because.NO_LAST_WEEK
    rise = sample.value - before.value
    change = rise / abs(before.value) if before.value else math.copysign(MAX_CHANGE, rise)
    return 0.0 if not rise else max(-MAX_CHANGE, min(MAX_CHANGE, change)), Because.WITHIN


def _oddness(rule: AlertRule, sample: Sample) -> tuple[float | None, Because]:
    if not _is_number(sample.score):
        return None, Because.LEARNING
    assert sample.value is not None
    if rule.direction is not Direction.BOTH and sample.expected is not None:
        up = sample.value > sample.expected
        if up is not (rule.direction is Direction.UP):
            return 0.0, Because.WITHIN
    return sample.score, Because.WITHIN


_FORMS: Mapping[Compare, Callable[[AlertRule, Sample], tuple[float | None, Because]]] = {
    Compare.VALUE: _plain,
    Compare.RATIO: _ratio,
    Compare.LAST_WEEK: _change,
    Compare.ANOMALY: _oddness,
}


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _without_data(rule: AlertRule, because: Because) -> Judgement:
    mildest = rule.thresholds[-1][1]
    if because is not Because.NO_DATA:
        # The project has data; what they are compared with has not come about yet.
        return Judgement(Outcome.KEEP, Level.OK, because, threshold=mildest)
    if rule.no_data is NoData.OK:
        return Judgement(Outcome.LEVEL, Level.OK, because, threshold=mildest)
    if rule.no_data is NoData.ALERT:
        level, threshold = rule.thresholds[0]
        return Judgement(Outcome.LEVEL, level, because, threshold=threshold)
    outcome = Outcome.KEEP if rule.no_data is NoData.KEEP_LAST else Outcome.NO_DATA
    return Judgement(outcome, Level.OK, because, threshold=mildest)


def _bound(rule: AlertRule, sample: Sample) -> float | None:
    """Returns the end of the interval that has to be over the threshold, if the rule wants one."""
    if not rule.wilson or sample.counted is None:
        return None
    interval = wilson(*sample.counted)
    return interval.lower if rule.operator.upward else interval.upper


def _level(rule: AlertRule, value: float, bound: float, current: Level) -> tuple[Level, float]:
    """Returns the level, and the threshold that says so.

    A level is entered over its threshold, and left when the value itself is back under it; the
    mildest level, and with it the alert, under the recovery threshold.
    """
    passes = _COMPARISONS[rule.operator]
    mildest = rule.thresholds[-1][1]
    for index, (level, threshold) in enumerate(rule.thresholds):
        if passes(bound, threshold):
            return level, threshold
        milder = index + 1 < len(rule.thresholds)
        leave = threshold if milder or rule.recovery is None else rule.recovery
        if current is not Level.OK and current.rank >= level.rank and passes(value, leave):
            return level, threshold
    return Level.OK, mildest


def _because(
    rule: AlertRule, level: Level, value: float, threshold: float, bound: float | None
) -> Because:
    passes = _COMPARISONS[rule.operator]
    over = passes(value, threshold)
    if level is Level.OK:
        return Because.CHANCE if over and bound is not None else Because.WITHIN
    return Because.BREACHED if over else Because.NOT_RECOVERED
