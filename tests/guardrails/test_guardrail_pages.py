import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from bartizan.guardrails.canary import CanaryConfig
from bartizan.guardrails.classifier import ClassifierConfig, LabelConfig
from bartizan.guardrails.code import CodeConfig
from bartizan.guardrails.code_cues import LANGUAGES as CODE_LANGUAGES
from bartizan.guardrails.engine.model_files import ModelSource
from bartizan.guardrails.grounded.config import GroundedConfig
from bartizan.guardrails.injection import InjectionConfig
from bartizan.guardrails.json_schema import JsonSchemaConfig
from bartizan.guardrails.language import LanguageConfig
from bartizan.guardrails.language_words import LANGUAGES
from bartizan.guardrails.length import LengthConfig
from bartizan.guardrails.loop import LoopConfig
from bartizan.guardrails.names import NamesConfig
from bartizan.guardrails.patterns_config import Pattern, PatternsConfig
from bartizan.guardrails.perspective_config import AttributeConfig, PerspectiveConfig
from bartizan.guardrails.pii_config import DenyConfig, EntityConfig, PiiConfig
from bartizan.guardrails.tool_policy.config import ArgumentRule, ToolPolicyConfig
from bartizan.guardrails.topics.config import Topic, TopicsConfig
from bartizan.guardrails.toxicity import ToxicityConfig
from bartizan.guardrails.urls.config import Kind, UrlsConfig
from bartizan.plugins.config import parse_config
from bartizan.plugins.rules import load_rules

DOCS = Path(__file__).parents[2] / "docs" / "guardrails"
EXAMPLE = re.compile(r"```yaml\n(.*?)```", re.DOTALL)

MODELS: dict[str, tuple[type[BaseModel], ...]] = {
    "canary": (CanaryConfig,),
    "classifier": (ClassifierConfig, LabelConfig, ModelSource),
    "code": (CodeConfig,),
    "grounded": (GroundedConfig,),
    "injection": (InjectionConfig,),
    "json_schema": (JsonSchemaConfig,),
    "language": (LanguageConfig,),
    "length": (LengthConfig,),
    "loop": (LoopConfig,),
    "names": (NamesConfig,),
    "patterns": (PatternsConfig, Pattern),
    "perspective": (PerspectiveConfig, AttributeConfig),
    "pii": (PiiConfig, EntityConfig, DenyConfig),
    "tool_policy": (ToolPolicyConfig, ArgumentRule),
    "topics": (TopicsConfig, Topic),
    "toxicity": (ToxicityConfig,),
    "urls": (UrlsConfig,),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_page_says_every_key(name: str) -> None:
    page = (DOCS / f"{name}.md").read_text("utf-8")
    for model in MODELS[name]:
        for key, field in model.model_fields.items():
            assert f"`{key}`" in page or f"{key}:" in page
            assert field.description


def test_pages_list_what_can_be_told() -> None:
    language = (DOCS / "language.md").read_text("utf-8")
    assert set(LANGUAGES) <= set(re.findall(r"[a-z]{2,3}", language))
    code, urls = ((DOCS / f"{name}.md").read_text("utf-8") for name in ("code", "urls"))
    assert all(f"`{name}`" in code for name in CODE_LANGUAGES)
    assert all(f"`url.{kind}`" in urls for kind in Kind)


@pytest.mark.parametrize("name", MODELS)
def test_the_example_is_a_rule(name: str) -> None:
    [example] = EXAMPLE.findall((DOCS / f"{name}.md").read_text("utf-8"))
    [rule] = load_rules(example)
    assert rule.plugin == name
    config = {key: value for key, value in rule.config.items() if not key.endswith("_file")}
    parse_config(MODELS[name][0], config, name)
