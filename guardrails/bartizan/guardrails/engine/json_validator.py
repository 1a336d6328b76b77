"""Checks values against a JSON schema, in linear time and with nothing fetched from anywhere.

The package `jsonschema` does the work. What in it backtracks, or compares each with each, is
replaced here.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any
from urllib.parse import unquote

import orjson
import re2
from jsonschema import validators
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry

from bartizan.guardrails.engine.prefilter import options
from bartizan.plugins.errors import ConfigError

MAX_ERRORS = 20
"""So many reasons are enough to say what is wrong with a text."""

_DATA = ("const", "enum", "default", "examples")
"""Keywords whose values are no schemas."""


class Validator:
    """A checked schema. Serves many threads."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """Raises ConfigError if it is wrong, refers elsewhere or RE2 lacks an expression."""
        draft = validators.validator_for(schema, default=validators.Draft202012Validator)
        try:
            draft.check_schema(schema)
        except SchemaError as error:
            place = ".".join(map(str, error.absolute_path))
            raise _wrong(
                f"the schema is wrong at '{place}'" if place else "it is no schema"
            ) from None
        _refuse_unbounded(schema, "", schema)
        linear = validators.extend(draft, _LINEAR)
        # An empty registry fetches nothing.
        self._validator = linear(schema, registry=Registry())

    def broken(self, value: Any) -> list[str]:
        """Returns which keywords a value breaks, at most twenty, each once.

        Raises RecursionError if the value is too deep.
        """
        errors = islice(self._validator.iter_errors(value), MAX_ERRORS)
        return list(dict.fromkeys(str(error.validator) for error in errors))


def _wrong(fault: str) -> ConfigError:
    return ConfigError("INVALID_CONFIG", f"'json_schema': {fault}", field="json_schema")


def _refuse_unbounded(schema: Any, path: str, root: Any) -> None:
    if isinstance(schema, list):
        for place, item in enumerate(schema):
            _refuse_unbounded(item, f"{path}[{place}]", root)
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        here = f"{path}.{key}".lstrip(".")
        if key in ("$ref", "$dynamicRef") and isinstance(value, str):
            _check_reference(value, here, root)
        if key == "pattern" and isinstance(value, str):
            _check_expression(value, here)
        if key == "patternProperties" and isinstance(value, dict):
            if "unevaluatedProperties" in schema:
                raise _wrong(f"'{here}' cannot stand beside 'unevaluatedProperties'")
            for pattern in value:
                _check_expression(pattern, here)
        if key not in _DATA:
            _refuse_unbounded(value, here, root)


def _check_reference(reference: str, path: str, root: Any) -> None:
    if not reference.startswith("#"):
        raise _wrong(f"'{path}' refers to another document: only '#…' can be resolved")
    here = root
    for step in reference.split("/")[1:]:
        name = unquote(step).replace("~1", "/").replace("~0", "~")
        try:
            here = here[int(name)] if isinstance(here, list) else here[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise _wrong(f"'{path}' refers to what is not there") from None


def _check_expression(pattern: str, path: str) -> None:
    try:
        _expression(pattern)
    except (re2.error, UnicodeEncodeError):
        raise _wrong(f"'{path}' is no expression of RE2 (which has no look-around)") from None


@lru_cache(maxsize=1_000)
def _expression(pattern: str) -> Any:
    return re2.compile(pattern, options())


def _matches(pattern: str, value: str) -> bool:
    # A lone surrogate is a character like any other here.
    readable = value.encode("utf-8", "replace").decode()
    return _expression(pattern).search(readable) is not None


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and not _matches(pattern, value):
        yield ValidationError("pattern")


def _pattern_properties(
    validator: Any, properties: Mapping[str, Any], value: Any, schema: Any
) -> Iterator[ValidationError]:
    for pattern, inner in properties.items() if isinstance(value, dict) else ():
        for key, item in value.items():
            if _matches(pattern, key):
                yield from validator.descend(item, inner, path=key, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    for key in _additional(value, schema) if isinstance(value, dict) else ():
        if allowed is False:
            yield ValidationError("additionalProperties")
        elif isinstance(allowed, dict):
            yield from validator.descend(value[key], allowed, path=key)


def _additional(value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterable[str]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    return (
        key
        for key in value
        if key not in known and not any(_matches(pattern, key) for pattern in patterns)
    )


def _unique_items(
    validator: Any, wanted: Any, value: Any, schema: Any
) -> Iterator[ValidationError]:
    if wanted and isinstance(value, list):
        distinct = {orjson.dumps(_canonical(item), option=orjson.OPT_SORT_KEYS) for item in value}
        if len(distinct) < len(value):
            yield ValidationError("uniqueItems")


def _canonical(value: Any) -> Any:
    """Returns a value with 1.0 as 1: the two are one number in JSON."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value


_LINEAR = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
