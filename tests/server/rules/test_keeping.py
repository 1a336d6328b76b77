"""Rules are written all together or not at all, paused, and deleted."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rules.keeping_rules import anything, apply, judged, rule
from tests.support.ruling import add_project

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.errors import (
    Aborted,
    AlreadyExists,
    ConfigError,
    NotFound,
)
from bartizan.server.rules import keeping, probing
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.keeping import Author, Change, RuleKeeper, state_of
from bartizan.server.rules.probing import EVERYWHERE
from bartizan.server.rules.reading import parse_rule
from bartizan.server.store import guardrail_rules as store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MATCHES = EVERYWHERE.format(found=30, asked=30)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what hangs."""
    monkeypatch.setattr(keeping, "PROBE_SECONDS", 0.05)
    monkeypatch.setattr(probing, "START_SECONDS", 0.05)


async def test_a_rule_is_in_force_once_it_is_written(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    change = await keeper.write(author, rule(config={"words": ["odd"]}), may=anything)
    assert change.after is not None
    assert (change.after.author, change.after.create_time) == ("ada", NOW)
    assert change.after.version == parse_rule(rule(config={"words": ["odd"]}), "rule").version
    assert await judged(book, author.project_id, "odd") == {"mine"}
    assert await keeper.own(author.project_id) == {"mine": change.after}


async def test_a_dry_run_changes_nothing(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    change = await keeper.write(author, rule(), may=anything, dry=True)
    assert (change.before, change.after and change.after.revision) == (None, 0)
    await apply(keeper, author, rule("other"), dry=True)
    assert await keeper.own(author.project_id) == {}
    assert await judged(book, author.project_id) == {"house", "spare"}


async def test_what_forbids_a_change_is_asked_with_what_there_is(
    keeper: RuleKeeper, author: Author
) -> None:
    def only_new(before: StoredRule | None) -> None:
        if before is not None:
            raise AlreadyExists("RULE_EXISTS", "there")

    await keeper.write(author, rule(), may=only_new)
    with pytest.raises(AlreadyExists):
        await keeper.write(author, rule(), may=only_new)
    with pytest.raises(AlreadyExists):
        await keeper.delete(author, "mine", only_new)


async def test_of_many_who_make_one_rule_one_does(keeper: RuleKeeper, author: Author) -> None:
    def only_new(before: StoredRule | None) -> None:
        if before is not None:
            raise AlreadyExists("RULE_EXISTS", "there")

    told = await asyncio.gather(
        *(keeper.write(author, rule(threshold=share / 10), may=only_new) for share in range(1, 5)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Change) for one in told) == 1
    assert sum(isinstance(one, AlreadyExists) for one in told) == 3


async def test_changes_of_different_rules_do_not_get_in_each_others_way(
    keeper: RuleKeeper, author: Author
) -> None:
    names = {f"rule-{number}" for number in range(5)}
    await asyncio.gather(*(keeper.write(author, rule(one), may=anything) for one in names))
    assert set(await keeper.own(author.project_id)) == names


async def test_the_same_again_is_no_new_version(keeper: RuleKeeper, author: Author) -> None:
    first = await keeper.write(author, rule(threshold=0.5), may=anything)
    again = await keeper.write(
        author, {"threshold": 0.5, "severity": "medium", **rule()}, may=anything
    )
    assert not again.changes
    assert again.after == first.after


async def test_a_deleted_rule_gives_way_to_the_servers(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    await keeper.write(author, rule("house", config={"words": ["odd"]}), may=anything)
    assert await judged(book, author.project_id) == {"spare"}
    await keeper.delete(author, "house", anything)
    assert await judged(book, author.project_id) == {"house", "spare"}
    with pytest.raises(NotFound):
        await keeper.delete(author, "house", anything)


async def test_an_own_rule_is_paused_and_goes_on(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    await keeper.write(author, rule(), may=anything)
    paused = await keeper.pause(author, "mine", paused=True)
    assert paused is not None
    assert paused.paused
    assert "mine" not in await judged(book, author.project_id)
    assert await keeper.pause(author, "mine", paused=True) == paused
    updated = await keeper.write(author, rule(threshold=0.5), may=anything)
    assert updated.after is not None
    assert updated.after.paused, "a new version stays paused"
    resumed = await keeper.pause(author, "mine", paused=False)
    assert resumed is not None
    assert (resumed.paused, resumed.version) == (False, updated.after.version)
    assert "mine" in await judged(book, author.project_id)


async def test_a_rule_of_the_server_is_paused_by_a_copy_that_goes_again(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    assert await keeper.pause(author, "house", paused=False) is None
    assert await keeper.own(author.project_id) == {}
    assert await keeper.pause(author, "house", paused=True) is not None
    assert await judged(book, author.project_id) == {"spare"}
    assert await keeper.pause(author, "house", paused=False) is None
    assert await judged(book, author.project_id) == {"house", "spare"}
    assert book.now(author.project_id) is book.house
    with pytest.raises(NotFound):
        await keeper.pause(author, "nobody", paused=True)


@pytest.mark.parametrize("document", [{"plugin": "gone"}, {"plugin": "words", "key": "new"}])
async def test_what_is_broken_can_be_paused_and_deleted_but_does_not_go_on(
    keeper: RuleKeeper,
    author: Author,
    book: RuleBook,
    rules_engine: AsyncEngine,
    document: dict[str, Any],
) -> None:
    broken = StoredRule(
        author.project_id, "old", 0, "v", {"id": "old", **document}, False, "key", NOW
    )
    async with rules_engine.begin() as connection:
        await store.lock(connection)
        await store.insert(connection, broken)
    await book.poll_own()
    assert "old" in book.problems(author.project_id)
    await keeper.write(author, rule(), may=anything)
    paused = await keeper.pause(author, "old", paused=True)
    assert paused is not None
    assert paused.paused
    assert book.problems(author.project_id) == {}
    with pytest.raises(ConfigError):
        await keeper.pause(author, "old", paused=False)
    await keeper.delete(author, "old", anything)
    assert set(await keeper.own(author.project_id)) == {"mine"}


async def test_rules_are_applied_together(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    await apply(keeper, author, rule("one"), rule("two"), rule("three"))
    changes = await apply(
        keeper, author, rule("four"), rule("two"), rule("one", threshold=0.5), prune=True
    )
    told = {one.id: (one.before is None, one.after is None, one.changes) for one in changes}
    assert list(told) == ["four", "one", "three", "two"]
    assert told == {
        "four": (True, False, True),
        "one": (False, False, True),
        "three": (False, True, True),
        "two": (False, False, False),
    }
    assert await judged(book, author.project_id) == {"house", "spare", "one", "two", "four"}


async def test_one_wrong_rule_spoils_all(keeper: RuleKeeper, author: Author) -> None:
    await apply(keeper, author, rule("one"))
    before = await keeper.own(author.project_id)
    for wrong in (rule("two", plugin="gone"), rule("two", key=1), rule("one")):
        with pytest.raises(ConfigError):
            await apply(keeper, author, rule("one", threshold=0.5), wrong, prune=True)
    assert await keeper.own(author.project_id) == before


async def test_only_what_was_shown_is_applied(keeper: RuleKeeper, author: Author) -> None:
    _, shown = await keeper.apply(author, [rule()], prune=True, expected_state="", dry=True)
    await keeper.write(author, rule("other"), may=anything)
    with pytest.raises(Aborted):
        await apply(keeper, author, rule(), prune=True, expected_state=shown)
    now = state_of((await keeper.own(author.project_id)).values())
    await apply(keeper, author, rule(), prune=True, expected_state=now)
    assert set(await keeper.own(author.project_id)) == {"mine"}


async def test_projects_have_their_own_rules(
    keeper: RuleKeeper, author: Author, rules_engine: AsyncEngine, book: RuleBook
) -> None:
    other = Author(await add_project(rules_engine), "bob")
    await apply(keeper, author, rule("one"))
    await apply(keeper, other, rule("two"), prune=True)
    assert set(await keeper.own(author.project_id)) == {"one"}
    assert await judged(book, other.project_id) == {"house", "spare", "two"}
    with pytest.raises(NotFound):
        await keeper.delete(other, "one", anything)


async def test_a_combination_that_lost_its_member_is_told_of_and_withholds(
    keeper: RuleKeeper, author: Author, book: RuleBook
) -> None:
    redacting = {"id": "both", "when": {"all": ["spare"]}, "action": "redact"}
    flagging = {"id": "flags", "when": {"any": ["house", "spare"]}}
    await apply(keeper, author, redacting, flagging)
    book.path.write_text("rules:\n  - {id: house, plugin: words}\n")
    await book.poll_file()
    assert set(book.problems(author.project_id)) == {"both", "flags"}
    judgement = await book.of(author.project_id).judge([Text(Role.USER, "bad")])
    assert judgement.replacements == {0: "[WITHHELD]"}
    assert await judged(book, author.project_id) == {"house", "both", "flags"}
    # What was wrong before is no obstacle to other changes, but it cannot be written anew.
    await keeper.write(author, rule(), may=anything)
    with pytest.raises(ConfigError, match="names a rule 'spare'"):
        await keeper.write(author, {**redacting, "threshold": 0.5}, may=anything)


async def test_a_rule_is_not_written_over_a_change_that_came_between(
    keeper: RuleKeeper,
    author: Author,
    rules_engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The plan is made anew when the rules are no longer those that it was made for."""
    seen: list[StoredRule | None] = []
    tasks: list[asyncio.Task[Any]] = []

    def slowly(before: StoredRule | None) -> None:
        seen.append(before)
        if len(seen) == 1:
            tasks.append(asyncio.create_task(keeper.write(author, rule(), may=anything)))

    original = keeper._tried

    async def tried(*given: Any) -> list[Change]:
        changes = await original(*given)
        if len(seen) == 1 and tasks and asyncio.current_task() is not tasks[0]:
            await tasks[0]
        return changes

    monkeypatch.setattr(keeper, "_tried", tried)
    change = await keeper.write(author, rule(threshold=0.5), may=slowly)
    assert [one is None for one in seen] == [True, False]
    assert change.before is not None
    async with rules_engine.connect() as connection:
        history = await store.history(connection, author.project_id, "mine", 10, None)
    assert [one.revision for one in history] == [
        change.after and change.after.revision,
        change.before.revision,
    ]


def test_a_paused_rule_is_a_change() -> None:
    before = StoredRule(1, "a", 7, "v", {"id": "a"}, False, "k", NOW)
    change = Change("a", before, replace(before, paused=True))
    assert change.changes
    assert not change.is_new_to_judge
