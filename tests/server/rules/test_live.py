"""Rules in force let plugins go after the last call, and one bad plugin harms itself alone."""

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.support.ruling import SECRET, Words, words_registry
from tests.support.spans import make_span

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.decision import Action
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import Failure, NoMetrics
from bartizan.plugins.pool import PluginPool
from bartizan.plugins.rules import RuleSet, load_rules
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.native import NativeConverter
from bartizan.server.metrics import Metrics
from bartizan.server.rules import counted
from bartizan.server.rules.book import RuleBook
from bartizan.server.rules.counted import OTHERS, Counted
from bartizan.server.rules.documents import StoredRule
from bartizan.server.rules.live import LiveRules, make_live

NOW_NS = 1_790_000_000_000_000_000
BAD = [Text(Role.USER, "bad")]


@pytest.fixture(autouse=True)
def pool() -> PluginPool:
    Words.open = 0
    Words.asked.clear()
    Words.gate = asyncio.Event()
    return PluginPool(words_registry())


async def live(pool: PluginPool, rules: str, *, tolerant: bool = False) -> LiveRules:
    return await make_live(
        rules_of(rules),
        pool,
        hash_key=b"key",
        vault=None,
        metrics=NoMetrics(),
        tolerant=tolerant,
    )


def rules_of(rules: str) -> RuleSet:
    return load_rules(f"rules: [{rules}]")


async def test_a_start_that_fails_gives_back_what_it_took(pool: PluginPool) -> None:
    good = "{id: a, plugin: words}"
    for bad in ("how: no start", "how: unmakeable", "nokey: 1"):
        with pytest.raises(ConfigError):
            await live(pool, f"{good}, {{id: b, plugin: words, config: {{{bad}}}}}")
        assert (len(pool), Words.open) == (0, 0)


@pytest.mark.parametrize("how", ["no start", "unmakeable"])
async def test_a_plugin_that_cannot_be_had_fails_alone(pool: PluginPool, how: str) -> None:
    with capture_logs() as logs:
        rules = await live(
            pool,
            f"{{id: a, plugin: words}}, {{id: b, plugin: words, config: {{how: {how}}}}}",
            tolerant=True,
        )
    judged = await rules.judge(BAD)
    assert [one.rule for one in judged.decisions[0]] == ["a"]
    assert [one.failure for one in judged.reports] == [None, Failure.ERROR]
    assert set(rules.problems) == {"b"}
    assert SECRET not in f"{rules.problems} {logs}"
    await rules.retire()
    assert (len(pool), Words.open) == (0, 0)


async def test_a_plugin_that_fails_in_ways_of_its_own_fails_alone(
    pool: PluginPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(name: str, *given: Any) -> Any:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(pool._registry, "create", create)
    rules = await live(pool, "{id: a, plugin: words}", tolerant=True)
    assert rules.problems == {"a": "guardrail 'words' cannot be had: ZeroDivisionError"}
    with pytest.raises(ZeroDivisionError):
        await live(pool, "{id: a, plugin: words}")


async def test_plugins_go_after_the_last_call(pool: PluginPool) -> None:
    rules = await live(pool, "{id: a, plugin: words, config: {how: gated}}")
    calls = [asyncio.create_task(rules.judge(BAD)) for _ in range(3)]
    await until_asked()
    retiring = asyncio.create_task(rules.retire())
    calls[0].cancel()
    await asyncio.sleep(0)
    assert not retiring.done()
    assert Words.open == 1
    Words.gate.set()
    for call in calls[1:]:
        assert (await call).decisions
    await retiring
    assert (len(pool), Words.open) == (0, 0)


async def test_a_batch_ends_under_the_rules_that_it_began_with(pool: PluginPool) -> None:
    old = await live(pool, "{id: old, plugin: words, config: {how: gated, everything: true}}")
    new = await live(pool, "{id: new, plugin: words, config: {everything: true}}")
    in_force = [old]
    judge = Judge(lambda project_id: in_force[0])
    first, second = batch(), batch()
    judging = asyncio.create_task(judge.judge(first))
    await until_asked()
    in_force[0] = new
    retiring = asyncio.create_task(old.retire())
    await judge.judge(second)
    Words.gate.set()
    await judging
    await retiring
    assert rules_that_found(first) == {"old"}
    assert rules_that_found(second) == {"new"}
    await new.retire()
    assert (len(pool), Words.open) == (0, 0)


async def test_who_goes_away_in_the_middle_of_a_change_leaves_nothing(
    pool: PluginPool, tmp_path: Path
) -> None:
    def stored(project: int, revision: int, **config: str) -> StoredRule:
        document = {"id": "a", "plugin": "words", "config": config}
        return StoredRule(project, "a", revision, "v", document, False, "k", datetime.now(UTC))

    own = [stored(1, 1, category="one")]
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{id: house, plugin: words}]")

    async def load(revision: int) -> list[StoredRule] | None:
        return own if max(one.revision for one in own) > revision else None

    book = RuleBook(path, load, b"key", Metrics(CollectorRegistry()))
    book.registry, book.pool = words_registry(), pool
    await book.start()
    before = book.now(1)
    own = [*own, stored(2, 2, category="two"), stored(3, 3, how="hanging start")]
    polling = asyncio.create_task(book.poll_own())
    while Words.open < 4:  # noqa: ASYNC110
        await asyncio.sleep(0)
    polling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await polling
    assert book.now(1) is before
    assert book.now(2) is book.house
    own = own[:2]
    await book.poll_own()
    assert book.now(2) is not book.house
    await book.aclose()
    assert (len(pool), Words.open) == (0, 0)


def batch() -> Batch:
    record = NativeConverter().record(make_span(random.Random(1), start_ns=NOW_NS), NOW_NS)
    return Batch(1, [record], range(1))


def rules_that_found(judged: Batch) -> set[str]:
    return {one.rule for said in judged.decisions.values() for one in said}


async def until_asked() -> None:
    while not Words.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)


def test_rules_do_not_fill_the_memory_with_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counted, "MAX_NAMED", 2)
    registry = CollectorRegistry()
    heard = Counted(Metrics(registry))
    for number in range(5):
        heard.judged(f"r{number}", 1, 0.1)
        heard.failed(f"r{number}", Failure.ERROR, 1)
        heard.found(f"r{number}", Action.FLAG, False, 2)
    named = {
        sample.labels["rule"]
        for metric in registry.collect()
        for sample in metric.samples
        if "rule" in sample.labels
    }
    assert named == {"r0", "r1", OTHERS}
    labels = {"rule": OTHERS, "action": "flag", "shadow": "false"}
    assert registry.get_sample_value("bartizan_findings_total", labels) == 6
