"""Batches keep within their bounds, and their bytes are what the server reads."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.delivering import Note

from bartizan.client._delivery.batch import Batch, encode, framed, outcome, pack
from bartizan.client._delivery.buffer import Buffer, Item
from bartizan.client._delivery.stats import Outcome
from bartizan.client._record import FEEDBACK, OTLP, SPAN
from bartizan.v1 import common_pb2, trace_pb2

ITEMS = st.lists(
    st.tuples(st.sampled_from([SPAN, OTLP, FEEDBACK]), st.integers(1, 9), st.binary(max_size=300)),
    max_size=60,
)
SOURCE = Buffer.__new__(Buffer)


def items(told: list[tuple[int, int, bytes]]) -> list[Item]:
    return [Item(key, kind, spans, len(body), body) for key, (kind, spans, body) in enumerate(told)]


@given(ITEMS, st.integers(1, 20), st.integers(1, 1_000))
def test_batches_are_of_one_kind_in_order_and_within_bounds(
    told: list[tuple[int, int, bytes]], max_spans: int, max_bytes: int
) -> None:
    made = pack(SOURCE, items(told), max_spans, max_bytes)
    for batch in made:
        assert {item.kind for item in batch.items} == {batch.kind}
        assert batch.spans <= max_spans or len(batch.items) == 1
        assert sum(item.size for item in batch.items) <= max_bytes or len(batch.items) == 1
    for kind in (SPAN, OTLP, FEEDBACK):
        keys = [item.key for batch in made if batch.kind == kind for item in batch.items]
        assert keys == [key for key, one in enumerate(told) if one[0] == kind]


@given(st.lists(st.builds(common_pb2.Span, name=st.text(max_size=400)), max_size=20))
def test_a_frame_is_read_as_a_repeated_field(spans: list[common_pb2.Span]) -> None:
    bodies = [span.SerializeToString() for span in spans]
    assert list(trace_pb2.SpanBatch.FromString(framed(2, bodies)).spans) == spans
    assert framed(1, bodies) == trace_pb2.ExportTracesRequest(spans=spans).SerializeToString()


@given(st.lists(st.binary(max_size=9), min_size=2, max_size=20))
def test_halves_are_the_whole(bodies: list[bytes]) -> None:
    batch = Batch(SPAN, SOURCE, items([(SPAN, 1, body) for body in bodies]))
    first, second = batch.halves()
    assert first.items + second.items == batch.items
    assert first.items
    assert second.items


@given(st.sampled_from([SPAN, OTLP, FEEDBACK]), st.binary(max_size=40))
def test_an_answer_is_read_or_refused(kind: int, answer: bytes) -> None:
    with suppress(ValueError):
        assert outcome(kind, answer).rejected >= 0 or kind != OTLP


def test_reads_what_otlp_rejected() -> None:
    # partial_success { rejected_spans: 300, error_message: "no" }
    answer = b"\x0a\x07\x08\xac\x02\x12\x02no"
    assert outcome(OTLP, answer) == Outcome(rejected=300)
    assert outcome(OTLP, b"") == Outcome()
    with pytest.raises(ValueError):
        outcome(OTLP, b"\xff")


def test_what_is_too_large_for_any_server_is_told_apart() -> None:
    class Huge(Note):
        def encode(self) -> bytes:
            return bytes(61 * 1024 * 1024)

    good, bad = encode([Item(1, SPAN, 1, 9, Huge(1)), Item(2, SPAN, 1, 9, Note(2))])
    assert [item.key for item in good] == [2]
    assert [item.key for item in bad["too_large"]] == [1]
