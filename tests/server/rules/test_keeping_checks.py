"""Rules are checked and tried before they are written."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.server.rules.keeping_rules import anything, apply, rule
from tests.support.ruling import SECRET, Words, add_project

from bartizan.plugins.errors import (
    ConfigError,
    TooLarge,
)
from bartizan.server.rules import keeping, probing
from bartizan.server.rules.keeping import Author, RuleKeeper
from bartizan.server.rules.probing import EVERYWHERE, FAILED, NOT_TRIED, TOO_SLOW
from bartizan.server.rules.reading import MAX_DOCUMENT_BYTES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MATCHES = EVERYWHERE.format(found=30, asked=30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what hangs."""
    monkeypatch.setattr(keeping, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(probing, "START_SECONDS", 0.05)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (rule(plugin="wrods"), "no guardrail 'wrods' (did you mean 'words'?)"),
        (rule(config={"wrods": []}), "'wrods' is not a known key (did you mean 'words'?)"),
        (rule(config={"score": SECRET}), "'score': Input should be a valid number"),
        (rule(config={"how": "unmakeable"}), "cannot be made: ValueError"),
        (rule(config={"how": "no start"}), "guardrail 'words' cannot be started: ValueError"),
        (rule(config={"how": "hanging start"}), "did not start within"),
        (rule(action=SECRET), "'action': Input should be 'flag', 'redact' or 'block'"),
        (rule(sample=0), "'sample': Input should be greater than 0"),
        (rule(treshold=1), "'treshold' is not a known key (did you mean 'threshold'?)"),
        (rule(name="Not An Id"), "'id': String should match pattern"),
        ({"plugin": "words"}, "'id' is required"),
        ({}, "'id' is required"),
        (rule(when="house"), "a plugin or a condition"),
        ({"id": "mine", "when": {"all": ["house", "gone"]}}, "names a rule 'gone'"),
        ({"id": "mine", "when": {"all": ["house", "huose"]}}, "(did you mean 'house'?)"),
        (rule(description="\0"), "the NUL character"),
        (rule(config={"words": ["a", {"k\0": 1}]}), "the NUL character"),
        (rule(description="\ud800"), "no form for"),
        (rule(config={"n": float("nan")}), "not finite"),
        (rule(config={"n": float("inf")}), "not finite"),
        (rule(config={"n": 2**70}), "no form for"),
    ],
)
async def test_a_wrong_rule_is_refused_with_a_sentence(
    keeper: RuleKeeper, author: Author, document: dict[str, Any], sentence: str
) -> None:
    with capture_logs() as logs, pytest.raises(ConfigError) as refused:
        await keeper.write(author, document, may=anything)
    assert sentence in refused.value.message
    assert SECRET not in f"{refused.value.message} {logs}"
    assert await keeper.own(author.project_id) == {}


@pytest.mark.parametrize("depth", [50, 500, 100_000])
async def test_a_deep_document_is_refused(keeper: RuleKeeper, author: Author, depth: int) -> None:
    condition: Any = "house"
    for _ in range(depth):
        condition = {"not": condition}
    with pytest.raises(ConfigError):
        await keeper.write(author, {"id": "deep", "when": condition}, may=anything)


async def test_how_large_rules_may_be(
    keeper: RuleKeeper, author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = rule(config={"words": ["x" * 1_000] * 250})
    await keeper.write(author, large, may=anything)
    with pytest.raises(TooLarge) as refused:
        await keeper.write(author, rule(config={"words": ["x" * MAX_DOCUMENT_BYTES]}), may=anything)
    assert refused.value.metadata["limit"] == str(MAX_DOCUMENT_BYTES)
    monkeypatch.setattr(keeping, "MAX_TOGETHER_BYTES", 260_000)
    with pytest.raises(TooLarge, match="would have"):
        await keeper.write(author, large | {"id": "more"}, may=anything)
    monkeypatch.setattr(keeping, "MAX_RULES", 2)
    await keeper.write(author, rule("two"), may=anything)
    with pytest.raises(TooLarge, match="at most 2"):
        await keeper.write(author, rule("three"), may=anything)


@pytest.mark.parametrize("how", ["delete", "pause", "defer", "prune"])
async def test_a_rule_that_another_one_needs_stays(
    keeper: RuleKeeper, author: Author, how: str
) -> None:
    combination = {"id": "both", "when": {"all": ["mine", "house"]}}
    await apply(keeper, author, rule(), combination)
    before = await keeper.own(author.project_id)
    with pytest.raises(ConfigError, match="rule 'both' names"):
        if how == "delete":
            await keeper.delete(author, "mine", anything)
        elif how == "pause":
            await keeper.pause(author, "house", paused=True)
        elif how == "defer":
            await keeper.write(author, rule(stage="deferred"), may=anything)
        else:
            await apply(keeper, author, combination, prune=True)
    assert await keeper.own(author.project_id) == before
    await apply(keeper, author, rule("else"), prune=True)
    assert set(await keeper.own(author.project_id)) == {"else"}


@pytest.mark.parametrize(
    ("config", "warnings"),
    [
        ({"words": ["zebra"]}, []),
        ({"everything": True}, [MATCHES]),
        ({"how": "failing"}, [FAILED.format(asked=30)]),
        ({"how": "hanging"}, [TOO_SLOW.format(asked=30)]),
    ],
)
async def test_what_an_author_may_want_to_think_about(
    keeper: RuleKeeper, author: Author, config: dict[str, Any], warnings: list[str]
) -> None:
    for stage in ("inline", "deferred"):
        document = rule(config=config, stage=stage, where={"agents": ["nobody"]}, sample=0.1)
        change = await keeper.write(author, document, may=anything, dry=True)
        assert list(change.warnings) == warnings


async def test_a_combination_is_tried_with_its_members(keeper: RuleKeeper, author: Author) -> None:
    every = rule(config={"everything": True})
    combination = {"id": "both", "when": {"any": ["mine", "house"]}}
    changes = await apply(keeper, author, every, combination)
    assert {one.id: list(one.warnings) for one in changes} == {
        "mine": [MATCHES],
        "both": [MATCHES],
    }


async def test_rules_are_tried_for_so_long_and_no_longer(
    keeper: RuleKeeper, author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "TRIALS_SECONDS", 0.0)
    changes = await apply(keeper, author, rule("one"), rule("two"))
    assert [list(one.warnings) for one in changes] == [[NOT_TRIED]] * 2
    with pytest.raises(ConfigError):
        await apply(keeper, author, rule("three", config={"how": "no start"}))


async def test_nobody_waits_while_another_rule_is_tried(
    keeper: RuleKeeper,
    author: Author,
    rules_engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "PROBE_SECONDS", 600.0)
    other = Author(await add_project(rules_engine), "bob")
    hanging = rule(config={"how": "hanging"}, budget_ms=600_000)
    slow = asyncio.create_task(keeper.write(author, hanging, may=anything))
    while not Words.asked:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    await keeper.write(other, rule(), may=anything)
    assert not slow.done()
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert await keeper.own(author.project_id) == {}
