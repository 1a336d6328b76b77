"""The rules in force follow their file, and a bad file changes nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.server.live_rules import LiveRules, default_rules
from bartizan.server.metrics import Metrics

CARD = "My card is 4111 1111 1111 1111."
RULES = """
rules:
  - id: {id}
    plugin: pii
    action: {action}
    stage: {stage}
    mode: {mode}
"""


def rules(
    name: str = "cards", *, action: str = "redact", stage: str = "inline", mode: str = "enforce"
) -> str:
    return RULES.format(id=name, action=action, stage=stage, mode=mode)


class House:
    """Rules from a file, and their metrics."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.registry = CollectorRegistry()
        self.live = LiveRules(path, b"key", Metrics(self.registry))

    def write(self, content: str) -> None:
        """Puts another file in the place of the file, as editors do."""
        aside = self.path.with_suffix(".new")
        aside.write_text(content)
        aside.replace(self.path)

    async def judged(self) -> tuple[set[str], str]:
        """Returns the rules that found something in a card number, and what they left of it."""
        judgement = await self.live.judge([Text(Role.USER, CARD)])
        found = {ruled.rule for said in judgement.decisions.values() for ruled in said}
        return found, judgement.replacements.get(0, CARD)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"bartizan_{name}", labels)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "rules.yaml")
    house.write(rules())
    yield house
    await house.live.aclose()


async def test_rules_judge_and_are_counted(house: House) -> None:
    await house.live.start()
    assert house.live.generation == 1
    found, left = await house.judged()
    assert (found, "4111" in left) == ({"cards"}, False)
    labels = {"rule": "cards", "action": "redact", "shadow": "false"}
    assert house.metric("findings_total", **labels) == 1
    assert house.metric("rule_seconds_count", rule="cards") == 1
    assert house.metric("rules_reload_failed") == 0


async def test_a_file_that_did_not_change_changes_nothing(house: House) -> None:
    await house.live.start()
    await house.live.poll()
    assert house.live.generation == 1


async def test_a_changed_file_is_taken_over(house: House) -> None:
    await house.live.start()
    house.write(rules("watch", mode="shadow"))
    await house.live.poll()
    assert house.live.generation == 2
    assert await house.judged() == ({"watch"}, CARD)


@pytest.mark.parametrize(
    "bad",
    [
        "rules: [",
        "rules:\n  - id: cards\n    plugin: nobody-has-it\n",
        rules(action="flag", stage="deferred"),
        rules(action="explode"),
        "\0",
        None,
    ],
)
async def test_a_bad_file_is_complained_of_and_the_good_rules_stay(
    house: House, bad: str | None
) -> None:
    await house.live.start()
    house.path.unlink() if bad is None else house.write(bad)
    with capture_logs() as logs:
        await house.live.poll()
        await house.live.poll()
    complaints = [log for log in logs if log["log_level"] == "error"]
    assert len(complaints) == 1
    assert complaints[0]["problem"]
    assert house.live.generation == 1
    assert house.metric("rules_reload_failed") == 1
    assert (await house.judged())[0] == {"cards"}
    house.write(rules("mended"))
    await house.live.poll()
    assert (house.live.generation, house.metric("rules_reload_failed")) == (2, 0)
    assert (await house.judged())[0] == {"mended"}


async def test_a_start_with_deferred_rules_is_refused(house: House) -> None:
    house.write(rules(action="flag", stage="deferred"))
    with pytest.raises(ConfigError, match=r"'cards'.*deferred is not run") as caught:
        await house.live.start()
    assert caught.value.reason == "DEFERRED_RULES"


async def test_a_start_without_a_file_is_refused(house: House) -> None:
    house.path.unlink()
    with pytest.raises(ConfigError, match=r"rules\.yaml"):
        await house.live.start()


async def test_the_rules_that_come_with_the_server() -> None:
    house = House(default_rules())
    await house.live.start()
    assert house.live.looks_at_context is False
    assert (await house.judged())[0] == {"pii"}
    await house.live.aclose()
    await house.live.aclose()
