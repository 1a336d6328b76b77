"""The rules in force follow their file and the database, and a bad file changes nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.errors import ConfigError, InvalidArgument
from bartizan.plugins.judgement import Ask, Context
from bartizan.plugins.rules import Rule
from bartizan.server.metrics import Metrics
from bartizan.server.rules.book import RuleBook, default_rules
from bartizan.server.rules.documents import StoredRule

NOW = datetime(2026, 3, 1, tzinfo=UTC)
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

    def __init__(self, path: Path, vault_key: bytes | None = None) -> None:
        self.path = path
        self.registry = CollectorRegistry()
        self.own: list[StoredRule] = []
        metrics = Metrics(self.registry)
        self.book = RuleBook(path, self.load_own, b"key", metrics, vault_key)

    async def load_own(self, revision: int) -> list[StoredRule] | None:
        newest = max((one.revision for one in self.own), default=0)
        return self.own if newest > revision else None

    async def keep(
        self, project_id: int, rule_id: str, *, paused: bool = False, **document: Any
    ) -> None:
        """Writes a version of a project's rule, or deletes it if there is no document."""
        self.own = [one for one in self.own if (one.project_id, one.id) != (project_id, rule_id)]
        written = {"id": rule_id, **document} if document else None
        self.revision += 1
        self.own.append(
            StoredRule(project_id, rule_id, self.revision, "v", written, paused, "key", NOW)
        )
        await self.book.poll_own()

    revision = 0

    def write(self, content: str) -> None:
        """Puts another file in the place of the file, as editors do."""
        aside = self.path.with_suffix(".new")
        aside.write_text(content)
        aside.replace(self.path)

    async def judged(self, project_id: int = 1) -> tuple[set[str], str]:
        """Returns the rules that found something in a card number, and what they left of it."""
        judgement = await self.book.of(project_id).judge([Text(Role.USER, CARD)])
        found = {ruled.rule for said in judgement.decisions.values() for ruled in said}
        return found, judgement.replacements.get(0, CARD)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"bartizan_{name}", labels)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path / "rules.yaml")
    house.write(rules())
    yield house
    await house.book.aclose()


async def test_rules_judge_and_are_counted(house: House) -> None:
    await house.book.start()
    found, left = await house.judged()
    assert (found, "4111" in left) == ({"cards"}, False)
    labels = {"rule": "cards", "action": "redact", "shadow": "false"}
    assert house.metric("findings_total", **labels) == 1
    assert house.metric("rule_seconds_count", rule="cards") == 1
    assert house.metric("rules_reload_failed") == 0


async def test_a_file_that_did_not_change_changes_nothing(house: House) -> None:
    await house.book.start()
    before = house.book.now(1)
    await house.book.poll_file()
    await house.book.poll_own()
    assert house.book.now(1) is before


async def test_a_changed_file_is_taken_over(house: House) -> None:
    await house.book.start()
    house.write(rules("watch", mode="shadow"))
    await house.book.poll_file()
    assert await house.judged() == ({"watch"}, CARD)


@pytest.mark.parametrize(
    "bad",
    [
        "rules: [",
        "rules:\n  - id: cards\n    plugin: nobody-has-it\n",
        rules(action="explode"),
        "\0",
        None,
    ],
)
async def test_a_bad_file_is_complained_of_and_the_good_rules_stay(
    house: House, bad: str | None
) -> None:
    await house.book.start()
    house.path.unlink() if bad is None else house.write(bad)
    with capture_logs() as logs:
        await house.book.poll_file()
        await house.book.poll_file()
    complaints = [log for log in logs if log["log_level"] == "error"]
    assert len(complaints) == 1
    assert complaints[0]["problem"]
    assert house.metric("rules_reload_failed") == 1
    assert (await house.judged())[0] == {"cards"}
    house.write(rules("mended"))
    await house.book.poll_file()
    assert house.metric("rules_reload_failed") == 0
    assert (await house.judged())[0] == {"mended"}


async def test_deferred_rules_look_later(house: House) -> None:
    house.write(rules(action="flag", stage="deferred"))
    await house.book.start()
    assert (await house.judged())[0] == set()
    live = house.book.now(1)
    assert [rule.id for rule in live.deferred] == ["cards"]
    later = await live.judge_later([Text(Role.USER, CARD)], [Context()], Ask())
    assert later.decisions[0][0].rule == "cards"


async def test_a_start_without_a_file_is_refused(house: House) -> None:
    house.path.unlink()
    with pytest.raises(ConfigError, match=r"rules\.yaml"):
        await house.book.start()


