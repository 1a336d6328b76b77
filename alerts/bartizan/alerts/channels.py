"""Channels: where notifications go out."""

from typing import Any, Self

from pydantic import Field, model_validator

from bartizan.alerts.documents import Document, Id


class Channel(Document):
    """One way out: a notifier with its configuration."""

    id: Id = Field(description="Routes name it.")
    description: str = Field("", max_length=2_000, description="Who reads it.")
    plugin: str = Field(min_length=1, max_length=63, description="The notifier.")
    config: dict[str, Any] = Field(default_factory=dict, description="The notifier's own keys.")
    send_resolved: bool = Field(True, description="Tell also that an alert is over.")
    fallback: str = Field(
        "", max_length=63, description="The channel that is told when this one keeps failing."
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.fallback == self.id:
            raise ValueError("'fallback' is the channel itself")
        return self
