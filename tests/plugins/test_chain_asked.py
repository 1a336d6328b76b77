"""What a call may want otherwise of a chain, and what it is told of each rule."""

from collections.abc import Sequence

import pytest

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Ask, Context, Failure, NoMetrics
from bartizan.plugins.rules import load_rules

RULES = """
rules:
  - {id: one, plugin: x, action: redact}
  - {id: two, plugin: x, action: flag, where: {roles: [system], agents: [bot]}}
  - {id: three, plugin: y, action: flag, on_error: deny}
"""


class Finder:
    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        return [[Finding("test.all", 1.0, 0, len(text.value), "ALL")] for text in texts]

    async def aclose(self) -> None:
        return None


class Failing(Finder):
    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        raise ValueError


class Counting(NoMetrics):
    def __init__(self) -> None:
        self.counted: list[str] = []

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        self.counted.append(rule)


def chain(metrics: Counting | None = None) -> Chain:
    plugins = {"one": Finder(), "two": Finder(), "three": Failing()}
    return Chain(load_rules(RULES), plugins, hash_key=b"k", clock=lambda: 7.0, metrics=metrics)


async def test_each_rule_is_reported() -> None:
    judged = await chain().judge([Text(Role.USER, "a"), Text(Role.USER, "a")])
    told = [(one.rule, one.texts, one.failure, one.seconds) for one in judged.reports]
    assert told == [("one", 2, None, 0.0), ("two", 0, None, 0.0), ("three", 2, Failure.ERROR, 0.0)]
    assert not judged.complete
    assert [(span.start, span.end) for span in judged.spans[1]] == [(0, 1)]


async def test_only_some_rules_are_asked() -> None:
    judged = await chain().judge([Text(Role.USER, "a")], None, Ask(frozenset({"one"})))
    assert [one.rule for one in judged.reports] == ["one"]
    assert judged.complete


@pytest.mark.parametrize(("agent", "applies"), [(None, 1), ("", 0), ("bot", 1), ("other", 0)])
async def test_a_rule_that_asks_applies_to_the_unknown(agent: str | None, applies: int) -> None:
    judged = await chain().judge([Text(Role.SYSTEM, "a")], [Context(agent)])
    assert judged.reports[1].texts == applies


async def test_to_deny_what_could_not_be_judged_is_the_verdict_deny() -> None:
    judged = await chain().judge([Text(Role.USER, "a")])
    withheld = judged.decisions[0][-1]
    assert (withheld.rule, withheld.verdict, withheld.action) == (
        "three",
        Verdict.DENY,
        Action.FLAG,
    )
    assert judged.replacements == {0: "[ALL]"}


async def test_findings_are_not_counted_for_who_counts_them() -> None:
    metrics = Counting()
    await chain(metrics).judge([Text(Role.USER, "a")], None, Ask(counts=False))
    assert metrics.counted == []
    await chain(metrics).judge([Text(Role.USER, "a")])
    assert metrics.counted == ["one"]
