"""JSON: texts that must be JSON, or hold some, that is valid against a schema."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import Field

from bartizan.guardrails.engine.fences import fences
from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.plugins.config import PluginConfig, missing_package
from bartizan.plugins.contract import Finding, Text

if TYPE_CHECKING:
    from bartizan.guardrails.engine.json_validator import Validator

LOOK_IN_THREAD_CHARACTERS = 1_500
"""A look at this much takes half a millisecond with a schema of some size."""

MAX_TRIES = 16
"""So many brackets are tried for the beginning of a JSON value in a sentence."""

_BRACKET = re.compile(r"[{\[]")
_CAPITAL = re.compile("[A-Z]")
_NO_NAME = re.compile("[^a-z0-9]+")

Span = tuple[int, int]


class Holds(StrEnum):
    """How much of a text is JSON."""

    WHOLE = "whole"
    PART = "part"


class JsonSchemaConfig(PluginConfig):
    """The configuration of the guardrail `json_schema`."""

    json_schema: dict[str, Any] | None = Field(
        None, description="The schema, of any draft up to 2020-12. Default: all JSON is right."
    )
    text: Holds = Field(
        Holds.WHOLE,
        description="`whole`: a text is JSON and nothing else. `part`: it holds some, in fences or "
        "between sentences.",
    )


class JsonSchema:
    """Finds texts that are no JSON, or break a schema.

    Categories: `json_schema.not_json`, `json_schema.too_deep`, and `json_schema.` with the keyword
    that is broken: `json_schema.additional_properties`. A finding covers the JSON as a whole.
    """

    Config = JsonSchemaConfig

    def __init__(self, config: JsonSchemaConfig) -> None:
        """Makes the guardrail. It reads its schema at `start` or at the first check."""
        self._config = config
        self._validator: Validator | None = None
        self._starting = asyncio.Lock()
        self._looks = Looks("json-schema", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def start(self) -> None:
        """Reads the schema.

        Raises ConfigError if it is wrong, or if there is one and `jsonschema` is not installed.
        """
        async with self._starting:
            if self._validator is None and self._config.json_schema is not None:
                self._validator = await asyncio.to_thread(_validator, self._config.json_schema)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns what is wrong with each text, in the order of the texts."""
        if self._validator is None:
            await self.start()
        return await self._looks.at([text.value for text in texts])

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        if not value or value.isspace():
            return []
        spans = [(0, len(value))] if self._config.text is Holds.WHOLE else _parts(value, gone)
        if not spans:
            return [Finding("json_schema.not_json", 1.0, 0, len(value), "JSON_MISSING")]
        return [finding for span in spans for finding in self._judged(value, span)]

    def _judged(self, value: str, span: Span) -> Iterator[Finding]:
        try:
            document = orjson.loads(value[slice(*span)])
        except orjson.JSONDecodeError:
            yield Finding("json_schema.not_json", 1.0, *span, "JSON_INVALID")
            return
        try:
            broken = self._validator.broken(document) if self._validator is not None else []
        except RecursionError:
            yield Finding("json_schema.too_deep", 1.0, *span, "JSON_TOO_DEEP")
            return
        for keyword in broken:
            name = _name(keyword)
            yield Finding(f"json_schema.{name}", 1.0, *span, f"SCHEMA_{name.upper()}")


def _validator(schema: dict[str, Any]) -> "Validator":
    # Not at the top: the package is not among those that come with the server.
    try:
        from bartizan.guardrails.engine.json_validator import Validator
    except ImportError as error:
        raise missing_package("guardrail 'json_schema' with a schema", error) from error
    return Validator(schema)


def _parts(value: str, gone: threading.Event) -> list[Span]:
    """Returns where JSON stands: all fences that say so, else the longest value there is."""
    fenced = [(one.start, one.end) for one in fences(value) if one.label in ("json", "jsonc")]
    if fenced:
        return fenced
    found = list(_values(value, gone))
    return [max(found, key=lambda span: span[1] - span[0])] if found else []


def _values(value: str, gone: threading.Event) -> Iterator[Span]:
    decoder = json.JSONDecoder()
    at = 0
    for _ in range(MAX_TRIES):
        heed(gone)
        bracket = _BRACKET.search(value, at)
        if bracket is None:
            return
        at = bracket.end()
        try:
            _, at = decoder.raw_decode(value, bracket.start())
        except (ValueError, RecursionError):
            continue
        yield bracket.start(), at


def _name(keyword: str) -> str:
    """Returns a keyword as a category is written: `additionalProperties`, `$ref`."""
    spaced = _CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", keyword)
    return _NO_NAME.sub("_", spaced).strip("_") or "schema"
