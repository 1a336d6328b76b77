"""Silences, and inhibition: an alert that makes others quiet."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from bartizan.alerts.documents import Document, Id, LabelName, Time, distinct
from bartizan.alerts.matchers import Matchers, all_match, matches_everything
from bartizan.alerts.values import Labels


class Silence(Document):
    """Alerts that nobody is told of for a while."""

    id: Id = Field(description="It is named where an alert was not told of.")
    matchers: Matchers = Field(min_length=1, description="Which alerts: all of them must match.")
    starts_at: Time = Field(description="From when, with its zone.")
    ends_at: Time = Field(description="Until when, with its zone.")
    created_by: str = Field("", max_length=200, description="Who made it.")
    comment: str = Field(min_length=1, max_length=2_000, description="Why.")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("'ends_at' is not after 'starts_at'")
        if matches_everything(self.matchers):
            raise ValueError("the matchers let every alert through: a silence has to choose")
        return self

    def silences(self, labels: Labels, now: datetime) -> bool:
        """Tells whether it holds now, and of an alert with these labels."""
        return self.starts_at <= now < self.ends_at and all_match(self.matchers, labels)


class Inhibition(Document):
    """Alerts that nobody is told of while another fires: the outage, not each of its effects."""

    id: Id = Field(description="It is named where an alert was not told of.")
    description: str = Field("", max_length=2_000, description="Why it is there.")
    source_matchers: Matchers = Field(min_length=1, description="The alert that makes quiet.")
    target_matchers: Matchers = Field(min_length=1, description="The alerts that it makes quiet.")
    equal: Annotated[tuple[LabelName, ...], AfterValidator(distinct)] = Field(
        (), max_length=16, description="Labels that have to be the same on both."
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if matches_everything(self.source_matchers):
            raise ValueError("'source_matchers' let every alert through: any would make quiet")
        return self

    def is_source(self, labels: Labels) -> bool:
        """Tells whether an alert with these labels makes others quiet."""
        return all_match(self.source_matchers, labels)

    def is_target(self, labels: Labels) -> bool:
        """Tells whether an alert with these labels can be made quiet."""
        return all_match(self.target_matchers, labels)

    def shared(self, labels: Labels) -> tuple[str, ...]:
        """Returns the labels that have to be the same on both."""
        return tuple(labels.get(name, "") for name in self.equal)
