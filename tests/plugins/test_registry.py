import sys
import types
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint

import pytest
from pydantic import Field

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Guardrail, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.registry import GUARDRAILS, Registry, _is_guardrail, guardrails

MODULE = "registry_test_plugins"


class Level(PluginConfig):
    level: int = Field(1, ge=0, le=9)


class Good:
    Config = Level

    def __init__(self, config: Level) -> None:
        self.config = config

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        return [()] * len(texts)

    async def aclose(self) -> None:
        pass


class Mute:
    Config = Level

    def __init__(self, config: Level) -> None:
        pass


class Bursting(Good):
    def __init__(self, config: Level) -> None:
        raise RuntimeError("sk-secret")


class Plain:
    pass


@pytest.fixture(autouse=True)
def module() -> Iterator[None]:
    made = types.ModuleType(MODULE)
    vars(made).update(Good=Good, Mute=Mute, Bursting=Bursting, Plain=Plain)
    sys.modules[MODULE] = made
    yield
    del sys.modules[MODULE]


def registry(**targets: str) -> Registry[Guardrail]:
    entries = [EntryPoint(name, target, GUARDRAILS) for name, target in targets.items()]
    return Registry(GUARDRAILS, _is_guardrail, entries)


def test_a_plugin_is_made_with_its_configuration() -> None:
    made = registry(good=f"{MODULE}:Good").create("good", {"level": 3})
    assert isinstance(made, Good)
    assert made.config.level == 3


@pytest.mark.parametrize(
    ("target", "config", "reason", "said"),
    [
        (f"{MODULE}:Good", {"levell": 3}, "INVALID_CONFIG", "did you mean 'level'"),
        (f"{MODULE}:Gone", {}, "BROKEN_PLUGIN", "has no 'Gone'"),
        (f"{MODULE}:Mute", {}, "BROKEN_PLUGIN", "lacks a method"),
        (f"{MODULE}:Plain", {}, "BROKEN_PLUGIN", "has no 'Config'"),
        (f"{MODULE}:Bursting", {}, "BROKEN_PLUGIN", "RuntimeError"),
        ("a_missing_package.sub:X", {}, "PACKAGE_MISSING", "pip install 'a-missing-package'"),
        ("a_missing_package:X [extra]", {}, "PACKAGE_MISSING", "pip install 'bartizan[extra]'"),
    ],
)
def test_a_bad_plugin_is_refused(
    target: str, config: dict[str, object], reason: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        registry(good=target).create("good", config)
    assert caught.value.reason == reason
    assert said in caught.value.message
    assert "sk-secret" not in caught.value.message


def test_an_unknown_plugin_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match=r"no guardrail 'goood' \(did you mean 'good'"):
        registry(good=f"{MODULE}:Good").create("goood")


def test_two_of_one_name_are_refused() -> None:
    twins = [EntryPoint("x", f"{MODULE}:{name}", GUARDRAILS) for name in ("Good", "Mute")]
    with pytest.raises(ConfigError, match="two distributions offer a guardrail 'x'"):
        Registry(GUARDRAILS, _is_guardrail, twins)


def test_the_built_in_guardrails_are_found() -> None:
    assert "pii" in guardrails().names()
    assert guardrails().config_type("pii").model_fields