async def test_the_rules_that_come_with_the_server() -> None:
    house = House(default_rules())
    await house.book.start()
    assert house.book.now(1).looks_at_context is False
    assert (await house.judged())[0] == {"pii"}
    await house.book.aclose()
    await house.book.aclose()


async def test_a_project_has_rules_over_those_of_the_server(house: House) -> None:
    await house.book.start()
    await house.keep(2, "cards", plugin="pii", action="flag")
    await house.keep(2, "more", plugin="pii", mode="shadow")
    assert await house.judged(1) == ({"cards"}, "My card is [CREDIT_CARD].")
    assert await house.judged(2) == ({"cards", "more"}, CARD)
    await house.keep(2, "cards")
    assert await house.judged(2) == ({"cards", "more"}, "My card is [CREDIT_CARD].")
    await house.keep(2, "more")
    assert house.book.now(2) is house.book.house


async def test_a_change_leaves_other_projects_alone(house: House) -> None:
    await house.book.start()
    await house.keep(1, "one", plugin="pii")
    await house.keep(2, "two", plugin="pii")
    before = house.book.now(1)
    await house.keep(2, "two", plugin="pii", threshold=0.5)
    assert house.book.now(1) is before


async def test_a_paused_rule_does_not_judge(house: House) -> None:
    await house.book.start()
    await house.keep(1, "cards", paused=True, plugin="pii", action="redact")
    assert await house.judged() == (set(), CARD)


async def test_a_changed_file_reaches_projects_with_own_rules(house: House) -> None:
    await house.book.start()
    await house.keep(1, "more", plugin="pii", mode="shadow")
    house.write(rules("other"))
    await house.book.poll_file()
    assert (await house.judged())[0] == {"other", "more"}


async def test_a_stored_rule_whose_plugin_is_gone_fails_alone(house: House) -> None:
    await house.book.start()
    await house.keep(1, "gone", plugin="nobody-has-it")
    assert (await house.judged())[0] == {"cards"}
    assert "nobody-has-it" in house.book.problems(1)["gone"]
    assert house.book.problems(2) == {}


@pytest.mark.parametrize("document", [{"plugin": "nobody-has-it"}, {"plugin": "pii", "new": 1}])
async def test_what_a_broken_rule_was_to_redact_is_withheld(
    house: House, document: dict[str, Any]
) -> None:
    await house.book.start()
    await house.keep(1, "vital", action="redact", **document)
    assert (await house.judged())[1] == "[WITHHELD]"
    assert set(house.book.problems(1)) == {"vital"}


async def test_rules_share_plugins_and_let_them_go(house: House) -> None:
    await house.book.start()
    await house.keep(1, "more", plugin="pii", mode="shadow")
    live = house.book.now(1)
    assert live is not house.book.house
    await house.keep(1, "more")
    await house.book.aclose()
    await house.book.aclose()
    await house.book.pool.take(Rule(id="again", plugin="pii"))
    await house.book.pool.give_back(Rule(id="again", plugin="pii"))
    with pytest.raises(KeyError):
        await house.book.pool.give_back(Rule(id="again", plugin="pii"))


async def test_pseudonyms_can_be_turned_back_in_their_project_alone(tmp_path: Path) -> None:
    house = House(tmp_path / "rules.yaml", vault_key=bytes(range(32)))
    house.write("")
    await house.book.start()
    for project_id in (1, 2):
        await house.keep(project_id, "cards", plugin="pii", action="redact", redaction="pseudonym")
    (_, first), (_, second) = await house.judged(1), await house.judged(2)
    token = first.removeprefix("My card is ").removesuffix(".")
    vaults = house.book.vault(1), house.book.vault(2)
    assert vaults[0] is not None
    assert vaults[1] is not None
    assert vaults[0].reveal(token) == "4111 1111 1111 1111"
    assert first != second
    with pytest.raises(InvalidArgument):
        vaults[1].reveal(token)
    await house.book.aclose()


async def test_without_a_vault_there_are_no_pseudonyms(house: House) -> None:
    await house.book.start()
    await house.keep(1, "cards", plugin="pii", action="redact", redaction="pseudonym")
    assert "vault_key_file" in house.book.problems(1)["cards"]
    assert (await house.judged())[1] == "[WITHHELD]"
    house.write("rules: [{id: cards, plugin: pii, action: redact, redaction: pseudonym}]")
    await house.book.poll_file()
    assert house.metric("rules_reload_failed") == 1
