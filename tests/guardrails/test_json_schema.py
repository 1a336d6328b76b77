import asyncio
import json
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, cut, grows_with_the_text, refused

from bartizan.guardrails.json_schema import JsonSchema, JsonSchemaConfig
from bartizan.plugins.contract import Guardrail
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.testing import GuardrailConformance

SCHEMA = {
    "type": "object",
    "required": ["answer"],
    "properties": {
        "answer": {"type": "string", "pattern": "^[a-z ]+$"},
        "sources": {"type": "array", "uniqueItems": True},
        "score": {"minimum": 0, "maximum": 1},
    },
    "patternProperties": {"^x-": {"type": "integer"}},
    "additionalProperties": False,
}


def schema(given: object = None, text: str = "whole") -> JsonSchema:
    return JsonSchema(JsonSchemaConfig.model_validate({"json_schema": given, "text": text}))


def broken(given: object, document: object) -> list[str]:
    pytest.importorskip("jsonschema")
    found = asked(schema(given), document if isinstance(document, str) else json.dumps(document))
    return sorted(one.category.removeprefix("json_schema.") for one in found)


class TestJsonSchema(GuardrailConformance):
    def make(self) -> Guardrail:
        return schema(text="part")


@pytest.mark.parametrize("text", ['{"a": [1, null]}', " 3 ", '"x"', "[]", "", "\n"])
def test_json_without_a_schema(text: str) -> None:
    assert asked(schema(), text) == []


@pytest.mark.parametrize("text", ["{", "[NaN]", "{'a': 1}", "{} {}", "a", '"\ud800"', "[1,]"])
def test_what_is_no_json(text: str) -> None:
    assert cut(schema(), text) == [("json_schema.not_json", text)]


def test_json_between_sentences() -> None:
    text = 'As [1] says {here}: {"a": "}"} and [2].'
    guardrail = schema(text="part")
    assert asked(guardrail, text) == []
    assert cut(guardrail, "no {json} here") == [("json_schema.not_json", "no {json} here")]


def test_json_in_a_fence() -> None:
    text = 'So [1]:\n```json\n{"a": 1,}\n```\n'
    assert cut(schema(text="part"), text) == [("json_schema.not_json", '{"a": 1,}\n')]


@pytest.mark.parametrize(
    ("document", "keywords"),
    [
        ({"answer": "yes", "x-a": 1, "sources": [1, "1", True, [1], {"a": 1}]}, []),
        ({}, ["required"]),
        ([], ["type"]),
        ({"answer": "YES"}, ["pattern"]),
        ({"answer": "yes", "x-a": "1"}, ["type"]),
        ({"answer": "yes", "more": 1}, ["additional_properties"]),
        ({"answer": "yes", "sources": [1, 1.0]}, ["unique_items"]),
        ({"answer": "yes", "score": 2, "sources": [{}, {}]}, ["maximum", "unique_items"]),
    ],
)
def test_a_schema(document: object, keywords: list[str]) -> None:
    assert broken(SCHEMA, document) == keywords


def test_the_json_is_what_is_found() -> None:
    pytest.importorskip("jsonschema")
    found = cut(schema({"type": "array"}, "part"), 'Here: {"a": 1}.')
    assert found == [("json_schema.type", '{"a": 1}')]


def test_what_is_too_deep_is_said() -> None:
    nested = {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}
    assert broken(nested, "[" * 900 + "]" * 900) == ["too_deep"]
    assert broken(nested, "[" * 9 + "]" * 9) == []
    assert broken(nested, "[" * 100_000) == ["not_json"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "nothing"}, "the schema is wrong at 'type'"),
        ({"$ref": "https://example.com/x"}, "'$ref' refers to another document"),
        ({"items": {"$ref": "#/$defs/a"}}, "'items.$ref' refers to what is not there"),
        ({"properties": {"a": {"pattern": "(?=a)"}}}, "'properties.a.pattern' is no expression"),
        ({"patternProperties": {"(?=a)": {}}}, "'patternProperties' is no expression of RE2"),
        (
            {"patternProperties": {"a": {}}, "unevaluatedProperties": False},
            "cannot stand beside 'unevaluatedProperties'",
        ),
    ],
)
def test_a_wrong_schema_is_one_sentence(given: dict[str, Any], said: str) -> None:
    pytest.importorskip("jsonschema")
    with pytest.raises(ConfigError, match=r"^'json_schema': ") as raised:
        asyncio.run(schema(given).start())
    assert said in str(raised.value)


def test_without_the_package_a_schema_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bartizan.guardrails.engine.json_validator", raising=False)
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError, match=r"needs 'jsonschema', .* pip install 'jsonschema'"):
        asyncio.run(schema({}).start())


def test_a_wrong_configuration_is_one_sentence() -> None:
    assert "did you mean 'json_schema'" in refused(JsonSchemaConfig, json_shema={})
    assert "'text'" in refused(JsonSchemaConfig, text="all")


@settings(max_examples=200, deadline=None)
@given(anything | st.text('{}[]",:1 a', max_size=60), st.sampled_from(["whole", "part"]))
def test_any_text_is_borne(text: str, part: str) -> None:
    asked(schema(text=part), text)


@pytest.mark.parametrize("piece", ["[", "{", '{"a":', "[1,", "```json\n", '"', "\\"])
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    guardrail = schema(text="part")
    assert grows_with_the_text(lambda text: asked(guardrail, text), piece)


def test_many_items_are_compared_in_linear_time() -> None:
    pytest.importorskip("jsonschema")
    guardrail = schema({"uniqueItems": True})
    mixed = '[{"a": 1}, "x", [2]' + ', {"b": [3]}' * 20_000 + "]"
    assert [one.code for one in asked(guardrail, mixed)] == ["SCHEMA_UNIQUE_ITEMS"]
