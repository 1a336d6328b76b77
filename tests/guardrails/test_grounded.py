import asyncio
import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, grows_with_the_text, refused

from bartizan.guardrails.grounded.claims import claims
from bartizan.guardrails.grounded.config import GroundedConfig, Kind
from bartizan.guardrails.grounded.guardrail import MAX_FINDINGS, Grounded
from bartizan.guardrails.grounded.numbers import NUMBER, Numbers, quantities, values
from bartizan.plugins.contract import Finding, Guardrail, Role, Text, ToolUse
from bartizan.plugins.runner import checked
from bartizan.plugins.testing import GuardrailConformance

ORDER = json.dumps(
    {
        "order": "ORD-48812", "total": 1234.5, "rate": 0.125, "items": [100, 200, 300],
        "shipped": "2024-03-05T10:30:00Z", "first_name": "Ada", "last_name": "Byron",
        "link": "https://acme.example/track/48812?full=1", "population": 1_234_567,
    }
)  # fmt: skip
TRACE = "a" * 32


def grounded(**config: object) -> Grounded:
    return Grounded(GroundedConfig.model_validate(config))


def found(guardrail: Grounded, *texts: Text) -> list[list[Finding]]:
    results = asyncio.run(guardrail.check(texts))
    checked(texts, results)
    return [list(one) for one in results]


def cut(answer: str, source: str = ORDER, **config: object) -> list[tuple[str, str]]:
    texts = (
        Text(Role.USER, "What about my order?", None, 1),
        Text(Role.TOOL_RESULT, source, ToolUse("orders", "1", TRACE), 1),
        Text(Role.ASSISTANT, answer, None, 1),
    )
    others, [findings] = (results := found(grounded(**config), *texts))[:2], results[2:]
    assert others == [[], []]
    return sorted(
        (one.category.removeprefix("grounded."), answer[one.start : one.end]) for one in findings
    )


class TestGrounded(GuardrailConformance):
    def make(self) -> Guardrail:
        return grounded()


@pytest.mark.parametrize(
    "answer",
    [
        "Your order ORD-48812 is on its way to Ada Byron.",
        "It came to $1,234.50, that is 1234.5 dollars, or 1.234,50 €, about 1,235.",
        "The rate is 12.5%, roughly 13 percent, or 0.13.",
        "It was shipped on March 5, 2024, on 5 March 2024, 2024-03-05, 05/03/2024, 3/5/2024.",
        "It left at 10:30 am on March 5th, in March 2024, so 2024.",
        "See https://acme.example/track/48812?full=1, or www.acme.example.",
        "About 1.2 million, 1,235k or 1,234,567 people.",
        "There are 3 parcels:\n1. one\n2. two\n12. and another",
        "Byron, Ada ordered it. Ada Byron's parcel. ADA BYRON.",
        "## Order Summary\n**Delivery Status:** sent\nNext Steps\n- Please Wait",
        "The REST API says so. Thank You Very Much.",
        "We have items 100, 200 and 300, or 100,200,300.",
        "",
    ],
)
def test_what_stands_in_the_sources(answer: str) -> None:
    assert cut(answer) == []


@pytest.mark.parametrize(
    ("answer", "invented"),
    [
        ("It came to $1,243.50.", [("number", "1,243.50")]),
        ("The rate is 12.6%.", [("number", "12.6%")]),
        ("A fee of $7 is due.", [("number", "7")]),
        ("That is 1.3 million.", [("number", "1.3 million")]),
        ("Shipped on March 6, 2024.", [("date", "March 6, 2024")]),
        ("Shipped 2023-03-05.", [("date", "2023-03-05")]),
        ("It left at 10:45.", [("date", "10:45")]),
        ("It goes to Ada Lovelace.", [("name", "Ada Lovelace")]),
        ("Ask for Dr. John Smith there.", [("name", "Dr. John Smith")]),
        ("See https://acme.example/track/4881.", [("url", "https://acme.example/track/4881")]),
        ("See [it](https://evil.example/x).", [("url", "https://evil.example/x")]),
        ("Your order is ORD-48813.", [("identifier", "ORD-48813")]),
        ("Write to help@acme.example.", [("identifier", "help@acme.example")]),
        ("Use version 3.11.4.", [("identifier", "3.11.4")]),
    ],
)  # fmt: skip
def test_what_does_not(answer: str, invented: list[tuple[str, str]]) -> None:
    assert cut(answer) == invented


def test_codes_and_scores_tell_the_kind() -> None:
    texts = [Text(Role.RETRIEVED, "x", None, 1), Text(Role.ASSISTANT, "99 km", None, 1)]
    _, [finding] = found(grounded(), *texts)
    assert (finding.category, finding.code) == ("grounded.number", "NUMBER_NOT_IN_SOURCES")
    assert 0 < finding.score < 1


def test_numbers_may_differ_by_a_share_when_that_is_wished() -> None:
    answer = "It came to 1,200 in all."
    assert cut(answer) == [("number", "1,200")]
    assert cut(answer, tolerance=0.03) == []


def test_small_whole_numbers_count_things() -> None:
    assert cut("There are 12 of them.") == [("number", "12")]
    assert cut("There are 12 of them.", ignore_up_to=12) == []
    assert cut("There are 12.5 of them.", ignore_up_to=12) == [("number", "12.5")]


