"""The configuration of the guardrail `topics`."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from bartizan.plugins.config import PluginConfig

MAX_TOPICS = 50
MAX_EXAMPLES = 200
MAX_EXAMPLES_TOGETHER = 2_000
MAX_EXAMPLE_CHARACTERS = 1_000

Example = Annotated[str, Field(min_length=3, max_length=MAX_EXAMPLE_CHARACTERS)]


class Topic(PluginConfig):
    """Something that texts may be about."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]{0,62}$",
        description="What it is called: `legal_advice` has the code `TOPIC_LEGAL_ADVICE`.",
    )
    examples: tuple[Example, ...] = Field(
        min_length=1,
        max_length=MAX_EXAMPLES,
        description="Texts about it as people write them, 1 to 200. Twenty are a good start.",
    )

    @field_validator("examples")
    @classmethod
    def _say_something(cls, examples: tuple[str, ...]) -> tuple[str, ...]:
        for place, example in enumerate(examples):
            if sum(map(str.isalnum, example)) < 2:
                raise ValueError(f"example {place} has no words")
        return examples


class TopicsConfig(PluginConfig):
    """The configuration of the guardrail `topics`."""

    allow: tuple[Topic, ...] = Field(
        (), max_length=MAX_TOPICS, description="The only topics there may be. Default: any."
    )
    deny: tuple[Topic, ...] = Field(
        (), max_length=MAX_TOPICS, description="Topics that there may not be."
    )
    least_score: float = Field(
        0.5, ge=0.05, le=1, description="What scores less is no finding. Rules may ask for more."
    )
    least_characters: int = Field(
        25,
        ge=1,
        le=10_000,
        description="Shorter texts are never off topic: `yes, please` is about nothing.",
    )

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        _check_names(topic.name for topic in self.deny)
        _check_names(topic.name for topic in self.allow)
        together = sum(len(topic.examples) for topic in (*self.allow, *self.deny))
        if together > MAX_EXAMPLES_TOGETHER:
            raise ValueError(f"{together} examples are more than {MAX_EXAMPLES_TOGETHER}")
        return self


def _check_names(names: Iterable[str]) -> None:
    known: set[str] = set()
    for name in names:
        if name in known:
            raise ValueError(f"two topics have the name '{name}'")
        known.add(name)
