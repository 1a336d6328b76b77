import asyncio
import json
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails.asked import anything, refused

from bartizan.guardrails.loop import Loop, LoopConfig
from bartizan.guardrails.loop_calls import MAX_CALLS_OF_A_TRACE, Calls, Traces, fingerprint
from bartizan.plugins.contract import Guardrail, Role, Text, ToolUse
from bartizan.plugins.runner import checked
from bartizan.plugins.testing import GuardrailConformance

TRACE, OTHER = "a" * 32, "b" * 32
SAME = '{"q": "x"}'


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def loop(clock: Clock | None = None, **config: object) -> Loop:
    return Loop(LoopConfig.model_validate(config), clock or Clock())


def call(
    id: str = "", arguments: str = SAME, tool: str = "search", trace: str = TRACE, group: int = 0
) -> Text:
    return Text(Role.TOOL_CALL, arguments, ToolUse(tool, id, trace), group)


def told(guardrail: Loop, *texts: Text) -> list[list[str]]:
    results = asyncio.run(guardrail.check(texts))
    checked(texts, results)
    return [[finding.code for finding in found] for found in results]


def where(guardrail: Loop, *texts: Text) -> list[int]:
    return [place for place, codes in enumerate(told(guardrail, *texts)) if codes]


class TestLoop(GuardrailConformance):
    def make(self) -> Guardrail:
        return loop()


def test_the_call_that_reaches_the_limit_is_found_whole() -> None:
    guardrail = loop(limit=3)
    assert told(guardrail, call("1"), call("2")) == [[], []]
    [[found]] = asyncio.run(guardrail.check([call("3")]))
    assert (found.category, found.code) == ("loop.repeated", "CALL_REPEATED")
    assert (found.start, found.end, found.score) == (0, len(SAME), 1.0)
    assert told(guardrail, call("4")) == [["CALL_REPEATED"]]


def test_a_history_repeats_calls_and_they_do_not_count_again() -> None:
    guardrail = loop(limit=3)
    for _ in range(10):
        assert where(guardrail, call("1"), call("2")) == []
    assert where(guardrail, call("1"), call("2"), call("3"), call("1")) == [2]
    # And the same answer about the same call, whenever it is asked about.
    assert where(guardrail, call("1"), call("2"), call("3")) == [2]


def test_traces_are_counted_apart() -> None:
    guardrail = loop(limit=2)
    assert where(guardrail, call("1"), call("2", trace=OTHER)) == []
    assert where(guardrail, call("3", trace=OTHER)) == [0]


def test_it_is_the_same_call_however_its_json_is_written() -> None:
    guardrail = loop(limit=2)
    assert where(guardrail, call("1", '{"a": 1, "b": [2]}'), call("2", '{"b":[2],"a":1}')) == [1]
    assert where(loop(limit=2), call("1", " not json "), call("2", "not json")) == [1]


@pytest.mark.parametrize(
    ("arguments", "tool"), [('{"q": "y"}', "search"), ('{"q": ["x"]}', "search"), (SAME, "fetch")]
)
def test_other_arguments_or_another_tool_are_another_call(arguments: str, tool: str) -> None:
    assert where(loop(limit=2), call("1"), call("2", arguments, tool)) == []


def test_two_calls_that_take_turns() -> None:
    guardrail = loop(limit=100, turns=2)
    other = '{"q": "y"}'
    turns = [call(str(n), other if n % 2 else SAME) for n in range(5)]
    assert told(guardrail, *turns)[2:] == [[], ["CALLS_ALTERNATE"], ["CALLS_ALTERNATE"]]
    assert told(guardrail, call("5", "{}"), call("6"), call("7", other), call("8")) == [[]] * 4


def test_without_ids_a_history_is_counted() -> None:
    guardrail = loop(limit=3)
    user = Text(Role.USER, "find it", None, 1)
    assert where(guardrail, user, call(group=1), call(group=1)) == []
    assert where(guardrail, user, call(group=1), call(group=1)) == []
    assert where(guardrail, user, *[call(group=1)] * 3) == [3]


