"""Spans for tests."""

import random
import time
from collections.abc import Iterator

from bartizan.v1 import common_pb2


def make_span(
    rng: random.Random, *, start_ns: int | None = None, **fields: object
) -> common_pb2.Span:
    """Returns a small valid span with random ids."""
    start = time.time_ns() - 1_000_000_000 if start_ns is None else start_ns
    span = common_pb2.Span(
        trace_id=f"{rng.getrandbits(128) or 1:032x}",
        span_id=f"{rng.getrandbits(64) or 1:016x}",
        name="chat gpt-4o",
        kind=common_pb2.SPAN_KIND_LLM,
        agent="support-bot",
        model="gpt-4o",
    )
    span.start_time.FromNanoseconds(start)
    span.end_time.FromNanoseconds(start + 250_000_000)
    span.input.add(role=common_pb2.ROLE_USER, content="Where is my order?")
    span.output.add(role=common_pb2.ROLE_ASSISTANT, content="It is on its way.")
    span.MergeFrom(common_pb2.Span(**fields))  # type: ignore[arg-type]
    return span


def make_batches(rng: random.Random, spans: int) -> Iterator[list[common_pb2.Span]]:
    """Yields batches of `spans` spans each, five spans a trace, for ever."""
    while True:
        batch: list[common_pb2.Span] = []
        while len(batch) < spans:
            root = make_span(rng)
            batch.append(root)
            batch.extend(
                make_span(rng, trace_id=root.trace_id, parent_span_id=root.span_id)
                for _ in range(4)
            )
        yield batch[:spans]