def test_only_the_kinds_that_are_wished() -> None:
    answer = "John Smith owes 99 dollars."
    assert cut(answer, kinds=["name"]) == [("name", "John Smith")]
    assert cut(answer, kinds=["number"]) == [("number", "99")]


def answer(value: str, group: int = 1) -> Text:
    return Text(Role.ASSISTANT, value, None, group)


def test_without_sources_nothing_is_found() -> None:
    guardrail = grounded()
    assert found(guardrail, Text(Role.USER, "hi", None, 1), answer("It is 99.")) == [[], []]
    result = Text(Role.TOOL_RESULT, "", None, 1)
    assert found(guardrail, result, answer("It is 99.")) == [[], []]
    # Of texts whose group is not told nothing is known.
    assert found(guardrail, Text(Role.RETRIEVED, "x"), answer("It is 99.", 0)) == [[], []]


def test_what_users_say_may_be_repeated() -> None:
    texts = [
        Text(Role.SYSTEM, "Fees are 77.", None, 1), Text(Role.USER, "Is it 99?", None, 1),
        Text(Role.RETRIEVED, "Nothing.", None, 1), answer("It is 99, and 77."),
    ]  # fmt: skip
    assert found(grounded(), *texts)[3] == []
    assert len(found(grounded(also=[]), *texts)[3]) == 2


def test_groups_are_told_apart() -> None:
    texts = [
        Text(Role.RETRIEVED, "It costs 99.", None, 1), answer("It costs 99.", 1),
        Text(Role.RETRIEVED, "It costs 55.", None, 2), answer("It costs 99.", 2),
    ]  # fmt: skip
    assert [len(one) for one in found(grounded(), *texts)] == [0, 0, 0, 1]


def test_groups_of_one_trace_belong_together_where_tools_tell_it() -> None:
    use = ToolUse("search", "1", TRACE)
    texts = [
        Text(Role.TOOL_RESULT, "It costs 99.", use, 1),
        Text(Role.TOOL_CALL, "{}", use, 2), answer("It costs 99, or 44.", 2),
    ]  # fmt: skip
    assert [len(one) for one in found(grounded(), *texts)] == [0, 0, 1]


def test_the_answer_is_what_is_said_last() -> None:
    texts = [
        answer("Earlier I said 77."), Text(Role.TOOL_RESULT, "It is 99.", None, 1),
        answer("It is 88."), Text(Role.METADATA, "label"), answer("Or 66."),
    ]  # fmt: skip
    assert [len(one) for one in found(grounded(), *texts)] == [0, 0, 1, 0, 1]


def test_one_that_invents_everything_is_bounded() -> None:
    many = " ".join(str(number) for number in range(1_000, 3_000, 3))
    texts = [Text(Role.RETRIEVED, "x", None, 1), answer(many)]
    assert len(found(grounded(), *texts)[1]) == MAX_FINDINGS


amounts = st.decimals(0, 10**9, places=2)


@settings(max_examples=300, deadline=None)
@given(amounts, st.sampled_from(["{}", "{:,}", "${:,.2f}", "{:.1f}", "{:.0f}", "{:,.0f} EUR"]))
def test_a_number_is_held_however_it_is_written(amount: float, form: str) -> None:
    known = Numbers(values(f'{{"total": {amount}}}'))
    match = NUMBER.search(form.format(amount))
    assert match is not None
    assert any(known.hold(one, 0) for one in quantities(match))


@settings(max_examples=200, deadline=None)
@given(st.integers(1_000, 10**9), st.integers(1_000, 10**9))
def test_other_numbers_are_not(known: int, said: int) -> None:
    match = NUMBER.search(f"{said:,}")
    assert match is not None
    assert any(Numbers([known]).hold(one, 0) for one in quantities(match)) == (known == said)


@settings(max_examples=300, deadline=None)
@given(anything | st.text("1,.-/: %AaBb@h\n", max_size=60))
def test_claims_stand_in_the_text_and_apart(text: str) -> None:
    spans = sorted((claim.start, claim.end) for claim in claims(text, 10))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


@settings(max_examples=200, deadline=None)
@given(anything, anything)
def test_any_text_is_borne(source: str, said: str) -> None:
    texts = [Text(Role.RETRIEVED, source, None, 1), answer(said)]
    found(grounded(), *texts)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["Ada", "Byron", "paid", "$1,234.50", "on", "5", "March", "2024", "x9y8z", "www.a.b/c"]
        )
    )
)
def test_what_is_quoted_is_grounded(parts: Sequence[str]) -> None:
    said = " ".join(parts)
    assert cut(said, source=f"{said} indeed") == []


@pytest.mark.parametrize(
    "piece",
    [
        "1", "1,", "1.1", "1,111", "a-", "a1-", "a@", "Aa ", "A. ", "https://", "12:", "5 May ",
        "_", "9%",
    ],
)  # fmt: skip
def test_the_time_grows_with_the_text_and_not_faster(piece: str) -> None:
    guardrail = grounded()

    def look(text: str) -> object:
        return found(guardrail, Text(Role.RETRIEVED, text[::-1], None, 1), answer(text))

    assert grows_with_the_text(look, piece)


def test_what_is_refused() -> None:
    assert "no ground for what it says" in refused(GroundedConfig, sources=["assistant"])
    assert "'kinds[0]'" in refused(GroundedConfig, kinds=["words"])
    assert set(Kind) == {"number", "date", "name", "url", "identifier"}