def test_without_ids_histories_are_not_added_up_but_the_spans_of_tools_are() -> None:
    histories = [
        text for group in (1, 2) for text in (Text(Role.USER, "q", None, group), call(group=group))
    ]
    assert where(loop(limit=2), *histories) == []
    assert where(loop(limit=2), call(group=1), call(group=2)) == [1]
    assert where(loop(limit=2), call(group=1), call(group=2, trace=OTHER)) == []


def test_without_a_trace_nothing_is_remembered() -> None:
    guardrail = loop(limit=2)
    for _ in range(3):
        assert where(guardrail, call("1", trace=""), call("1", trace="")) == []
        assert where(guardrail, call("1", trace=""), call("2", trace="")) == [1]


def test_some_tools_are_called_again_for_good_reasons() -> None:
    guardrail = loop(limit=2, ignore=["get_*"])
    assert where(guardrail, *(call(str(n), tool="get_status") for n in range(9))) == []
    assert where(guardrail, *(call(str(n), tool="status") for n in range(2))) == [1]


def test_only_calls_count() -> None:
    texts = [Text(role, SAME, ToolUse("t", "", TRACE)) for role in Role] * 3
    assert {texts[place].role for place in where(loop(limit=2), *texts)} == {Role.TOOL_CALL}


def test_a_trace_without_calls_is_forgotten_in_time() -> None:
    clock = Clock()
    guardrail = loop(clock, limit=2, keep_seconds=60)
    told(guardrail, call("1"))
    clock.now = 59
    assert where(guardrail, call("1")) == []
    clock.now = 119
    told(guardrail, call("1", trace=OTHER))
    assert where(guardrail, call("2")) == [0]
    clock.now = 180
    told(guardrail, call("2", trace=OTHER))
    assert where(guardrail, call("3")) == []


def test_the_oldest_traces_make_room() -> None:
    traces = Traces(lambda: Calls(4), most_calls=10, keep_seconds=1e9, clock=Clock())
    for number in range(100):
        traces.add(f"trace {number}", b"call", "1")
    assert len(traces) == 10
    for number in range(100):
        traces.add("one", b"call", str(number))
    assert len(traces) == 1


def test_one_trace_is_bounded_and_goes_on_being_found() -> None:
    calls = Calls(4)
    for number in range(MAX_CALLS_OF_A_TRACE + 10):
        standing = calls.add(b"call", str(number))
    assert len(calls) == MAX_CALLS_OF_A_TRACE
    assert standing.times == MAX_CALLS_OF_A_TRACE + 10


def test_nothing_of_a_call_is_kept() -> None:
    guardrail = loop()
    told(guardrail, call("call-planted", '{"q": "planted"}', "planted-tool"))
    kept = vars(guardrail)["_traces"]
    inside = [vars(calls) for calls, _ in vars(kept)["_kept"].values()]
    assert inside
    assert "planted" not in repr(inside)


def test_long_arguments_are_read_in_a_thread() -> None:
    long = json.dumps({"q": "x" * 100_000})
    assert where(loop(limit=2), call("1", long), call("2", long)) == [1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(json_values, st.booleans(), st.sampled_from([None, 1]))
def test_a_fingerprint_is_of_what_is_said(value: object, ascii_only: bool, indent: int) -> None:
    plain = json.dumps(value)
    written = json.dumps(value, ensure_ascii=ascii_only, indent=indent, sort_keys=True)
    assert fingerprint("t", plain) == fingerprint("t", written)
    assert fingerprint("t", plain) != fingerprint("t", json.dumps([value]))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6)), max_size=30))
def test_counts_are_those_of_distinct_calls(made: Sequence[tuple[str, int]]) -> None:
    guardrail = loop(limit=3, turns=100)
    found = told(guardrail, *(call(str(id), f'"{what}"') for what, id in made))
    for place, (what, id) in enumerate(made):
        before = list(dict.fromkeys(number for name, number in made if name == what))
        assert bool(found[place]) == (before.index(id) >= 2)


@settings(max_examples=100, deadline=None)
@given(anything, anything, anything)
def test_any_text_is_borne(arguments: str, tool: str, id: str) -> None:
    told(loop(), call(id, arguments, tool), call(id, arguments, tool, trace=""))


def test_what_is_refused() -> None:
    assert "'limit'" in refused(LoopConfig, limit=1)
    assert "'ignore[0]'" in refused(LoopConfig, ignore=[""])
