"""The configuration of the guardrail `secrets`."""

import re2
from pydantic import Field, field_validator

from bartizan.guardrails.engine.prefilter import options
from bartizan.guardrails.secrets_detectors import CATEGORIES
from bartizan.plugins.config import PluginConfig, nearest

MAX_PATTERN_CHARACTERS = 1_000


def _checked(pattern: str) -> str:
    """Returns an expression if RE2 takes it. Raises ValueError if not; quotes nothing of it."""
    try:
        compiled = re2.compile(pattern, options())
    except re2.error:
        raise ValueError("this is no expression of RE2") from None
    if compiled.search("") is not None:
        raise ValueError("this expression matches where nothing stands")
    return pattern


class OwnFormat(PluginConfig):
    """A format of secrets that only you have."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]{0,62}$",
        description="What it is called: `acme_key` is reported as `secret.acme_key`.",
    )
    pattern: str = Field(
        min_length=1,
        max_length=MAX_PATTERN_CHARACTERS,
        description="An expression of RE2. All that it matches is the secret, 2,000 bytes at most.",
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        return _checked(pattern)


class SecretsConfig(PluginConfig):
    """The configuration of the guardrail `secrets`."""

    categories: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        max_length=1_000,
        description="What to look for, by category without `secret.`: `password`. Default: all.",
    )
    formats: tuple[OwnFormat, ...] = Field(
        (), max_length=200, description="Formats of your own, looked for besides."
    )
    allow: tuple[str, ...] = Field(
        (), max_length=10_000, description="Values that are no secrets, exactly as they stand."
    )
    allow_patterns: tuple[str, ...] = Field(
        (),
        max_length=200,
        description="Expressions of RE2; a value that one of them matches whole is no secret.",
    )

    @field_validator("categories")
    @classmethod
    def _known(cls, categories: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in categories or ():
            if name not in CATEGORIES:
                raise ValueError(f"no category '{name}'{nearest(name, CATEGORIES)}")
        return categories

    @field_validator("allow_patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_checked, patterns))

    def wanted(self) -> frozenset[str]:
        """Returns the categories to look for, those of one's own formats among them."""
        built_in = CATEGORIES if self.categories is None else frozenset(self.categories)
        return built_in | {one.name for one in self.formats}


class Allowed:
    """The values that a configuration lets pass."""

    def __init__(self, config: SecretsConfig) -> None:
        self._values = frozenset(config.allow)
        any_of_them = "|".join(f"(?:{pattern})" for pattern in config.allow_patterns)
        self._pattern = re2.compile(any_of_them, options()) if any_of_them else None

    def __contains__(self, value: str) -> bool:
        if value in self._values:
            return True
        return self._pattern is not None and self._pattern.fullmatch(value) is not None
