"""What all documents of this room have in common: fields, a canonical form and a version."""

import hashlib
import json
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
)

from bartizan.plugins.config import PluginConfig, nearest
from bartizan.plugins.durations import format_duration, parse_duration

VERSION_DIGITS = 12
MAX_LISTED = 12
"""So that a wrong name does not print a page of right ones."""


class Document(PluginConfig):
    """The base of a document that is kept with versions."""

    model_config = ConfigDict(
        validate_by_name=True, validate_by_alias=True, serialize_by_alias=True
    )

    @cached_property
    def document(self) -> dict[str, Any]:
        """The document as JSON, without the keys that have their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @cached_property
    def version(self) -> str:
        """A short hash of the canonical document."""
        text = json.dumps(self.document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]


def known(what: str, names: Collection[str]) -> Callable[[object], object]:
    """Returns a validator that takes one of `names`, and else names the nearest of them."""

    def check(value: object) -> object:
        if isinstance(value, str) and value not in names:
            raise ValueError(unknown(what, value, names))
        return value

    return check


def unknown(what: str, name: str, names: Collection[str]) -> str:
    """Returns what is said of a name that is not there: with the nearest right one, or a list."""
    hint = nearest(name, names)
    if not hint and 0 < len(names) <= MAX_LISTED:
        hint = f"; known: {', '.join(sorted(names))}"
    return f"there is no {what} '{name[:100]}'{hint}"


def distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    """Returns values that are all different; raises ValueError if they are not."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"names '{value}' twice")
    return values


def _duration(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    if value == 0 and not isinstance(value, bool):
        return timedelta()
    if not isinstance(value, str):
        raise ValueError("must be a duration such as 30s, 5m, 24h, 7d or 1h30m")
    return parse_duration(value)


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _zone(name: str) -> str:
    zones = available_timezones()
    if name not in zones:
        raise ValueError(unknown("time zone", name, zones))
    return name


def _no_newlines(text: str) -> str:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        raise ValueError("holds control characters")
    return text


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
]
"""Written as 5m or 1h30m."""

Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A moment with its zone."""

TimeZone = Annotated[str, AfterValidator(_zone)]
"""A name of the time zone database."""

Id = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""Lower case letters, digits and hyphens."""

LABEL_NAME = r"^[a-zA-Z_][a-zA-Z0-9_]{0,62}$"
LabelName = Annotated[str, Field(pattern=LABEL_NAME)]
LabelValue = Annotated[str, Field(max_length=200), AfterValidator(_no_newlines)]
Names = Annotated[tuple[Id, ...], Field(max_length=32), AfterValidator(distinct)]
"""Ids of other documents."""
