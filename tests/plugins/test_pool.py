"""Plugins are shared while they are used, and closed when the last one lets go."""

import asyncio
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any, ClassVar

import pytest

from bartizan.plugins import pool as pool_module
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Guardrail, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.pool import PluginPool
from bartizan.plugins.registry import GUARDRAILS, Registry, _is_guardrail
from bartizan.plugins.rules import Rule

SECRET = "hunter2"


class Tracked:
    """Counts its lives. `how` says what it does when it is started or closed."""

    made: ClassVar[list["Tracked"]] = []
    let_go: ClassVar[asyncio.Event]

    class Config(PluginConfig):
        how: str = ""
        anything: dict[str, Any] = {}

    def __init__(self, config: Config) -> None:
        self.how = config.how
        self.starts = self.closes = 0
        self.made.append(self)
        if self.how == "unmakeable":
            raise ValueError(SECRET)

    async def start(self) -> None:
        self.starts += 1
        if self.how == "slow":
            await self.let_go.wait()
        if self.how == "failing":
            raise ValueError(SECRET)
        if self.how == "exiting":
            raise SystemExit(1)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        return [()] * len(texts)

    async def aclose(self) -> None:
        self.closes += 1
        if self.how == "bad at closing":
            raise ValueError(SECRET)
        if self.how == "never closing":
            await self.let_go.wait()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> PluginPool:
    monkeypatch.setattr(Tracked, "made", [])
    monkeypatch.setattr(Tracked, "let_go", asyncio.Event(), raising=False)
    entry = EntryPoint("tracked", f"{__name__}:Tracked", GUARDRAILS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: Tracked)
    registry: Registry[Guardrail] = Registry(GUARDRAILS, _is_guardrail, [entry])
    return PluginPool(registry)


def rule(name: str = "one", how: str = "", **config: Any) -> Rule:
    return Rule(id=name, plugin="tracked", config={"how": how, **config})


async def turns(count: int = 5) -> None:
    """Lets everybody else go on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_rules_with_one_configuration_share_a_plugin(pool: PluginPool) -> None:
    first, second = await asyncio.gather(pool.take(rule("one")), pool.take(rule("two")))
    assert first is second
    assert [one.starts for one in Tracked.made] == [1]
    assert await pool.take(rule("three", "else")) is not first
    assert len(pool) == 2


async def test_the_last_one_closes_it(pool: PluginPool) -> None:
    await pool.take(rule("one"))
    await pool.take(rule("two"))
    await pool.give_back(rule("two"))
    [plugin] = Tracked.made
    assert plugin.closes == 0
    await pool.give_back(rule("one"))
    assert (plugin.closes, len(pool)) == (1, 0)
    await pool.take(rule("one"))
    assert len(Tracked.made) == 2


@pytest.mark.parametrize("how", ["failing", "exiting"])
async def test_a_failing_start_is_not_kept(pool: PluginPool, how: str) -> None:
    told = await asyncio.gather(
        pool.take(rule("one", how)), pool.take(rule("two", how)), return_exceptions=True
    )
    for error in told:
        assert isinstance(error, ConfigError)
        assert error.reason == "PLUGIN_START_FAILED"
        assert not any(word in error.message for word in (SECRET, "one", "two"))
    [plugin] = Tracked.made
    assert (plugin.starts, plugin.closes, len(pool)) == (1, 1, 0)
    with pytest.raises(ConfigError):
        await pool.take(rule("one", how))
    assert len(Tracked.made) == 2


async def test_a_wrong_configuration_leaves_nothing(pool: PluginPool) -> None:
    for wrong in (rule(how="unmakeable"), rule(unknown=1), Rule(id="one", plugin="nobody")):
        with pytest.raises(ConfigError) as refused:
            await pool.take(wrong)
        assert SECRET not in refused.value.message
    assert len(pool) == 0


async def test_a_start_goes_on_for_others(pool: PluginPool) -> None:
    first = asyncio.create_task(pool.take(rule("one", "slow")))
    second = asyncio.create_task(pool.take(rule("two", "slow")))
    await turns()
    first.cancel()
    await turns()
    Tracked.let_go.set()
    [plugin] = Tracked.made
    assert await second is plugin
    assert (plugin.starts, plugin.closes, first.cancelled()) == (1, 0, True)


async def test_a_start_that_nobody_waits_for_ends(pool: PluginPool) -> None:
    taking = asyncio.create_task(pool.take(rule("one", "slow")))
    await turns()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    [plugin] = Tracked.made
    assert (plugin.closes, len(pool)) == (1, 0)


async def test_one_that_fails_to_close_harms_nobody(
    pool: PluginPool, caplog: pytest.LogCaptureFixture
) -> None:
    await pool.take(rule("one", "bad at closing"))
    await pool.give_back(rule("one", "bad at closing"))
    assert len(pool) == 0
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text


async def test_one_that_never_closes_is_left_behind(
    pool: PluginPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pool_module, "CLOSE_SECONDS", 0.01)
    await pool.take(rule("one", "never closing"))
    await pool.give_back(rule("one", "never closing"))
    assert "left behind" in caplog.text
    Tracked.let_go.set()
    await turns()
    assert not pool._closing


async def test_giving_back_what_was_not_taken_is_a_mistake(pool: PluginPool) -> None:
    with pytest.raises(KeyError):
        await pool.give_back(rule("one"))


async def test_any_configuration_can_be_told_apart(pool: PluginPool) -> None:
    mixed = {1: "a", "b": {2: "c", "d": None}}
    first = await pool.take(rule("one", anything={"k": mixed}))
    assert await pool.take(rule("two", anything={"k": dict(reversed(mixed.items()))})) is first
    assert await pool.take(rule("three", anything={"k": {1: "a"}})) is not first
