"""The configuration of the guardrail `grounded`."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Role


class Kind(StrEnum):
    """What may be without ground: the last word of the category."""

    NUMBER = "number"
    DATE = "date"
    NAME = "name"
    URL = "url"
    IDENTIFIER = "identifier"


class GroundedConfig(PluginConfig):
    """The configuration of the guardrail `grounded`."""

    kinds: tuple[Kind, ...] = Field(
        tuple(Kind),
        min_length=1,
        max_length=len(Kind),
        description="What to look for: the last word of the categories.",
    )
    sources: tuple[Role, ...] = Field(
        (Role.RETRIEVED, Role.TOOL_RESULT),
        min_length=1,
        max_length=len(Role),
        description="What an answer is based on. Without any of it nothing is found.",
    )
    also: tuple[Role, ...] = Field(
        (Role.SYSTEM, Role.USER, Role.TOOL_CALL),
        max_length=len(Role),
        description="What an answer may repeat besides.",
    )
    tolerance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="By which share a number may differ: 0.01 takes 1,200 for 1,206. Rounding to"
        " the digits that are given is always right.",
    )
    ignore_up_to: int = Field(
        10,
        ge=0,
        le=1_000_000,
        description="Whole numbers up to this one count things or lines, and need no ground.",
    )

    @model_validator(mode="after")
    def _answers_prove_nothing(self) -> Self:
        if Role.ASSISTANT in (*self.sources, *self.also):
            raise ValueError("what the assistant says is no ground for what it says")
        return self
