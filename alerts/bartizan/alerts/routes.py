"""Routes: who is told of which alerts, together with which others, and how often."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bartizan.alerts.documents import LABEL_NAME, Document, Duration, Names, distinct
from bartizan.alerts.matchers import Matchers
from bartizan.plugins.config import PluginConfig

MAX_DEPTH = 8
MAX_ROUTES = 500
ALL_LABELS = "..."
"""In `group_by`: each alert is a group of its own."""

DEFAULT_GROUP_BY = ("alertname",)
DEFAULT_GROUP_WAIT = timedelta(seconds=30)
DEFAULT_GROUP_INTERVAL = timedelta(minutes=5)
DEFAULT_REPEAT_INTERVAL = timedelta(hours=4)

_SECOND, _MINUTE, _DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
GroupLabel = Annotated[str, Field(pattern=rf"{LABEL_NAME}|^\.\.\.$")]


class Escalation(PluginConfig):
    """Who else is told if nobody acknowledges."""

    after: Duration = Field(ge=_MINUTE, le=7 * _DAY, description="How long after the first word.")
    channels: Names = Field(min_length=1, description="The channels that are told, too.")


class Route(Document):
    """One branch of the tree. What is not said is as in the branch that it grows from."""

    matchers: Matchers = Field((), description="Which alerts: all of them must match.")
    continue_: bool = Field(
        False, alias="continue", description="Alerts that match go on to the next branch, too."
    )
    group_by: Annotated[tuple[GroupLabel, ...], AfterValidator(distinct)] | None = Field(
        None, max_length=16, description="Alerts that share these labels are told of together."
    )
    group_wait: Duration | None = Field(
        None, ge=timedelta(), le=_DAY, description="How long a new group waits for more alerts."
    )
    group_interval: Duration | None = Field(
        None, ge=_SECOND, le=_DAY, description="How long a group waits before it tells of changes."
    )
    repeat_interval: Duration | None = Field(
        None, ge=_MINUTE, le=30 * _DAY, description="After how long the same is told again."
    )
    channels: Names | None = Field(None, description="Who is told; an empty list means nobody.")
    escalation: tuple[Escalation, ...] | None = Field(
        None, max_length=8, description="Who else is told if nobody acknowledges."
    )
    mute_windows: Names = Field((), description="When it is quiet. Branches do not share them.")
    active_windows: Names = Field((), description="When alone it is not. Likewise.")
    routes: tuple["Route", ...] = Field((), description="The branches; the first that match.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.group_by is not None and ALL_LABELS in self.group_by and len(self.group_by) > 1:
            raise ValueError(f"'{ALL_LABELS}' in group_by means all labels, and stands alone")
        steps = [one.after for one in self.escalation or ()]
        if steps != sorted(set(steps)):
            raise ValueError("the steps of 'escalation' have to come one after the other")
        if self.depth > MAX_DEPTH or sum(1 for _ in self.walk()) > MAX_ROUTES:
            raise ValueError(f"a tree has {MAX_DEPTH} levels and {MAX_ROUTES} routes at most")
        return self

    @property
    def depth(self) -> int:
        """The number of levels."""
        return 1 + max((branch.depth for branch in self.routes), default=0)

    def walk(self) -> Iterator["Route"]:
        """Yields the route and all that grow from it."""
        yield self
        for branch in self.routes:
            yield from branch.walk()

    def named_channels(self) -> Iterator[str]:
        """Yields the channels that this route itself names."""
        yield from self.channels or ()
        for step in self.escalation or ():
            yield from step.channels
