import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.checking.streaming import (
    UNKNOWN,
    ChainRules,
    Expression,
    opened,
    streamed,
    summary,
)

from bartizan.plugins.contract import Finding, Role, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import InvalidArgument
from bartizan.plugins.judgement import Context, Failure
from bartizan.plugins.redact import Span, redact
from bartizan.plugins.rules import Redaction
from bartizan.server.checking.rules import Inquiry
from bartizan.server.checking.texts import CheckedText, check_texts
from bartizan.server.checking.window import GROWTH, MAX_HELD

HOLD_BACK = 32
REDACTING = """
rules:
  - {id: secrets, plugin: x, action: redact}
  - {id: numbers, plugin: x, action: redact, redaction: hash}
  - {id: words, plugin: x, action: flag}
  - {id: watch, plugin: x, action: block, mode: shadow}
"""


def rules(document: str = REDACTING) -> ChainRules:
    """Findings of at most 24 characters, some beside and inside each other."""
    known = {
        "secrets": Expression(r"sk-[a-z0-9]{1,12}", "test.secret"),
        "numbers": Expression(r"\d[\d ]{0,18}\d", "test.number"),
        "words": Expression(r"\b(?:attack|now)\b", "test.word"),
        "watch": Expression(r"k-\w", "test.watch"),
        "blocks": Expression(r"attack now", "test.attack"),
        "keys": Expression(r"-----BEGIN KEY-----[A-Z\n]*(?:-----END KEY-----)?", "test.key"),
    }
    return ChainRules(document, **{name: one for name, one in known.items() if name in document})


