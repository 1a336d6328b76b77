"""Which texts a rule looks at: by tags, by a sample of the traces, and again after the write."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bartizan.plugins.applicability import fits
from bartizan.plugins.chain import Chain
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.decision import Severity
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import Context, Failure
from bartizan.plugins.limits import FAILURES_TO_OPEN
from bartizan.plugins.rules import Rule, load_rules
from bartizan.server.ingest.judging import draw_of

KEY = b"k" * 16


class All:
    """Finds every text, or waits for ever, or fails."""

    def __init__(self, how: str = "") -> None:
        self.how = how

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        if self.how == "hanging":
            await asyncio.Event().wait()
        if self.how == "failing":
            raise ValueError
        return [[Finding("test.all", 1.0, 0, len(text.value), "ALL")] for text in texts]

    async def aclose(self) -> None:
        return None


def rule(**document: object) -> Rule:
    return parse_config(Rule, {"id": "a", "plugin": "x"} | document, "rule")


@pytest.mark.parametrize(
    ("patterns", "tags", "expected"),
    [
        (["beta"], ("beta", "eu"), True),
        (["be*", "x"], ("beta",), True),
        (["beta"], ("eu",), False),
        (["beta"], (), False),
        (["beta"], None, True),
        ([], (), True),
        (["Beta"], ("beta",), False),
    ],
)
def test_one_tag_is_enough(
    patterns: Sequence[str], tags: Sequence[str] | None, expected: bool
) -> None:
    assert fits(rule(where={"tags": patterns}), Context(tags=tags)) is expected


def test_a_sample_is_a_share_of_the_traces_and_always_the_same() -> None:
    rng = random.Random(3)
    draws = [draw_of(rng.randbytes(16)) for _ in range(20_000)]
    assert draws == [draw_of(trace) for trace in again(3)]
    for share in (0.01, 0.1, 0.5, 1.0):
        sampled = sum(fits(rule(sample=share), Context(draw=draw)) for draw in draws)
        assert sampled / len(draws) == pytest.approx(share, abs=0.01)


def again(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(16) for _ in range(20_000)]


@pytest.mark.parametrize("kept", [0.5, 0.1, 0.01])
def test_a_sample_does_not_take_what_clients_took(kept: float) -> None:
    """Clients sample by the last eight bytes of the id, as OpenTelemetry says."""
    rng = random.Random(4)
    bound = int(kept * 2**63)
    traces = [rng.randbytes(8) + rng.randrange(bound).to_bytes(8, "big") for _ in range(20_000)]
    sampled = sum(fits(rule(sample=0.1), Context(draw=draw_of(trace))) for trace in traces)
    assert sampled / len(traces) == pytest.approx(0.1, abs=0.01)


def test_numbered_traces_are_sampled_too() -> None:
    draws = [draw_of(number.to_bytes(16, "big")) for number in range(20_000)]
    sampled = sum(fits(rule(sample=0.1), Context(draw=draw)) for draw in draws)
    assert sampled / len(draws) == pytest.approx(0.1, abs=0.02)


@given(st.binary(min_size=16, max_size=16))
def test_a_draw_is_never_one(trace: bytes) -> None:
    assert 0 <= draw_of(trace) < 1
    assert fits(rule(sample=1), Context(draw=draw_of(trace)))


def test_a_larger_sample_holds_the_smaller() -> None:
    for draw in (0.0, 0.05, 0.1, 0.3):
        context = Context(draw=draw)
        assert fits(rule(sample=0.3), context) >= fits(rule(sample=0.1), context)
    assert fits(rule(sample=0.001), Context(draw=None)), "a trace that nobody knows"


def test_a_rule_that_redacts_looks_at_all() -> None:
    with pytest.raises(ConfigError, match="would store the rest"):
        rule(sample=0.5, action="redact")


async def test_a_severity_goes_with_every_finding() -> None:
    rules = load_rules("rules: [{id: a, plugin: x, severity: high}, {id: b, plugin: x}]")
    chain = Chain(rules, {"a": All(), "b": All()}, hash_key=KEY)
    judged = await chain.judge([Text(Role.USER, "x")])
    assert [one.severity for one in judged.decisions[0]] == [Severity.HIGH, Severity.MEDIUM]


def deferring(how: str, **options: str) -> Chain:
    said = "".join(f", {key}: {value}" for key, value in options.items())
    hurried = f"{{id: a, plugin: x, on_timeout: defer, budget_ms: 1{said}}}"
    rules = load_rules(f"rules: [{hurried}, {{id: b, plugin: y}}]")
    return Chain(rules, {"a": All(how), "b": All()}, hash_key=KEY, clock=lambda: 0.0)


async def test_what_had_no_time_is_for_later() -> None:
    texts = [Text(Role.USER, value) for value in ("same", "same", "other")]
    judged = await deferring("hanging", where="{roles: [user]}").judge(texts)
    assert judged.deferred == {0: ["a"], 1: ["a"], 2: ["a"]}
    assert {one.rule for said in judged.decisions.values() for one in said} == {"b"}
    assert not judged.complete


async def test_what_has_no_time_again_and_again_is_for_later_too() -> None:
    chain = deferring("hanging")
    for _ in range(FAILURES_TO_OPEN):
        await chain.judge([Text(Role.USER, "x")])
    judged = await chain.judge([Text(Role.USER, "x")])
    assert judged.reports[0].failure is Failure.CIRCUIT_OPEN
    assert judged.deferred == {0: ["a"]}


async def test_what_fails_is_not_for_later() -> None:
    judged = await deferring("failing", on_error="deny").judge([Text(Role.USER, "x")])
    assert judged.deferred == {}
    assert [one.finding.code for one in judged.decisions[0]] == ["ERROR", "ALL"]
