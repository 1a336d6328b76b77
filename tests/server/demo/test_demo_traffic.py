"""The same seed makes the same traffic, and every span of it is one that the server takes."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from random import Random

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.fake_ingest import KEY, STOP_S, FakeIngest

from bartizan.client import Bartizan
from bartizan.server.demo import incidents
from bartizan.server.demo.player import NANOS, Clock, Player
from bartizan.server.demo.prices import MODELS, Usage, cost_usd
from bartizan.server.demo.script import Turn
from bartizan.server.demo.traffic import OPENING, all_scenarios, turns
from bartizan.server.ingest.native import NativeConverter
from bartizan.v1 import common_pb2, trace_pb2_grpc

SEEDS = st.integers(min_value=0, max_value=2**32)
NOW_NS = 1_790_000_000 * NANOS


@pytest.fixture(scope="module")
def far_side() -> Iterator[tuple[FakeIngest, str]]:
    """An ingest service, and where it is."""
    ingest = FakeIngest()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    trace_pb2_grpc.add_IngestServiceServicer_to_server(ingest, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield ingest, f"127.0.0.1:{port}"
    server.stop(STOP_S).wait()


async def _at_once(_: float) -> None:
    await asyncio.sleep(0)


def act_out(script: list[Turn], ingest: FakeIngest, endpoint: str) -> list[common_pb2.Span]:
    """Returns the spans that arrive when turns are acted out side by side, in a moment."""
    ingest.spans.clear()
    clock = Clock(lambda: NOW_NS)
    with Bartizan(KEY, endpoint, source=clock.source) as bz:
        player = Player(bz, clock, _at_once)

        async def act() -> None:
            # The far side takes spans and no feedback.
            silent = [replace(turn, opinion=None) for turn in script]
            await asyncio.gather(*map(player.play, silent))

        asyncio.run(act())
    return list(ingest.spans.values())


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_the_same_seed_makes_the_same_traffic(seed: int) -> None:
    assert list(islice(turns(seed), 150)) == list(islice(turns(seed), 150))


def test_another_seed_makes_other_traffic() -> None:
    assert list(islice(turns(1), 20)) != list(islice(turns(2), 20))


def test_what_a_conversation_says_does_not_depend_on_when_it_goes_on() -> None:
    sooner = {turn.session_id: turn for turn in islice(turns(5), 30)}
    later = [turn for turn in islice(turns(5), 600) if turn.session_id in sooner]
    assert len(later) > len(sooner)
    assert sooner.items() <= {turn.session_id: turn for turn in reversed(later)}.items()


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_the_server_takes_every_span(far_side: tuple[FakeIngest, str], seed: int) -> None:
    script = [turn for scenario in all_scenarios() for turn in scenario(Random(seed))]
    script = Random(seed).sample([turn for turn in script if turn.root.length_s < 60], 6)
    spans = act_out(script, *far_side)
    assert len(spans) == sum(1 for turn in script for _ in turn.root.walk())
    converter = NativeConverter()
    for span in spans:
        converter.record(span, NOW_NS)


@given(SEEDS)
@settings(max_examples=5, deadline=None)
def test_times_are_believable(far_side: tuple[FakeIngest, str], seed: int) -> None:
    (turn,) = islice((turn for turn in turns(seed) if 2 < turn.root.length_s < 30), 1)
    spans = {span.span_id: span for span in act_out([turn], *far_side)}
    for span in spans.values():
        start, end = span.start_time.ToNanoseconds(), span.end_time.ToNanoseconds()
        assert 0 <= span.time_to_first_token_ns <= end - start
        if span.parent_span_id:
            parent = spans[span.parent_span_id]
            assert parent.start_time.ToNanoseconds() <= start
            # Each step is rounded to the nanosecond by itself.
            assert end <= parent.end_time.ToNanoseconds() + len(spans)
        else:
            length_s = (end - start) / NANOS
            assert length_s == pytest.approx(turn.root.length_s, abs=1e-6)


def test_a_span_carries_what_a_real_one_would(far_side: tuple[FakeIngest, str]) -> None:
    (turn,) = islice(OPENING[0](Random(3)), 1)
    spans = act_out([turn], *far_side)
    (root,) = (span for span in spans if not span.parent_span_id)
    assert (root.agent, root.session_id, root.user_id) == (
        turn.agent, turn.session_id, turn.user_id,
    )  # fmt: skip
    assert root.input[0].content == turn.root.inputs[0].text
    (chat, *_) = (span for span in spans if span.kind == common_pb2.SPAN_KIND_LLM)
    assert chat.cost.amount > 0
    assert chat.usage.input > 0
    assert chat.input[0].role == common_pb2.ROLE_SYSTEM
    (tool, *_) = (span for span in spans if span.kind == common_pb2.SPAN_KIND_TOOL)
    assert tool.tool_name == "find_order"
    assert tool.output[0].role == common_pb2.ROLE_TOOL_RESULT


def test_all_agents_and_all_that_goes_wrong_come_soon() -> None:
    first = list(islice(turns(11), len(OPENING)))
    agents = Counter(turn.agent for turn in first)
    assert set(agents) == {"support-bot", "coding-agent", "research-agent", "sales-assistant"}
    errors = {step.error for turn in first for step in turn.root.walk()}
    assert {"LoopLimit", "rate_limit", "timeout", "ValidationError"} <= errors


def test_the_runaway_calls_one_tool_until_its_cap() -> None:
    (turn,) = incidents.runaway(Random(1))
    calls = Counter(step.tool for step in turn.root.walk() if step.tool)
    assert calls == {"run_tests": incidents.MOST_CALLS}
    assert turn.root.error == "LoopLimit"


def test_texts_vary() -> None:
    questions = Counter(turn.root.inputs[0].text for turn in islice(turns(4), 1_000))
    assert len(questions) > 330
    assert len(all_scenarios()) >= 15


@given(st.sampled_from(MODELS), st.integers(0, 10**7), st.integers(0, 10**6), st.data())
def test_what_came_from_a_cache_is_never_dearer(
    model: object, read: int, written: int, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, read))
    full = cost_usd(model, Usage(read, written))  # type: ignore[arg-type]
    cheap = cost_usd(model, Usage(read, written, cache_read=cached))  # type: ignore[arg-type]
    assert 0 <= cheap <= full * (1 + 1e-9)


def test_a_cost_is_what_the_price_list_says() -> None:
    sonnet = next(model for model in MODELS if model.name == "claude-sonnet-4")
    assert cost_usd(sonnet, Usage(1_000_000, 100_000, cache_read=500_000)) == pytest.approx(
        1.5 + 0.15 + 1.5
    )


def test_real_time_is_told_outside_of_turns() -> None:
    clock = Clock(time.time_ns)
    assert abs(clock.now_ns() - time.time_ns()) < NANOS