pieces = st.one_of(
    st.sampled_from(
        ["sk-abc123", "4111 1111 1111", "attack now", "attack", "é🙂", "sk-", " ", "\n"]
    ),
    st.text("ab \n🙂1k-", max_size=12),
    st.builds(lambda size: "word " * size, st.integers(0, 30)),
)
texts = st.lists(pieces, max_size=25).map(" ".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = draw(texts)
    cuts = draw(st.lists(st.integers(0, len(text)), max_size=40))
    return text, [text[a:b] for a, b in pairwise([0, *sorted(cuts), len(text)])]


async def whole(rules: ChainRules, text: str) -> CheckedText:
    checked = await check_texts(rules, [Text(Role.ASSISTANT, text)], UNKNOWN, lambda: None)
    return checked.texts[0]


@given(cut_texts())
@settings(max_examples=300, deadline=None)
def test_a_stream_says_what_a_check_of_the_whole_says(cut: tuple[str, list[str]]) -> None:
    text, chunks = cut

    async def compare() -> None:
        checked = await whole(rules(), text)
        sent = await streamed(opened(rules(), HOLD_BACK), chunks)
        assert sent.text == (text if checked.replacement is None else checked.replacement)
        assert sent.findings == summary(checked.said)

    asyncio.run(compare())


@given(cut_texts())
@settings(max_examples=200, deadline=None)
def test_what_goes_early_is_the_beginning_and_holds_nothing_back_too_little(
    cut: tuple[str, list[str]],
) -> None:
    text, chunks = cut

    async def watch() -> None:
        checked = await whole(rules(), text)
        found = {one.finding for one in checked.said if one.action is Action.REDACT}
        stream = opened(rules(), HOLD_BACK)
        sent = await streamed(stream, chunks)
        at = ""
        for came, part in sent.parts[:-1]:
            at += part
            # Whatever had come could have been the beginning of something else.
            limit = came - HOLD_BACK
            assert limit >= 0 or not at
            spans = [
                Span(one.start, one.end, one.category, 0.9, style(one))
                for one in found
                if one.end <= limit
            ]
            assert redact(text[: max(limit, 0)], spans, b"k" * 16).startswith(at)

    asyncio.run(watch())


def style(finding: Finding) -> Redaction:
    return Redaction.HASH if finding.category == "test.number" else Redaction.MASK


@given(cut_texts())
@settings(max_examples=200, deadline=None)
def test_a_denial_ends_the_release_before_what_was_denied(cut: tuple[str, list[str]]) -> None:
    text, chunks = cut
    blocking = (
        "rules: [{id: secrets, plugin: x, action: redact}, {id: blocks, plugin: x, action: block}]"
    )

    async def compare() -> None:
        checked = await whole(rules(blocking), text)
        stream = opened(rules(blocking), HOLD_BACK)
        sent = await streamed(stream, chunks)
        denied = [one for one in checked.said if one.verdict is Verdict.DENY]
        assert stream.denied == bool(denied)
        if denied:
            first = min(one.finding.start for one in denied)
            before = (await whole(rules(blocking), text[:first])).replacement
            assert sent.text == (text[:first] if before is None else before)
            assert stream.verdict() == (Verdict.DENY, Action.BLOCK)

    asyncio.run(compare())


@pytest.mark.parametrize("size", [1, 3, 50, 5_000, 100_000])
async def test_work_grows_with_the_text_and_not_with_its_square(size: int) -> None:
    finder = Expression("sk-[a-z0-9]{1,12}", "test.secret")
    one = ChainRules("rules: [{id: a, plugin: x, action: redact}]", a=finder)
    text = "some words and sk-abc123 " * 4_000
    sent = await streamed(opened(one, 128), chunked(text, size))
    assert sent.text == text.replace("sk-abc123", "[SECRET]")
    assert finder.characters <= len(text) * (GROWTH + 1)
    assert finder.calls <= len(text) // 64 + 2


@pytest.mark.parametrize("text", ["a" * 200_000, "-----BEGIN KEY-----" + "A\n" * 100_000])
async def test_held_text_is_bounded_in_room_and_work(text: str) -> None:
    finder = Expression("-----BEGIN KEY-----[A-Z\n]*", "test.key")
    one = ChainRules("rules: [{id: a, plugin: x, action: redact}]", a=finder)
    stream = opened(one, 128)
    sent = await streamed(stream, chunked(text, 7))
    assert finder.characters <= len(text) * (GROWTH + 1)
    gone, most = 0, 0
    for came, part in sent.parts[:-1]:
        most = max(most, came - gone)
        gone += len(part)
    if not sent.said:
        assert sent.text == text
        assert MAX_HELD / 2 < most < MAX_HELD * 2


@pytest.mark.parametrize("size", [1, 10, 1_000])
@pytest.mark.parametrize("length", [100, 3_000, 12_000])
async def test_a_block_that_goes_on_is_held_from_its_beginning(size: int, length: int) -> None:
    block = "-----BEGIN KEY-----\n" + "ABCD\n" * (length // 5) + "-----END KEY-----"
    text = f"{'before ' * 50}{block}{' after' * 50}"
    one = rules("rules: [{id: keys, plugin: x, action: redact}]")
    sent = await streamed(opened(one, 128), chunked(text, size))
    assert sent.text == text.replace(block, "[KEY]")
    assert sent.findings == [(350, 350 + len(block), "test.key", "keys")]


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
async def test_a_rule_that_flags_everything_delays_nothing(mode: str) -> None:
    finder = Expression("(?s).+", "test.all")
    one = ChainRules(f"rules: [{{id: a, plugin: x, action: flag, mode: {mode}}}]", a=finder)
    text = "some words of an answer " * 1_000
    sent = await streamed(opened(one, 128), chunked(text, 4))
    gone = 0
    for came, part in sent.parts:
        assert came - gone < 128 * 4
        gone += len(part)
    assert sent.text == text
    assert len(sent.said) == 1


async def test_each_finding_is_counted_once() -> None:
    one = rules()
    sent = await streamed(opened(one), chunked("an sk-abc and " * 100, 5))
    assert len(sent.said) == 200
    assert one.counted.count(("secrets", Action.REDACT, False)) == 100
    assert one.counted.count(("watch", Action.BLOCK, True)) == 100


async def test_nothing_comes_of_nothing() -> None:
    stream = opened(rules())
    sent = await streamed(stream, ["", ""])
    assert (sent.text, sent.said, stream.complete) == ("", [], True)
    assert stream.verdict() == (Verdict.ALLOW, None)
    assert [report.rule for report in stream.reports] == ["secrets", "numbers", "words", "watch"]


class Broken:
    """Cannot judge a text with a certain word in it."""

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        if any("poison" in text.value for text in texts):
            raise ValueError(texts[0].value)
        return [[] for _ in texts]

    async def aclose(self) -> None:
        return None


async def test_what_nobody_could_judge_is_withheld_and_ends_the_release() -> None:
    one = ChainRules("rules: [{id: a, plugin: x, action: redact}]", a=Broken())
    stream = opened(one)
    text = "good words " * 20 + "poison " + "more words " * 20
    sent = await streamed(stream, chunked(text, 10))
    assert stream.denied
    assert not stream.complete
    assert text.startswith(sent.text)
    assert len(sent.text) >= 100
    [said] = sent.said
    assert (said.finding.category, said.finding.start) == ("chain.withheld", len(sent.text))
    assert [report.failure for report in stream.reports] == [Failure.ERROR]


async def test_a_rule_that_allows_what_it_cannot_judge_lets_it_go() -> None:
    one = ChainRules("rules: [{id: a, plugin: x, action: block}]", a=Broken())
    stream = opened(one)
    text = "good words " * 20 + "poison " + "more words " * 20
    assert (await streamed(stream, chunked(text, 10))).text == text
    assert not stream.complete
    assert not stream.denied


async def test_only_the_rules_that_are_wanted_are_asked() -> None:
    stream = opened(rules(), inquiry=Inquiry(Context(), frozenset({"words"})))
    sent = await streamed(stream, ["now sk-abc"])
    assert sent.text == "now sk-abc"
    assert sent.findings == [(0, 3, "test.word", "words")]
    stream = opened(rules(), inquiry=Inquiry(Context(), frozenset({"words", "gone"})))
    with pytest.raises(InvalidArgument) as raised:
        await stream.finish()
    assert raised.value.field == "rules"
    assert "gone" not in str(raised.value)


def chunked(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]
