"""Every registered guardrail keeps the contract."""

import pytest

from bartizan.plugins.contract import Guardrail
from bartizan.plugins.registry import guardrails
from bartizan.plugins.testing import GuardrailConformance


@pytest.fixture(params=guardrails().names(), autouse=True)
def named(request: pytest.FixtureRequest) -> None:
    request.cls.name = request.param


class TestGuardrails(GuardrailConformance):
    name: str

    def make(self) -> Guardrail:
        return guardrails().create(self.name)
