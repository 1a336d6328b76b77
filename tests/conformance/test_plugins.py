"""Every registered guardrail keeps the contract."""

from pathlib import Path

import pytest

from bartizan.plugins.contract import Guardrail
from bartizan.plugins.registry import guardrails
from bartizan.plugins.testing import GuardrailConformance

GUARDRAILS = Path(__file__).parents[1] / "guardrails"
OF_THEIR_OWN = {"classifier", "names", "perspective"}
"""They need a model or a peer: their own tests make one and run the kit."""


@pytest.fixture(params=sorted(set(guardrails().names()) - OF_THEIR_OWN))
def named(request: pytest.FixtureRequest) -> None:
    request.cls.name = request.param


@pytest.mark.usefixtures("named")
class TestGuardrails(GuardrailConformance):
    name: str

    def make(self) -> Guardrail:
        return guardrails().create(self.name)


@pytest.mark.parametrize("name", sorted(OF_THEIR_OWN))
def test_the_others_run_the_kit_themselves(name: str) -> None:
    assert "(GuardrailConformance)" in (GUARDRAILS / f"test_{name}.py").read_text()
