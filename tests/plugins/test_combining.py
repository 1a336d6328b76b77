"""Combinations look at what other rules found in the same text, and at nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from bartizan.plugins.chain import Chain
from bartizan.plugins.combining import MAX_DEPTH, MAX_LEAVES, Condition
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.decision import Action, Severity
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import Ask, Context, Failure, Judgement, NoMetrics
from bartizan.plugins.redact import WITHHELD
from bartizan.plugins.rules import Rule, RuleSet, load_rules

MEMBERS = """
rules:
  - {{id: a, plugin: x}}
  - {{id: b, plugin: x, where: {{roles: [user]}}}}
  - {{id: both, {both}}}
"""
Answer = bool | None


class Word:
    """Finds a word, or fails; remembers how often it was asked."""

    def __init__(self, word: str, *, score: float = 0.9, broken: bool = False) -> None:
        self.word = word
        self.score = score
        self.broken = broken
        self.calls = 0

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.calls += 1
        if self.broken:
            raise ValueError(self.word)
        return [self._found(text.value) for text in texts]

    def _found(self, value: str) -> Sequence[Finding]:
        at = value.find(self.word)
        if at < 0:
            return ()
        return (Finding(f"test.{self.word}", self.score, at, at + len(self.word), "WORD"),)

    async def aclose(self) -> None:
        return None


class Heard(NoMetrics):
    def __init__(self) -> None:
        self.failures: list[tuple[str, Failure]] = []
        self.findings: list[str] = []

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        self.failures.append((rule, failure))

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        self.findings.append(rule)


def combined(both: str, **options: Any) -> Chain:
    """Returns a chain of the rules a, b (user texts only) and a combination of them."""
    plugins = {"a": Word("ape"), "b": Word("bee"), **options.pop("plugins", {})}
    rules = load_rules(MEMBERS.format(both=both))
    return Chain(rules, plugins, hash_key=b"k" * 16, **options)


async def said(chain: Chain, *values: str, role: Role = Role.USER) -> list[list[str]]:
    """Returns by text the categories that the combination tells of."""
    judged = await chain.judge([Text(role, value) for value in values])
    return [categories(judged, index) for index in range(len(values))]


def categories(judged: Judgement, index: int, rule: str = "both") -> list[str]:
    decided = judged.decisions.get(index, ())
    return [one.finding.category for one in decided if one.rule == rule]


TEXTS = ("ape", "bee", "ape bee", "cow")


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("a", [["test.ape"], [], ["test.ape"], []]),
        ("{all: [a, b]}", [[], [], ["test.ape", "test.bee"], []]),
        ("{any: [a, b]}", [["test.ape"], ["test.bee"], ["test.ape", "test.bee"], []]),
        ("{all: [a, {not: b}]}", [["test.ape"], [], [], []]),
        ("{any: [a, {not: b}]}", [["test.ape"], [], ["test.ape"], []]),
        ("{all: [a, {rule: a}, {any: [a]}]}", [["test.ape"], [], ["test.ape"], []]),
    ],
)
async def test_what_holds(when: str, expected: list[list[str]]) -> None:
    assert await said(combined(f"when: {when}"), *TEXTS) == expected


async def test_a_member_that_does_not_apply_has_found_nothing() -> None:
    chain = combined("when: {all: [a, {not: b}]}")
    assert await said(chain, "ape bee", role=Role.ASSISTANT) == [["test.ape"]]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("{rule: a, category: test}", True),
        ("{rule: a, category: test.ape}", True),
        ("{rule: a, category: tes}", False),
        ("{rule: a, category: test.apes}", False),
        ("{rule: a, score: 0.9}", True),
        ("{rule: a, score: 0.91}", False),
        ("{rule: a, category: test, score: 0.5}", True),
    ],
)
async def test_only_some_findings_of_a_member_count(condition: str, holds: bool) -> None:
    assert await said(combined(f"when: {condition}"), "ape") == [["test.ape"] if holds else []]


async def test_a_combination_acts_as_any_other_rule() -> None:
    chain = combined("when: {all: [a, b]}, action: redact, severity: critical")
    judged = await chain.judge([Text(Role.USER, "ape bee"), Text(Role.USER, "ape")])
    assert judged.replacements == {0: "[APE] [BEE]"}
    decided = [one for one in judged.decisions[0] if one.rule == "both"]
    assert {one.severity for one in decided} == {Severity.CRITICAL}
    assert {one.rule_version for one in decided} == {
        load_rules(MEMBERS.format(both="when: {all: [a, b]}, action: redact, severity: critical"))
        .by_id["both"]
        .version
    }


async def test_the_threshold_of_a_combination() -> None:
    weak = {"b": Word("bee", score=0.2)}
    chain = combined("when: {all: [a, b]}, threshold: 0.5", plugins=weak)
    assert await said(chain, "ape bee") == [["test.ape"]]


async def test_a_combination_asks_its_members_and_tells_of_itself() -> None:
    heard = Heard()
    chain = combined("when: {all: [a, b]}", metrics=heard)
    judged = await chain.judge([Text(Role.USER, "ape bee")], None, Ask(frozenset({"both"})))
    assert [report.rule for report in judged.reports] == ["both"]
    assert {one.rule for one in judged.decisions[0]} == {"both"}
    assert categories(judged, 0) == ["test.ape", "test.bee"]


async def test_a_member_asked_alone_does_not_bring_the_combination() -> None:
    bee = Word("bee")
    chain = combined("when: {all: [a, b]}", plugins={"b": bee})
    judged = await chain.judge([Text(Role.USER, "ape bee")], None, Ask(frozenset({"a"})))
    assert {one.rule for one in judged.decisions[0]} == {"a"}
    assert bee.calls == 0


async def test_where_a_combination_applies() -> None:
    chain = combined("when: a, where: {agents: [bot]}")
    texts = [Text(Role.USER, "ape"), Text(Role.USER, "ape")]
    judged = await chain.judge(texts, [Context("bot"), Context("other")])
    assert [categories(judged, index) for index in (0, 1)] == [["test.ape"], []]


async def test_a_failing_member_fails_the_combination() -> None:
    heard = Heard()
    broken = {"b": Word("bee", broken=True)}
    chain = combined("when: {all: [a, b]}, on_error: deny", plugins=broken, metrics=heard)
    judged = await chain.judge([Text(Role.USER, "ape bee")])
    assert categories(judged, 0) == ["chain.withheld"]
    assert ("both", Failure.ERROR) in heard.failures
    assert not judged.complete


async def test_a_combination_that_redacts_withholds_what_it_cannot_judge() -> None:
    chain = combined("when: {all: [a, b]}, action: redact", plugins={"b": Word("bee", broken=True)})
    judged = await chain.judge([Text(Role.USER, "ape bee")])
    assert judged.replacements == {0: WITHHELD}


@pytest.mark.parametrize(
    ("when", "found"),
    [("{all: [a, {not: b}]}", []), ("{any: [a, b]}", ["test.ape"]), ("{all: [a, b]}", [])],
)
async def test_only_what_a_failed_member_cannot_change_is_told(when: str, found: list[str]) -> None:
    broken = {"b": Word("bee", broken=True)}
    chain = combined(f"when: {when}, action: block, on_error: allow", plugins=broken)
    assert await said(chain, "ape bee") == [found]


async def test_what_is_certain_has_not_failed() -> None:
    heard = Heard()
    broken = {"b": Word("bee", broken=True)}
    chain = combined("when: {all: [a, b]}, on_error: deny", plugins=broken, metrics=heard)
    judged = await chain.judge([Text(Role.USER, "cow")], None, Ask(frozenset({"both"})))
    assert not judged.decisions
    assert judged.complete
    assert heard.failures == [("b", Failure.ERROR)]


async def test_a_failed_member_is_no_concern_where_it_does_not_apply() -> None:
    broken = {"b": Word("bee", broken=True)}
    chain = combined("when: {all: [a, {not: b}]}", plugins=broken)
    texts = [Text(Role.USER, "ape"), Text(Role.ASSISTANT, "ape")]
    judged = await chain.judge(texts)
    assert [categories(judged, index) for index in (0, 1)] == [[], ["test.ape"]]


async def test_a_member_that_is_not_in_force_finds_nothing() -> None:
    when = parse_config(Condition, {"all": ["a", {"any": ["a", "gone"]}]}, "when")
    rules = RuleSet((Rule(id="a", plugin="x"), Rule(id="both", when=when)))
    chain = Chain(rules, {"a": Word("ape")}, hash_key=b"k")
    assert await said(chain, "ape") == [["test.ape"]]


async def test_equal_texts_are_combined_alike() -> None:
    assert await said(combined("when: {all: [a, b]}"), "ape bee", "cow", "ape bee") == [
        ["test.ape", "test.bee"], [], ["test.ape", "test.bee"],
    ]  # fmt: skip


def nested(depth: int) -> Any:
    document: Any = "a"
    for _ in range(depth - 1):
        document = {"any": [document]}
    return document


@pytest.mark.parametrize(
    "document",
    [nested(MAX_DEPTH), {"any": ["a"] * MAX_LEAVES}, {"all": ["a", {"not": {"not": "b"}}]}],
)
def test_what_is_within_bounds_is_taken(document: Any) -> None:
    assert parse_config(Condition, document, "when").finds()


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        (nested(MAX_DEPTH + 1), "levels"),
        ({"any": ["a"] * (MAX_LEAVES + 1)}, "rules at most"),
        ({}, "exactly one"),
        ({"rule": "a", "not": "b"}, "exactly one"),
        ({"all": []}, "exactly one"),
        ({"all": ["a"], "category": "pii"}, "category and score go with rule"),
        ({"rule": "a", "score": 1.5}, "less than or equal to 1"),
        ({"rules": ["a"]}, "not a known key (did you mean 'rule'?)"),
        ({"any": [7]}, "any[0]"),
        (7, ""),
    ],
)
def test_what_is_no_condition_is_refused(document: Any, complaint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(Condition, document, "when")
    assert complaint in refused.value.message


def test_a_condition_survives_being_written() -> None:
    written = {"id": "r", "when": {"all": ["a", {"not": {"rule": "b", "score": 0.5}}]}}
    rule = parse_config(Rule, written, "rule")
    again = parse_config(Rule, rule.document, "rule")
    assert (again, again.version) == (rule, rule.version)


@pytest.mark.parametrize(
    ("both", "complaint"),
    [
        ("when: {all: [a, missing]}", "rule 'both' names a rule 'missing'"),
        ("when: {all: [a, both]}", "not an inline rule with a plugin"),
        ("when: {all: [a, late]}", "not an inline rule with a plugin"),
        ("when: {not: a}", "only by what is not found"),
        ("when: {not: {not: a}}", "only by what is not found"),
        ("when: a, plugin: x", "one of them"),
        ("when: a, config: {k: 1}", "config goes with a plugin"),
        ("when: a, stage: deferred", "a combination is inline"),
        ("severity: low", "one of them"),
    ],
)
def test_combinations_that_cannot_be(both: str, complaint: str) -> None:
    late = "  - {id: late, plugin: x, stage: deferred}\n"
    with pytest.raises(ConfigError) as refused:
        load_rules(MEMBERS.format(both=both) + late)
    assert complaint in refused.value.message


conditions: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(["a", "b", "c", {"rule": "a", "category": "pii"}, {"rule": "b", "score": 0.5}]),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"not": inner}),
    ),
    max_leaves=8,
)
found = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.none()
    | st.lists(
        st.builds(
            Finding,
            st.sampled_from(["pii.mail", "toxicity"]),
            st.sampled_from([0.4, 0.5, 0.9]),
            st.integers(0, 2),
            st.just(3),
            st.just("X"),
        ),
        max_size=2,
    ),
)


def oracle(document: Any, found_by: Mapping[str, Sequence[Finding] | None]) -> Answer:
    """Returns what holds, by the book."""
    if isinstance(document, str):
        document = {"rule": document}
    if "not" in document:
        inner = oracle(document["not"], found_by)
        return None if inner is None else not inner
    for key, decisive in (("all", False), ("any", True)):
        if key in document:
            parts = [oracle(part, found_by) for part in document[key]]
            return decisive if decisive in parts else None if None in parts else not decisive
    said_of_it = found_by.get(document["rule"], ())
    if said_of_it is None:
        return None
    return any(
        one.category.split(".")[0] == document.get("category", one.category.split(".")[0])
        and one.score >= document.get("score", 0)
        for one in said_of_it
    )


@given(conditions, found)
def test_any_condition_agrees_with_the_book(
    document: Any, found_by: Mapping[str, Sequence[Finding] | None]
) -> None:
    try:
        condition = parse_config(Condition, document, "when")
    except ConfigError:
        reject()
    held, findings = condition.holds(found_by)
    assert held is oracle(document, found_by)
    assert len(findings) == len(set(findings))
    assert {*findings} <= {one for told in found_by.values() for one in told or ()}
    if held is not True:
        assert not findings
    if not condition.finds():
        assert not findings
