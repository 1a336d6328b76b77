"""The configuration of the guardrail `pii`."""

from typing import Self

from phonenumbers import SUPPORTED_REGIONS
from pydantic import Field, field_validator, model_validator

from bartizan.guardrails.patterns_config import checked_expression
from bartizan.guardrails.pii_entities import (
    COUNTRIES,
    ENTITIES,
    REGIONS,
    countries_of,
    country_of,
)
from bartizan.plugins.config import PluginConfig, nearest

MAX_VALUES = 10_000
MAX_VALUE_CHARACTERS = 200
MAX_PATTERNS = 200
MAX_PATTERN_CHARACTERS = 2_000


class EntityConfig(PluginConfig):
    """What to do about one kind of personal data."""

    enabled: bool = Field(True, description="Whether to look for it.")
    threshold: float | None = Field(
        None, ge=0, le=1, description="The least score that counts. Default: its own."
    )


class DenyConfig(PluginConfig):
    """What is personal data because you say so."""

    name: str = Field(
        "custom",
        pattern="^[a-z][a-z0-9_]{0,62}$",
        description="What it is called: `badge` is reported as `pii.badge`.",
    )
    values: tuple[str, ...] = Field(
        (),
        max_length=MAX_VALUES,
        description="Words and phrases, 200 characters at most, any case.",
    )
    pattern: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_PATTERN_CHARACTERS,
        description="An expression of RE2.",
    )

    @field_validator("values")
    @classmethod
    def _can_be_found(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for place, value in enumerate(values):
            if not value.strip() or len(value) > MAX_VALUE_CHARACTERS:
                raise ValueError(f"value {place} must have 1 to {MAX_VALUE_CHARACTERS} characters")
            if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
                raise ValueError(f"value {place} holds a character that cannot be looked for")
        return values

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return pattern and checked_expression(pattern)

    @model_validator(mode="after")
    def _finds_one_thing(self) -> Self:
        if bool(self.values) == (self.pattern is not None):
            raise ValueError(f"'{self.name}' must have either 'values' or 'pattern'")
        return self


class PiiConfig(PluginConfig):
    """The configuration of the guardrail `pii`."""

    entities: dict[str, EntityConfig] = Field(
        default_factory=dict,
        description="Changes to what is looked for, by the name of the entity: EMAIL_ADDRESS.",
    )
    countries: tuple[str, ...] = Field(
        (),
        max_length=len(COUNTRIES),
        description="Countries whose numbers are all looked for, besides what is by default: DE. "
        "Their telephone numbers are read without a country code too. EU stands for its members.",
    )
    phone_regions: tuple[str, ...] = Field(
        ("US", "GB"),
        min_length=1,
        max_length=50,
        description="Telephone numbers without a country code are read as of these countries.",
    )
    allow: tuple[str, ...] = Field(
        (), max_length=MAX_VALUES, description="Values never reported, exactly as they stand."
    )
    allow_patterns: tuple[str, ...] = Field(
        (),
        max_length=MAX_PATTERNS,
        description="Expressions of RE2; a value that one of them matches whole is not reported.",
    )
    deny: tuple[DenyConfig, ...] = Field(
        (),
        max_length=MAX_PATTERNS,
        description="Values and expressions that are always reported, whatever `allow` says.",
    )

    @field_validator("entities")
    @classmethod
    def _known(cls, entities: dict[str, EntityConfig]) -> dict[str, EntityConfig]:
        for name in entities:
            if name not in ENTITIES:
                raise ValueError(f"no entity '{name}'{nearest(name, ENTITIES)}")
        return entities

    @field_validator("countries")
    @classmethod
    def _countries(cls, countries: tuple[str, ...]) -> tuple[str, ...]:
        for name in countries:
            if name not in COUNTRIES:
                raise ValueError(f"no numbers of '{name}' are known{nearest(name, COUNTRIES)}")
        return countries

    @field_validator("phone_regions")
    @classmethod
    def _regions(cls, regions: tuple[str, ...]) -> tuple[str, ...]:
        for region in regions:
            if len(region) != 2 or not region.isascii() or not region.isupper():
                raise ValueError("a region is two capital letters of ISO 3166: US")
            if region not in SUPPORTED_REGIONS:
                raise ValueError(f"no telephone numbers of '{region}' are known")
        return regions

    @field_validator("allow_patterns")
    @classmethod
    def _compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(pattern) > MAX_PATTERN_CHARACTERS for pattern in patterns):
            raise ValueError(f"an expression has {MAX_PATTERN_CHARACTERS:,} characters at most")
        return tuple(map(checked_expression, patterns))

    @field_validator("deny")
    @classmethod
    def _fit_together(cls, deny: tuple[DenyConfig, ...]) -> tuple[DenyConfig, ...]:
        if sum(len(one.values) for one in deny) > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values in all")
        return deny

    def thresholds(self) -> dict[str, float]:
        """Returns what to look for, each with the least score that counts."""
        countries = countries_of(self.countries)
        chosen: dict[str, float] = {}
        for name, entity in ENTITIES.items():
            wanted = self.entities.get(name)
            by_default = entity.on or country_of(name) in countries
            if wanted.enabled if wanted is not None else by_default:
                own = wanted.threshold if wanted is not None else None
                chosen[name] = entity.threshold if own is None else own
        return chosen

    def regions(self) -> tuple[str, ...]:
        """Returns the countries whose telephone numbers are read without a country code."""
        more = [REGIONS[name] for name in sorted(countries_of(self.countries))]
        return tuple(dict.fromkeys((*self.phone_regions, *more)))
