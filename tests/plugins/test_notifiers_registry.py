import sys
import types
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from bartizan.plugins.config import PluginConfig
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.notification import Delivered, Notification, Notifier
from bartizan.plugins.registry import NOTIFIERS, Registry, _is_notifier, notifiers

MODULE = "registry_test_notifiers"


class Quiet:
    Config = PluginConfig

    def __init__(self, config: PluginConfig) -> None:
        pass

    async def notify(self, notification: Notification) -> Delivered:
        return Delivered()

    async def aclose(self) -> None:
        pass


class Mute:
    Config = PluginConfig

    def __init__(self, config: PluginConfig) -> None:
        pass


@pytest.fixture(autouse=True)
def module() -> Iterator[None]:
    made = types.ModuleType(MODULE)
    vars(made).update(Quiet=Quiet, Mute=Mute)
    sys.modules[MODULE] = made
    yield
    del sys.modules[MODULE]


def registry(target: str) -> Registry[Notifier]:
    return Registry(NOTIFIERS, _is_notifier, [EntryPoint("mine", target, NOTIFIERS)])


def test_a_notifier() -> None:
    assert isinstance(registry(f"{MODULE}:Quiet").create("mine"), Quiet)


def test_what_is_no_notifier() -> None:
    with pytest.raises(ConfigError, match=r"notifier 'mine' .* lacks a method"):
        registry(f"{MODULE}:Mute").create("mine")


def test_a_wrong_name() -> None:
    with pytest.raises(ConfigError, match=r"no notifier 'min'.*did you mean 'mine'"):
        registry(f"{MODULE}:Quiet").create("min")


def test_the_installed_ones_are_listed() -> None:
    assert notifiers().names() == tuple(sorted(notifiers().names()))
