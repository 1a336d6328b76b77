import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import pytest

from bartizan.alerts.notifiers.apprise import Apprise, AppriseConfig
from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.notification import Cause, Notifier, Permanent, Retryable
from bartizan.plugins.notifier_testing import Fault, NotifierConformance, notification

URL = "ntfy://planted-8e1a@example.com/topic"


class Service:
    """Stands for the package: says yes, no, nothing, or bursts."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.fault: Fault | None = None
        self.let_go = threading.Event()

    def add(self, url: str) -> bool:
        return url.startswith("ntfy://") and self.fault is not Fault.REFUSING

    def notify(self, **said: Any) -> bool:
        self.said.append(said)
        if self.fault is Fault.HANGING:
            self.let_go.wait()
        if self.fault is Fault.GARBLED:
            raise RuntimeError(URL)
        return self.fault is None


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    made = Service()
    package = types.ModuleType("apprise")
    vars(package)["Apprise"] = lambda: made
    monkeypatch.setitem(sys.modules, "apprise", package)
    yield made
    made.let_go.set()


def channel(urls: str = URL, **document: Any) -> Apprise:
    config = parse_config(AppriseConfig, {"urls_env": "URLS", **document}, "channel")
    return Apprise(config, environ={"URLS": urls})


class TestApprise(NotifierConformance):
    secrets = (URL,)
    says_when = False

    @pytest.fixture(autouse=True)
    def with_service(self, service: Service) -> None:
        self.service = service

    def make(self) -> Notifier:
        return channel(timeout_ms=300 if self.service.fault is Fault.HANGING else 30_000)

    def misbehave(self, fault: Fault) -> None:
        self.service.fault = fault

    def received(self) -> str:
        return str(self.service.said)


async def test_what_is_said(service: Service) -> None:
    await channel(f"{URL}\n{URL}2\n").notify(notification())
    [said] = service.said
    assert said["title"] == "CRITICAL: Error rate of the checkout agent is high"
    assert said["notify_type"] == "failure"
    assert "https://bartizan.example.com/alerts/a1/why" in said["body"]


@pytest.mark.parametrize("urls", ["", "\n", "what is this", f"{URL} nonsense"])
async def test_addresses_that_it_does_not_know(service: Service, urls: str) -> None:
    with pytest.raises(Permanent):
        await channel(urls).notify(notification())
    assert not service.said


async def test_it_never_answers(service: Service) -> None:
    service.fault = Fault.HANGING
    with pytest.raises(Retryable) as raised:
        await channel(timeout_ms=200).notify(notification())
    assert raised.value.cause is Cause.DEADLINE


def test_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"bartizan\[apprise\]"):
        channel()


def test_its_addresses_are_the_operators_to_give() -> None:
    assert {"urls", "urls_file", "urls_env"} == AppriseConfig.operator_keys
