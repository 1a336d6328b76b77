import asyncio
from collections.abc import Callable, Sequence

import pytest

from bartizan.plugins.chain import Chain
from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import Context, Failure, Judgement, NoMetrics
from bartizan.plugins.redact import WITHHELD
from bartizan.plugins.rules import load_rules

KEY = b"k" * 16


class Finder:
    """Finds every occurrence of a word, and remembers what it was asked."""

    def __init__(self, word: str = "secret", score: float = 0.9) -> None:
        self.word = word
        self.score = score
        self.asked: list[Sequence[Text]] = []
        self.closed = 0

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.asked.append(texts)
        return [self._find(text.value) for text in texts]

    async def aclose(self) -> None:
        self.closed += 1

    def _find(self, value: str) -> Sequence[Finding]:
        start = value.find(self.word)
        if start < 0:
            return ()
        return (Finding("test.word", self.score, start, start + len(self.word), "WORD"),)


class Failing(Finder):
    """Does with each call what it was told to."""

    def __init__(self, act: Callable[[Sequence[Text]], Sequence[Sequence[Finding]]]) -> None:
        super().__init__()
        self.act = act

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.asked.append(texts)
        return self.act(texts)


class Hanging(Finder):
    """Never ends, and does not heed its cancellation until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.entered = asyncio.Event()

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        self.asked.append(texts)
        self.entered.set()
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        return [()] * len(texts)


class Heard(NoMetrics):
    def __init__(self) -> None:
        self.failures: list[tuple[str, Failure]] = []
        self.circuits: list[bool] = []
        self.findings = 0

    def failed(self, rule: str, failure: Failure, texts: int) -> None:
        self.failures.append((rule, failure))

    def circuit(self, rule: str, is_open: bool) -> None:
        self.circuits.append(is_open)

    def found(self, rule: str, action: Action, shadow: bool, findings: int) -> None:
        self.findings += findings


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def chain(rules: str, *plugins: Guardrail, **options: object) -> Chain:
    parsed = load_rules(rules)
    by_rule = {rule.id: plugin for rule, plugin in zip(parsed, plugins, strict=True)}
    return Chain(parsed, by_rule, hash_key=KEY, **options)  # type: ignore[arg-type]


def texts(*values: str) -> list[Text]:
    return [Text(Role.USER, value) for value in values]


def codes(judgement: Judgement, index: int) -> list[str]:
    return [ruled.finding.code for ruled in judgement.decisions[index]]


async def test_clean_texts_are_in_no_answer() -> None:
    judged = await chain("rules: [{id: a, plugin: x}]", Finder()).judge(texts("one", "two"))
    assert not judged.decisions
    assert not judged.replacements


async def test_a_redact_rule_replaces_what_was_found() -> None:
    one = chain("rules: [{id: a, plugin: x, action: redact}]", Finder())
    judged = await one.judge(texts("clean", "a secret word"))
    assert judged.replacements == {1: "a [WORD] word"}
    [ruled] = judged.decisions[1]
    assert (ruled.rule, ruled.verdict, ruled.action, ruled.shadow) == (
        "a", Verdict.MODIFY, Action.REDACT, False,
    )  # fmt: skip
    assert (ruled.finding.start, ruled.finding.end) == (2, 8)


async def test_a_shadow_rule_only_watches() -> None:
    one = chain("rules: [{id: a, plugin: x, action: redact, mode: shadow}]", Finder())
    judged = await one.judge(texts("a secret"))
    assert judged.decisions[0][0].shadow
    assert not judged.replacements


async def test_findings_below_the_threshold_do_not_count() -> None:
    one = chain("rules: [{id: a, plugin: x, threshold: 0.5}]", Finder(score=0.4))
    assert not (await one.judge(texts("a secret"))).decisions


async def test_several_redact_rules_see_the_original_and_apply_once() -> None:
    rules = """
    rules:
      - {id: a, plugin: x, action: redact}
      - {id: b, plugin: y, action: redact, redaction: drop}
      - {id: c, plugin: z, action: block}
    """
    one = chain(rules, Finder("secret"), Finder("word"), Finder("secret word"))
    judged = await one.judge(texts("a secret word!"))
    assert judged.replacements == {0: "a [WORD] !"}
    assert [ruled.rule for ruled in judged.decisions[0]] == ["a", "b", "c"]
    assert judged.decisions[0][2].verdict is Verdict.DENY


async def test_equal_texts_are_checked_once_and_answered_everywhere() -> None:
    finder = Finder()
    one = chain("rules: [{id: a, plugin: x, action: redact}]", finder)
    judged = await one.judge([*texts("a secret", "b", "a secret"), Text(Role.SYSTEM, "a secret")])
    assert [len(asked) for asked in finder.asked] == [3]
    assert judged.replacements == {0: "a [WORD]", 2: "a [WORD]", 3: "a [WORD]"}
    assert set(judged.decisions) == {0, 2, 3}


async def test_a_rule_applies_where_it_says() -> None:
    finder = Finder()
    rules = """
    rules:
      - {id: a, plugin: x, where: {roles: [user], agents: ["checkout*"], environments: [prod]}}
    """
    one = chain(rules, finder)
    prod, dev = Context("checkout-7", "prod"), Context("checkout-7", "dev")
    given = [*texts("a secret", "b secret"), Text(Role.SYSTEM, "c secret"), *texts("d secret")]
    judged = await one.judge(given, [prod, dev, prod, Context("other", "prod")])
    assert set(judged.decisions) == {0}
    assert [text.value for text in finder.asked[0]] == ["a secret"]
    # Where it was seen is not known: the rule applies rather than not.
    assert set((await one.judge(given)).decisions) == {0, 1, 3}


def boom(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    raise ValueError(f"I choke on {texts[0].value}")


def leave(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    raise SystemExit(3)


def cancel(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    raise asyncio.CancelledError


def too_few(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    return []


def outside(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    return [[Finding("test.word", 0.5, 0, len(text.value) + 1, "WORD")] for text in texts]


def too_sure(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    return [[Finding("test.word", 1.5, 0, 1, "WORD")] for text in texts]


def odd_category(texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
    return [[Finding("Test Word", 0.5, 0, 1, "WORD")] for text in texts]


@pytest.mark.parametrize("act", [boom, leave, cancel, too_few, outside, too_sure, odd_category])
async def test_a_bad_plugin_harms_itself_alone(
    act: Callable[[Sequence[Text]], Sequence[Sequence[Finding]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard = Heard()
    rules = "rules: [{id: bad, plugin: x, action: redact}, {id: good, plugin: y}]"
    judged = await chain(rules, Failing(act), Finder(), metrics=heard).judge(texts("a secret", ""))
    assert judged.replacements == {0: WITHHELD}
    assert codes(judged, 0) == ["ERROR", "WORD"]
    assert judged.decisions[0][0].finding.category == "chain.withheld"
    assert heard.failures == [("bad", Failure.ERROR)]
    assert "secret" not in caplog.text


async def test_a_failed_block_rule_denies_if_told_and_a_flag_rule_lets_pass() -> None:
    rules = """
    rules:
      - {id: a, plugin: x, action: block, on_error: deny}
      - {id: b, plugin: x, action: flag}
    """
    judged = await chain(rules, Failing(boom), Failing(boom)).judge(texts("a"))
    assert [(one.rule, one.verdict) for one in judged.decisions[0]] == [("a", Verdict.DENY)]
    assert not judged.replacements


async def test_a_plugin_that_hangs_is_left_behind() -> None:
    hanging, heard = Hanging(), Heard()
    rules = "rules: [{id: a, plugin: x, action: redact, budget_ms: 1}, {id: b, plugin: y}]"
    judged = await chain(rules, hanging, Finder(), metrics=heard).judge(texts("a secret"))
    assert codes(judged, 0) == ["TIMEOUT", "WORD"]
    assert judged.replacements == {0: WITHHELD}
    hanging.let_go.set()


async def test_a_call_that_waits_for_its_turn_does_not_open_the_circuit() -> None:
    hanging, heard = Hanging(), Heard()
    rules = "rules: [{id: a, plugin: x, budget_ms: 1, max_concurrency: 1}]"
    one = chain(rules, hanging, metrics=heard)
    for _ in range(8):
        await one.judge(texts("a"))
    assert len(hanging.asked) == 1
    assert heard.failures == [("a", Failure.TIMEOUT)] * 8
    assert heard.circuits == []
    hanging.let_go.set()


async def test_the_circuit_opens_and_closes_again() -> None:
    clock, heard = Clock(), Heard()
    plugin = Failing(boom)
    one = chain("rules: [{id: a, plugin: x}]", plugin, clock=clock, metrics=heard)
    for _ in range(7):
        await one.judge(texts("a"))
    assert len(plugin.asked) == 5
    assert [failure for _, failure in heard.failures[5:]] == [Failure.CIRCUIT_OPEN] * 2
    clock.now += 31
    plugin.act = lambda texts: [()] * len(texts)
    await one.judge(texts("a"))
    assert heard.circuits == [True, False]


async def test_a_cancelled_call_is_cancelled() -> None:
    hanging = Hanging()
    call = asyncio.create_task(chain("rules: [{id: a, plugin: x}]", hanging).judge(texts("a")))
    await hanging.entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    hanging.let_go.set()


async def test_start_says_what_to_install_and_hides_the_rest() -> None:
    class Lacking(Finder):
        async def start(self) -> None:
            raise ModuleNotFoundError("no", name="some_package.sub")

    class Bursting(Finder):
        async def start(self) -> None:
            raise RuntimeError("sk-secret")

    with pytest.raises(ConfigError, match="pip install 'some-package'"):
        await chain("rules: [{id: a, plugin: x}]", Lacking()).start()
    with pytest.raises(ConfigError) as caught:
        await chain("rules: [{id: a, plugin: x}]", Bursting()).start()
    assert "sk-secret" not in caught.value.message


async def test_a_shared_plugin_is_closed_once() -> None:
    finder = Finder()
    one = chain("rules: [{id: a, plugin: x}, {id: b, plugin: x}]", finder, finder)
    await one.aclose()
    assert finder.closed == 1


async def test_a_rule_that_does_not_report_is_only_noted() -> None:
    heard = Heard()
    rules = (
        "rules: [{id: quiet, plugin: x, report: false}, {id: loud, plugin: x, report_from: 0.5}]"
    )
    one = chain(rules, Finder(), Finder(), metrics=heard)
    judged = await one.judge(texts("a secret", "clean", "a secret"))
    assert {index: [one.rule for one in said] for index, said in judged.decisions.items()} == {
        0: ["loud"],
        2: ["loud"],
    }
    assert judged.unreported == {0: ["quiet"], 2: ["quiet"]}
    assert heard.findings == 1
