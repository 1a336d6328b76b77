"""The configuration of the guardrail `tool_policy`."""

from typing import Annotated, Self

import re2
from pydantic import Field, field_validator, model_validator

from bartizan.guardrails.engine.prefilter import options
from bartizan.plugins.config import PluginConfig

MAX_RULES = 200
MAX_ITEMS = 1_000
MAX_CHARACTERS = 1_000

Value = str | int | float | bool | None
Tool = Annotated[str, Field(min_length=1, max_length=256)]
"""The name of a tool, in which `*` is anything."""


class ArgumentRule(PluginConfig):
    """What one argument may be."""

    id: str = Field(
        pattern="^[a-z][a-z0-9_]{0,62}$",
        description="What it is called: `no_drop` is reported as `tool_policy.no_drop`.",
    )
    tools: tuple[Tool, ...] = Field(
        (), max_length=MAX_ITEMS, description="The tools it is about. Default: all."
    )
    argument: str = Field(
        "**",
        min_length=1,
        max_length=MAX_CHARACTERS,
        description="Which: names parted by dots. `*` is any name or item of an array, `**` any "
        "number of them: `files.*.path`, `**.path`. Default: all.",
    )
    deny: tuple[str, ...] = Field(
        (), max_length=MAX_ITEMS, description="Expressions of RE2, of which none may match."
    )
    allow: tuple[Value, ...] = Field(
        (), max_length=MAX_ITEMS, description="The only values there may be."
    )
    allow_patterns: tuple[str, ...] = Field(
        (),
        max_length=MAX_ITEMS,
        description="Expressions of RE2, of which one must match it whole.",
    )
    min: float | None = Field(None, description="The least number it may be.")
    max: float | None = Field(None, description="The greatest number it may be.")
    forbidden_sql: tuple[str, ...] = Field(
        (), max_length=100, description="Verbs of SQL it may not hold: `[DROP, ALTER USER]`."
    )
    forbidden_paths: tuple[str, ...] = Field(
        (),
        max_length=MAX_ITEMS,
        description="Files it may not name, by pattern: `/etc/**`, `~/.ssh/**`, `*.pem`.",
    )
    allowed_paths: tuple[str, ...] = Field(
        (), max_length=MAX_ITEMS, description="The only files it may name, by pattern."
    )
    score: float = Field(1.0, ge=0, le=1, description="How sure a finding is.")

    @field_validator("deny", "allow_patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for place, pattern in enumerate(patterns):
            try:
                re2.compile(pattern, options())
            except (re2.error, UnicodeEncodeError):
                raise ValueError(f"expression {place} is none of RE2") from None
        return patterns

    @field_validator("forbidden_sql")
    @classmethod
    def _are_verbs(cls, verbs: tuple[str, ...]) -> tuple[str, ...]:
        for verb in verbs:
            if not all(word.isascii() and word.isalpha() for word in verb.split() or [""]):
                raise ValueError("a verb is a word or two: DROP, ALTER USER")
        return verbs

    @field_validator("forbidden_paths", "allowed_paths")
    @classmethod
    def _are_patterns(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for place, pattern in enumerate(patterns):
            if not 0 < len(pattern) <= MAX_CHARACTERS or not pattern.isprintable():
                raise ValueError(f"pattern {place} is no path")
        return patterns

    @field_validator("argument")
    @classmethod
    def _is_a_path(cls, argument: str) -> str:
        if not all(argument.split(".")) or not argument.isprintable():
            raise ValueError("an argument is named by names parted by dots: files.*.path")
        return argument

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("'min' is more than 'max'")
        if not (self.model_fields_set - {"id", "tools", "argument", "score"}):
            raise ValueError(f"'{self.id}' must say what the argument may be: deny, allow, max …")
        return self


class ToolPolicyConfig(PluginConfig):
    """The configuration of the guardrail `tool_policy`."""

    allowed_tools: tuple[Tool, ...] = Field(
        (), max_length=MAX_ITEMS, description="The only tools that may be called. Default: any."
    )
    denied_tools: tuple[Tool, ...] = Field(
        (), max_length=MAX_ITEMS, description="Tools that may not be called."
    )
    rules: tuple[ArgumentRule, ...] = Field(
        (), max_length=MAX_RULES, description="What the arguments may be. Each rule is checked."
    )
    unreadable: bool = Field(
        True, description="Whether arguments that are no JSON, or name a member twice, are found."
    )

    @field_validator("rules")
    @classmethod
    def _are_distinct(cls, rules: tuple[ArgumentRule, ...]) -> tuple[ArgumentRule, ...]:
        known: set[str] = set()
        for rule in rules:
            if rule.id in known:
                raise ValueError(f"two rules have the id '{rule.id}'")
            known.add(rule.id)
        return rules
