"""How the value of an attribute becomes the value of a typed field.

Each function takes the value and the attribute's key and returns `(typed value, whole)`. `whole`
is False when the typed value says less than the attribute did, which then stays with the span.
None means that the value is not of a form that fits; it stays an ordinary attribute. Only what
would falsify sums (tokens, money, durations out of bounds) raises Rejection.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from bartizan.server.ingest.checks import (
    MAX_COST,
    MAX_DURATION_NS,
    MAX_LENGTH,
    MAX_TAGS,
    MAX_TOKENS,
    Reason,
    Rejection,
    check_cost,
    check_text,
    check_tokens,
)
from bartizan.server.ingest.span import NANOS, Json
from bartizan.v1 import common_pb2

Converted = tuple[Any, bool] | None
Converter = Callable[[Json, str], Converted]

UNNAMED_SERVICE = "unknown_service"
"""How OpenTelemetry's SDKs call a service that nobody has named."""


def text(field: str) -> Converter:
    """Returns a converter to a text of a field, cut at the field's limit."""
    limit = MAX_LENGTH[field]

    def convert(value: Json, key: str) -> Converted:
        if type(value) is str and 0 < len(value) <= limit:
            return value, True
        plain = _plain(value)
        return (plain[:limit], len(plain) <= limit) if plain else None

    return convert


_agent = text("agent")


def agent(value: Json, key: str) -> Converted:
    """Returns the name of an agent; a service that has no name gives none."""
    unnamed = key == "service.name" and str(value).startswith(UNNAMED_SERVICE)
    return None if unnamed else _agent(value, key)


def _plain(value: Json) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def named(field: str, names: Mapping[str, str]) -> Converter:
    """Returns a converter to a lower-case text of a field, with other names for the same thing."""
    convert_text = text(field)

    def convert(value: Json, key: str) -> Converted:
        lower = value.lower() if isinstance(value, str) else value
        return convert_text(names.get(lower, lower) if isinstance(lower, str) else lower, key)

    return convert


def kind(by_key: Mapping[str, Mapping[str, int]], rich: frozenset[str]) -> Converter:
    """Returns a converter to a span kind; values in `rich` say more than their kind."""

    def convert(value: Json, key: str) -> Converted:
        name = value.lower() if isinstance(value, str) else ""
        number = by_key[key].get(name)
        return None if number is None else (number, name not in rich)

    return convert


def _number(value: Json, key: str) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    if not math.isfinite(number):
        raise Rejection(Reason.REJECT_REASON_MALFORMED, key, "must be a finite number")
    return number


def tokens(value: Json, key: str) -> Converted:
    """Converts to a count of tokens; raises Rejection when it is negative or absurd."""
    if type(value) is int:
        return (value if 0 <= value <= MAX_TOKENS else check_tokens(value, key)), True
    number = _number(value, key)
    if number is None or not number.is_integer():
        return None
    return check_tokens(int(number), key), True


def cost(value: Json, key: str) -> Converted:
    """Converts to an amount of money; raises Rejection when it is not finite or absurd."""
    if type(value) is float and 0 <= value <= MAX_COST:
        return value, True
    number = _number(value, key)
    return None if number is None else (check_cost(number, key), True)


def cost_part(value: Json, key: str) -> Converted:
    """Converts like `cost`, but the attribute stays: a total does not say its parts."""
    number = _number(value, key)
    return None if number is None else (check_cost(number, key), False)


def currency(value: Json, key: str) -> Converted:
    """Converts to an ISO 4217 code; raises Rejection, as an amount in it could not be counted."""
    if isinstance(value, str) and len(value) == 3 and value.isascii() and value.isalpha():
        return value.upper(), True
    raise Rejection(Reason.REJECT_REASON_MALFORMED, key, "must be an ISO 4217 code")


_COST_SOURCES = {
    "provider": common_pb2.COST_SOURCE_PROVIDER,
    "local": common_pb2.COST_SOURCE_LOCAL,
}


def cost_source(value: Json, key: str) -> Converted:
    """Converts to the number of a cost source."""
    number = _COST_SOURCES.get(value.lower()) if isinstance(value, str) else None
    return None if number is None else (number, True)


def seconds(value: Json, key: str) -> Converted:
    """Converts seconds to nanoseconds; raises Rejection when out of bounds."""
    number = _number(value, key)
    if number is None:
        return None
    if not 0 <= number * NANOS <= MAX_DURATION_NS:
        raise Rejection(Reason.REJECT_REASON_OUT_OF_RANGE, key, "must be from 0 to 30 days")
    return round(number * NANOS), True


def tags(value: Json, key: str) -> Converted:
    """Converts a list, a JSON list or one text to tags, cut at the limits."""
    items = _tag_list(value)
    if not items:
        return None
    limit = MAX_LENGTH["tags"]
    unique = sorted({check_text(item[:limit], key) for item in items if item})
    whole = len(unique) <= MAX_TAGS and all(len(item) <= limit for item in items)
    return unique[:MAX_TAGS], whole


def _tag_list(value: Json) -> list[str]:
    if isinstance(value, str) and value.startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return []
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)] if items else []
