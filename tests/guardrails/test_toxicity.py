import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.guardrails.asked import anything, asked, refused

from bartizan.guardrails.engine.linear_model import LinearModel
from bartizan.guardrails.toxicity import Kind, Toxicity, ToxicityConfig
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Guardrail, Role
from bartizan.plugins.rules import load_rules
from bartizan.plugins.testing import GuardrailConformance

TOXICITY = Toxicity(ToxicityConfig(kinds=tuple(Kind), second_look=False))
ABUSE = "You are a stupid, worthless idiot and everybody hates you."
CLEAN = "The deployment finished without errors, and every service reported that it is healthy. "

DOCS = Path(__file__).parents[2] / "docs" / "guardrails"

ALARMS = {f"toxicity.{kind}": LinearModel.load(f"toxicity_{kind}").alarm for kind in Kind}


def alarms(value: str, role: Role = Role.USER) -> set[str]:
    found = asked(TOXICITY, value, role)
    return {one.category for one in found if one.score >= ALARMS[one.category]}


class TestToxicity(GuardrailConformance):
    def make(self) -> Guardrail:
        return Toxicity(ToxicityConfig())


class TestToxicityAtFirstLook(GuardrailConformance):
    def make(self) -> Guardrail:
        return Toxicity(ToxicityConfig(second_look=False))


@pytest.mark.parametrize(
    ("text", "category"),
    [
        (ABUSE, "toxicity.abuse"),
        ("All immigrants are vermin and should be deported.", "toxicity.hate"),
        ("this is fucking awesome", "toxicity.profanity"),
        ("\u200b".join(ABUSE), "toxicity.abuse"),
        (base64.b64encode(ABUSE.encode()).decode(), "toxicity.abuse"),
    ],
)
def test_what_is_toxic_is_found(text: str, category: str) -> None:
    assert category in alarms(text)


@pytest.mark.parametrize(
    "text",
    [
        "Kill the process that holds the port and start the server again.",
        "Could you translate this letter into French, please?",
        '{"status": "ok", "items": [{"id": 7, "title": "Quarterly report"}]}',
        CLEAN,
        " \n ",
    ],
)
@pytest.mark.parametrize("role", [Role.USER, Role.ASSISTANT, Role.TOOL_RESULT])
def test_ordinary_texts_are_not(text: str, role: Role) -> None:
    assert alarms(text, role) == set()


@pytest.mark.parametrize("role", Role)
def test_roles(role: Role) -> None:
    is_looked_at = role not in (Role.SYSTEM, Role.METADATA)
    assert ("toxicity.abuse" in alarms(ABUSE, role)) == is_looked_at
    assert is_looked_at or asked(TOXICITY, ABUSE, role) == []


def test_one_sentence_in_a_long_text_is_found_in_its_place() -> None:
    before = CLEAN * 300
    found = asked(TOXICITY, f"{before}{ABUSE} {CLEAN * 300}")
    [abuse] = [one for one in found if one.category == "toxicity.abuse"]
    assert abuse.score >= ALARMS["toxicity.abuse"]
    assert abuse.start < len(before) + len(ABUSE)
    assert abuse.end > len(before)
    assert abuse.end - abuse.start <= 1_000


def test_kinds_are_chosen() -> None:
    chosen = Toxicity(ToxicityConfig(kinds=(Kind.PROFANITY, Kind.PROFANITY)))
    text = f"{ABUSE} And this is fucking awesome."
    assert [one.category for one in asked(chosen, text)] == ["toxicity.profanity"]
    assert "kinds" in refused(ToxicityConfig, kinds=[])
    assert "kinds" in refused(ToxicityConfig, kinds=["threat"])


@settings(max_examples=100, deadline=None)
@given(anything, anything)
def test_any_text_can_be_judged(before: str, after: str) -> None:
    found = asked(TOXICITY, before + ABUSE + after)
    assert len({one.category for one in found}) == len(found)
    for one in found:
        assert one.start < one.end
        assert one.code == one.category.replace(".", "_").upper()


def test_the_recommended_rule_flags_little_that_is_harmless() -> None:
    page = (DOCS / "toxicity.md").read_text("utf-8")
    [rule] = load_rules(page.split("```yaml\n")[1].split("```")[0])
    assert rule.threshold >= max(ALARMS.values())
    assert parse_config(ToxicityConfig, rule.config, "rule") == ToxicityConfig(kinds=(Kind.ABUSE,))
