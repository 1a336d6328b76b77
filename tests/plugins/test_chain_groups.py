"""Guardrails that look at the group of a text see every text; others see equal ones once."""

from collections.abc import Sequence

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.rules import load_rules

ONE_RULE = load_rules("rules: [{id: a, plugin: x}]")
TEXTS = [Text(Role.USER, "same", None, 1), Text(Role.USER, "same", None, 2)]


class Counting:
    """Finds the second of equal texts, and remembers the groups it was shown."""

    def __init__(self) -> None:
        self.groups: list[int] = []

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.groups += [text.group for text in texts]
        return [
            [Finding("test.again", 1.0, 0, 1, "AGAIN")] if text.group == 2 else [] for text in texts
        ]

    async def aclose(self) -> None:
        pass


class Grouping(Counting):
    needs_group = True


def chain(plugin: Guardrail) -> Chain:
    return Chain(ONE_RULE, {"a": plugin}, hash_key=b"k" * 16)


async def test_a_guardrail_that_needs_groups_sees_every_text() -> None:
    plugin = Grouping()
    one = chain(plugin)
    judged = await one.judge(TEXTS)
    assert one.looks_at_groups
    assert plugin.groups == [1, 2]
    assert set(judged.decisions) == {1}


async def test_equal_texts_of_different_groups_are_one_for_all_others() -> None:
    plugin = Counting()
    one = chain(plugin)
    judged = await one.judge(TEXTS)
    assert not one.looks_at_groups
    assert plugin.groups == [1]
    assert not judged.decisions
