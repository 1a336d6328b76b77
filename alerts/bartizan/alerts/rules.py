"""Alert rules: what is measured, and from where on somebody has to know."""

from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bartizan.alerts.anomaly import DETECTORS, Detector, detector
from bartizan.alerts.documents import (
    Document,
    Duration,
    Id,
    LabelName,
    LabelValue,
    TimeZone,
    distinct,
    known,
)
from bartizan.alerts.metrics import METRICS, Form, Metric
from bartizan.alerts.rule_checks import COMPARED_WITH_SIGNS, problems
from bartizan.alerts.scope import GroupKey, Scope
from bartizan.alerts.templates import MAX_TEMPLATE
from bartizan.alerts.values import Level
from bartizan.plugins.notification import Severity

WEEK = timedelta(weeks=1)
MAX_WINDOW = timedelta(days=31)


class Operator(StrEnum):
    """On which side of the threshold the trouble is."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="

    @property
    def upward(self) -> bool:
        """True if more is worse."""
        return self in (Operator.ABOVE, Operator.AT_LEAST)


class Compare(StrEnum):
    """What is held against the threshold."""

    VALUE = "value"
    RATIO = "ratio"
    """The metric by the one in `divisor`."""
    LAST_WEEK = "last_week"
    """The change against the same time a week ago: 0.5 is half as much again."""
    ANOMALY = "anomaly"
    """How odd the value is, from 0 to 1, by what the detector has learnt."""


class NoData(StrEnum):
    """What a window without data means."""

    NO_DATA = "no_data"
    """A state of its own. What fires goes on, and nobody is told of anything new."""
    OK = "ok"
    ALERT = "alert"
    KEEP_LAST = "keep_last"


class Direction(StrEnum):
    """Which anomalies count."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"


def _operator(value: object) -> object:
    if isinstance(value, str) and value not in list(Operator):
        meant = COMPARED_WITH_SIGNS.get(value.strip().lower())
        hint = f" (did you mean '{meant}'?)" if meant else ""
        raise ValueError(f"must be one of '>', '>=', '<' and '<=', in quotes{hint}")
    return value


DetectorName = Annotated[str, BeforeValidator(known("detector", DETECTORS))]
MetricName = Annotated[str, BeforeValidator(known("metric", METRICS))]
Threshold = Annotated[float, Field(allow_inf_nan=False)]
Template = Annotated[str, Field(max_length=MAX_TEMPLATE)]


class AlertRule(Document):
    """One alert rule."""

    id: Id = Field(description="Alerts name it, as `alertname`.")
    description: str = Field("", max_length=2_000, description="Why the rule is there.")
    metric: MetricName = Field(description="What is measured.")
    category: str = Field(
        "", max_length=127, description="Of findings: only this category and those under it."
    )
    score: str = Field("", max_length=127, description="Of score metrics: the name of the score.")
    below: float | None = Field(
        None, ge=0, le=100, description="Of score_share_below: from where on a score is good."
    )
    where: Scope = Field(default_factory=Scope, description="Which spans count.")
    group_by: Annotated[tuple[GroupKey, ...], AfterValidator(distinct)] = Field(
        (), max_length=4, description="One alert for each value of these."
    )
    max_groups: int = Field(
        100, ge=1, le=1_000, description="How many groups are looked at. It is told if more exist."
    )
    window: Duration = Field(
        timedelta(minutes=5), ge=timedelta(minutes=1), le=MAX_WINDOW,
        description="How far back a look goes.",
    )  # fmt: skip
    interval: Duration = Field(
        timedelta(minutes=1), ge=timedelta(seconds=10), le=timedelta(days=1),
        description="How often the rule looks.",
    )  # fmt: skip
    compare: Compare = Field(Compare.VALUE, description="What is held against the threshold.")
    divisor: MetricName | None = Field(None, description="Of a ratio: the metric to divide by.")
    detector: DetectorName | None = Field(
        None, description=f"Of an anomaly: {', '.join(DETECTORS)}; the first if left out."
    )
    time_zone: TimeZone = Field("UTC", description="Of an anomaly: whose hours of the week count.")
    direction: Direction = Field(Direction.BOTH, description="Of an anomaly: which ones count.")
    operator: Annotated[Operator, BeforeValidator(_operator)] = Field(
        Operator.ABOVE, description="On which side of the threshold the trouble is."
    )
    warning: Threshold | None = Field(None, description="The threshold of the warning level.")
    critical: Threshold | None = Field(None, description="The threshold of the critical level.")
    recovery: Threshold | None = Field(
        None, description="A firing alert goes on until the value is back on this side."
    )
    for_: Duration = Field(
        timedelta(), ge=timedelta(), le=MAX_WINDOW, alias="for",
        description="How long the trouble has to last before the alert fires.",
    )  # fmt: skip
    keep_firing_for: Duration = Field(
        timedelta(), ge=timedelta(), le=MAX_WINDOW,
        description="How long it has to be over before the alert is.",
    )  # fmt: skip
    min_samples: int = Field(
        1, ge=1, le=10**9, description="With fewer, everything stays as it is."
    )
    wilson: bool = Field(
        False, description="Of a share: fire only if it is over the threshold beyond chance (95 %)."
    )
    no_data: NoData = Field(NoData.NO_DATA, description="What a window without data means.")
    severity: Severity = Field(Severity.CRITICAL, description="Of the critical level.")
    labels: dict[LabelName, LabelValue] = Field(
        default_factory=dict, max_length=16, description="Further labels of the alerts."
    )
    annotations: dict[LabelName, Template] = Field(
        default_factory=dict,
        max_length=16,
        description="Templates over ids, numbers and reason codes: `summary`, `description`.",
    )
    runbook_url: str = Field(
        "",
        max_length=2_000,
        pattern=r"^(https?://[^\s<>\"]+)?$",
        description="What to do.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in problems(self):
            raise ValueError(problem)
        return self

    @cached_property
    def measured(self) -> Metric:
        """What is measured."""
        return METRICS[self.metric]

    @cached_property
    def is_share(self) -> bool:
        """True if what is held against the threshold is a share of hits in a total."""
        return self.compare is Compare.VALUE and self.measured.form is Form.SHARE

    @cached_property
    def unit(self) -> str:
        """The unit of what is held against the threshold."""
        return {
            Compare.VALUE: self.measured.unit,
            Compare.RATIO: "",
            Compare.LAST_WEEK: "ratio",
            Compare.ANOMALY: "",
        }[self.compare]

    @cached_property
    def thresholds(self) -> tuple[tuple[Level, float], ...]:
        """The levels that can be reached with their thresholds, the worst first."""
        both = ((Level.CRITICAL, self.critical), (Level.WARNING, self.warning))
        return tuple((level, value) for level, value in both if value is not None)

    @property
    def looks_back(self) -> timedelta:
        """How old the data are that an evaluation needs."""
        return self.window + (WEEK if self.compare is Compare.LAST_WEEK else timedelta())

    def new_detector(self) -> Detector:
        """Returns what scores the points of one group, and has learned nothing yet."""
        return detector(self.detector or next(iter(DETECTORS)), ZoneInfo(self.time_zone))

    def severity_of(self, level: Level) -> Severity:
        """Returns how bad an alert of a level is."""
        if level is Level.CRITICAL or self.severity is Severity.INFO:
            return self.severity
        return Severity.WARNING
