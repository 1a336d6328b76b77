import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.reload import RulesFile
from bartizan.plugins.rules import RuleSet

TEXTS = [Text(Role.USER, "x")]


class Gated:
    """Finds one thing, once its gate is open."""

    def __init__(self, gate: asyncio.Event) -> None:
        self.gate = gate
        self.closed = False
        self.entered = asyncio.Event()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.entered.set()
        await self.gate.wait()
        return [[Finding("test.x", 1.0, 0, 1, "X")] for _ in texts]

    async def aclose(self) -> None:
        self.closed = True


class House:
    """A rules file and all that is made from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.gate = asyncio.Event()
        self.gate.set()
        self.made: list[Gated] = []
        self.states: list[bool] = []
        self.made_another = asyncio.Event()
        self.rules = RulesFile(path, self.build, self.states.append)

    def build(self, rules: RuleSet) -> Chain:
        plugin = Gated(self.gate)
        self.made.append(plugin)
        if len(self.made) > 1:
            self.made_another.set()
        return Chain(rules, {rule.id: plugin for rule in rules}, hash_key=b"k")

    def write(self, text: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(text)
        new.rename(self.path)

    async def deciding(self) -> str:
        judged = await self.rules.judge(TEXTS)
        return judged.decisions[0][0].rule


@pytest.fixture
def house(tmp_path: Path) -> House:
    made = House(tmp_path / "rules.yaml")
    made.write("rules: [{id: old, plugin: p}]")
    return made


async def test_a_changed_file_is_taken_up(house: House) -> None:
    await house.rules.start()
    assert await house.rules.poll() is None
    assert len(house.made) == 1
    house.write("rules: [{id: new, plugin: p}]")
    assert await house.rules.poll() is None
    assert await house.deciding() == "new"
    assert [plugin.closed for plugin in house.made] == [True, False]
    await house.rules.aclose()
    assert house.made[1].closed


@pytest.mark.parametrize("bad", ["rules: [", "rules: [{id: x}]", None])
async def test_a_bad_file_leaves_the_last_good_rules(house: House, bad: str | None) -> None:
    await house.rules.start()
    if bad is None:
        house.path.unlink()
    else:
        house.write(bad)
    error = await house.rules.poll()
    assert isinstance(error, ConfigError)
    assert str(house.path) in error.message
    assert await house.rules.poll() is None
    assert await house.deciding() == "old"
    assert house.states == [True, False]
    house.write("rules: [{id: mended, plugin: p}]")
    assert await house.rules.poll() is None
    assert await house.deciding() == "mended"
    assert house.states == [True, False, True]


async def test_calls_under_way_end_on_the_old_rules(house: House) -> None:
    await house.rules.start()
    house.gate.clear()
    call = asyncio.create_task(house.deciding())
    await house.made[0].entered.wait()
    house.write("rules: [{id: new, plugin: p}]")
    polling = asyncio.create_task(house.rules.poll())
    await house.made_another.wait()
    assert not house.made[0].closed
    house.gate.set()
    assert await call == "old"
    assert await polling is None
    assert house.made[0].closed


async def test_a_bad_file_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        await House(tmp_path / "none.yaml").rules.start()


async def test_closed_unopened_and_twice(house: House) -> None:
    await house.rules.aclose()
    await house.rules.start()
    await house.rules.aclose()
    await house.rules.aclose()
