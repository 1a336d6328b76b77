"""The queue in memory keeps its bounds, its order and its counts, whatever happens to it."""

import threading

from hypothesis import given
from hypothesis import strategies as st

from bartizan.client._delivery.buffer import Buffer, Item
from bartizan.client._record import SPAN

PUT = st.tuples(st.just("put"), st.integers(1, 5), st.integers(0, 40))
TAKE = st.tuples(st.just("take"), st.integers(1, 8), st.integers(1, 60))
SETTLE = st.tuples(st.just("settle"), st.integers(0, 9), st.just(0))


@given(st.lists(PUT | TAKE | SETTLE, max_size=80), st.booleans())
def test_bounds_hold_and_every_span_is_accounted_for(
    steps: list[tuple[str, int, int]], drop_oldest: bool
) -> None:
    buffer = Buffer(threading.Condition(), 12, 100, drop_oldest=drop_oldest)
    offered = lost = settled = 0
    out: list[Item] = []
    keys: list[int] = []
    for step, spans, size in steps:
        if step == "put":
            offered += spans
            lost += buffer.put(SPAN, spans, size, None)
        elif step == "take":
            taken = buffer.take(spans, size)
            out += taken
            keys += [item.key for item in taken]
        else:
            done, out = out[:spans], out[spans:]
            settled += sum(item.spans for item in done)
            buffer.settle(done)
        assert buffer.tally.spans <= 12
        assert buffer.tally.bytes <= 100
        assert offered == lost + settled + buffer.tally.spans
    assert keys == sorted(set(keys))


@given(st.integers(0, 20), st.integers(0, 20), st.booleans())
def test_a_barrier_falls_when_what_was_there_is_settled(
    before: int, after: int, drop_oldest: bool
) -> None:
    buffer = Buffer(threading.Condition(), 30, 10_000, drop_oldest=drop_oldest)
    for _ in range(before):
        buffer.put(SPAN, 1, 1, None)
    barrier = buffer.barrier()
    for _ in range(after):
        buffer.put(SPAN, 1, 1, None)
    for left in range(before, 0, -1):
        assert barrier.left <= left
        buffer.settle(buffer.take(1, 1))
    assert barrier.left <= 0


def test_drops_the_newest_or_the_oldest() -> None:
    for drop_oldest, kept in ((False, [0, 1, 2]), (True, [2, 3, 4])):
        buffer = Buffer(threading.Condition(), 3, 1_000, drop_oldest=drop_oldest)
        assert sum(buffer.put(SPAN, 1, 1, number) for number in range(5)) == 2
        assert [item.content for item in buffer.take(9, 9)] == kept


def test_what_never_fits_costs_nothing_else() -> None:
    buffer = Buffer(threading.Condition(), 3, 1_000, drop_oldest=True)
    buffer.put(SPAN, 1, 1, None)
    assert buffer.put(SPAN, 4, 1, None) == 4
    assert buffer.put(SPAN, 1, 1_001, None) == 1
    assert buffer.tally.items == 1


def test_what_is_on_its_way_is_not_dropped_but_counts() -> None:
    buffer = Buffer(threading.Condition(), 3, 1_000, drop_oldest=True)
    for number in range(3):
        buffer.put(SPAN, 1, 1, number)
    out = buffer.take(3, 3)
    assert buffer.put(SPAN, 1, 1, 3) == 1
    buffer.settle(out[:1])
    assert buffer.put(SPAN, 1, 1, 4) == 0
    assert buffer.clear() == 3
    assert buffer.tally.items == 0
