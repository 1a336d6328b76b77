"""Sessions, traces through threads and processes, sampling."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.recording import Recording, attributes

from bartizan.client import Bartizan
from bartizan.client._record import Record
from bartizan.client._recording import context
from bartizan.client._recording.context import parse_traceparent
from bartizan.v1 import common_pb2

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    kept: list[Record] = []
    monkeypatch.setattr(
        "bartizan.client._delivery.delivery.Delivery.put", lambda _, one: kept.append(one)
    )
    return kept


@pytest.fixture
def bz(records: list[Record]) -> Iterator[Bartizan]:
    with Bartizan("key", "localhost:1") as client:
        yield client


def spans(records: list[Record]) -> list[common_pb2.Span]:
    return [common_pb2.Span.FromString(one.encode()) for one in records]


def test_a_session(bz: Bartizan, records: list[Record]) -> None:
    with bz.session("s-1", user="u-17", tags=["beta"], metadata={"plan": "pro"}) as session:
        with bz.span("outer"), bz.span("inner"):
            pass
        with bz.span("next"):
            pass
    with bz.span("outside"):
        pass
    assert session.id == "s-1"
    inner, outer, other, outside = spans(records)
    assert {(one.session_id, one.user_id) for one in (inner, outer, other)} == {("s-1", "u-17")}
    assert (outside.session_id, outside.user_id) == ("", "")
    assert (list(outer.tags), list(inner.tags), list(other.tags)) == (["beta"], [], ["beta"])
    assert attributes(outer) == {"metadata.plan": "pro"}
    assert not inner.attributes
    assert outer.trace_id != other.trace_id


def test_a_session_without_a_name_gets_one(bz: Bartizan, records: list[Record]) -> None:
    with bz.session() as first, bz.span("a"):
        pass
    with bz.session() as second, bz.span("b"):
        pass
    assert [one.session_id for one in spans(records)] == [first.id, second.id]
    assert first.id != second.id


def test_sessions_nest(bz: Bartizan, records: list[Record]) -> None:
    with bz.session("a", user="u-1"), bz.span("1", agent="bot"):
        with bz.session("b", tags=["x"]), bz.span("2"):
            pass
        with bz.span("3"):
            pass
    found = {one.name: one for one in spans(records)}
    assert [(found[name].session_id, found[name].user_id) for name in "123"] == [
        ("a", "u-1"), ("b", "u-1"), ("a", "u-1"),
    ]  # fmt: skip
    assert found["2"].agent == "bot"
    assert found["2"].trace_id == found["1"].trace_id
    assert list(found["2"].tags) == ["x"]


def test_what_runs_now(bz: Bartizan) -> None:
    assert (bz.current_span(), bz.current_trace_id()) == (None, "")
    with bz.span("a") as span:
        assert bz.current_span() is span
        assert bz.current_trace_id() == span.trace_id
    with bz.continue_trace(f"00-{TRACE}-{SPAN}-01"):
        assert (bz.current_span(), bz.current_trace_id()) == (None, TRACE)


def test_another_process_goes_on(bz: Bartizan, records: list[Record]) -> None:
    headers: dict[str, str] = {}
    bz.inject(headers)
    assert headers == {}
    with bz.span("caller") as caller:
        bz.inject(headers)
        assert headers == {"traceparent": caller.traceparent}
    raw = {b"x": 1, b"Traceparent": headers["traceparent"].encode()}
    with bz.continue_trace(raw), bz.span("called") as called:  # type: ignore[arg-type]
        assert (called.trace_id, called.parent_span_id) == (caller.trace_id, caller.span_id)
    assert len(records) == 2


def test_tracestate_is_handed_on(bz: Bartizan) -> None:
    carrier = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "vendor=1"}
    headers: dict[str, str] = {}
    with bz.continue_trace(carrier), bz.span("a"), bz.span("b"):
        bz.inject(headers)
    assert headers["tracestate"] == "vendor=1"


@pytest.mark.parametrize(
    "carrier",
    [
        "", "nonsense", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE}-{SPAN}-01-more", {}, {"traceparent": None},
    ],
)  # fmt: skip
def test_what_is_no_traceparent_begins_a_trace(bz: Bartizan, carrier: str) -> None:
    with bz.continue_trace(carrier), bz.span("a") as span:
        assert span.parent_span_id == ""


@given(st.text() | st.from_regex(r"\A[0-9a-fA-F]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,3}\Z"))
def test_parsing_never_fails(text: str) -> None:
    parsed = parse_traceparent(text)
    if parsed is not None:
        assert f"{parsed[0]}-{parsed[1]}" in text.strip().lower()


def test_a_later_version_is_read(bz: Bartizan) -> None:
    assert parse_traceparent(f" 01-{TRACE}-{SPAN}-03-more ") == (TRACE, SPAN, True)
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") == (TRACE, SPAN, False)


def test_threads_nest_when_they_are_told_to(bz: Bartizan, records: list[Record]) -> None:
    def work() -> None:
        with bz.span("work"):
            pass

    with bz.span("root"), ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(bz.in_context(work)) for _ in range(4)]:
            future.result()
        bare = threading.Thread(target=work)
        bare.start()
        bare.join()
    *inside, alone, root = spans(records)
    assert {one.parent_span_id for one in inside} == {root.span_id}
    assert alone.parent_span_id == ""


async def test_threads_of_asyncio_nest_by_themselves(bz: Bartizan, records: list[Record]) -> None:
    with bz.span("root"):
        await asyncio.to_thread(bz.span("work").end)
    work, root = spans(records)
    assert work.parent_span_id == root.span_id


def test_a_block_that_ends_in_another_context(bz: Bartizan, records: list[Record]) -> None:
    span = bz.span("a")
    threading.Thread(target=span.enter).start()
    span.__exit__(None, None, None)
    assert len(records) == 1


def test_sampling_is_the_same_everywhere() -> None:
    tenth, half = Recording(sample_rate=0.1), Recording(sample_rate=0.5)
    ids = [
        f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for number in range(9_999)
    ]
    taken = {one for one in ids if tenth.recorder.sampled(one)}
    assert 0.08 < len(taken) / len(ids) < 0.12
    assert taken <= {one for one in ids if half.recorder.sampled(one)}


def test_a_trace_is_sampled_as_a_whole(records: list[Record]) -> None:
    with Bartizan("key", "localhost:1", sample_rate=0) as bz:
        with bz.span("outer") as outer, bz.span("inner") as inner:
            inner.set_output("x")
        assert (outer.sampled, inner.sampled, records) == (False, False, [])
        assert outer.traceparent.endswith("-00")
        with bz.continue_trace(f"00-{TRACE}-{SPAN}-01"), bz.span("a"):
            pass
    assert len(records) == 1


def test_a_client_that_is_off(records: list[Record], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BARTIZAN_ENABLED", "false")
    with Bartizan("key", "localhost:1") as bz:
        with bz.continue_trace(f"00-{TRACE}-{SPAN}-01"), bz.span("a"):
            pass
        assert bz.feedback(TRACE, thumbs_up=True)
    assert records == []


def test_a_bridge_to_another_tracer(
    bz: Bartizan, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bridge:
        theirs: tuple[str, str, bool] | None = None

        def enter(self, trace_id: str, span_id: str, sampled: bool) -> object:
            before, self.theirs = self.theirs, (trace_id, span_id, sampled)
            return (before,)

        def exit(self, token: object) -> None:
            (self.theirs,) = token  # type: ignore[misc]

        def current(self) -> tuple[str, str, bool] | None:
            return self.theirs

    bridge = Bridge()
    monkeypatch.setattr(context, "bridge", bridge)
    with bz.span("ours", agent="bot") as ours:
        assert bridge.theirs == (ours.trace_id, ours.span_id, True)
        with bz.span("child") as child:
            assert child.parent_span_id == ours.span_id
        bridge.theirs = (ours.trace_id, SPAN, True)
        with bz.span("below theirs") as below:
            assert below.parent_span_id == SPAN
        bridge.theirs = (ours.trace_id, ours.span_id, True)
    assert bridge.theirs is None
    assert {one.agent for one in spans(records)} == {"bot"}
    bridge.theirs = (TRACE, SPAN, True)
    assert bz.span("root of ours").trace_id == TRACE
    assert bz.current_trace_id() == TRACE
