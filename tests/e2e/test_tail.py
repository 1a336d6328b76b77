"""A live tail shows what is committed, and one that is not read costs the server nothing."""

import random
from collections.abc import Iterator

import grpc
import psutil
import pytest
from tests.support.servers import bearer, unjudged
from tests.support.serving import Serving
from tests.support.spans import make_batches, make_span

from bartizan.client import Bartizan
from bartizan.v1 import trace_pb2, trace_pb2_grpc

TIMEOUT_S = 60
MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("tail")) as serving:
        yield serving


@pytest.fixture(scope="module")
def client(serving: Serving) -> Iterator[Bartizan]:
    with Bartizan(serving.key, serving.grpc) as client:
        yield client


def test_each_commit_is_seen_as_it_stands(client: Bartizan) -> None:
    rng = random.Random(1)
    root = make_span(rng)
    child = make_span(rng, trace_id=root.trace_id, parent_span_id=root.span_id)
    tail = client.tail()
    assert next(tail) == trace_pb2.TailTracesResponse(), "it says that it has begun"
    for count, span in enumerate((root, child), 1):
        assert client.export([span]).stored == 1
        (trace,) = next(tail).traces
        assert (trace.trace_id, trace.span_count) == (root.trace_id, count)
    tail.close()  # type: ignore[attr-defined]


def test_only_what_the_filter_says_is_seen(client: Bartizan) -> None:
    rng = random.Random(2)
    tail = client.tail(agent="other-bot")
    next(tail)
    wanted = make_span(rng, agent="other-bot")
    assert client.export([make_span(rng), wanted]).stored == 2
    assert [trace.trace_id for trace in next(tail).traces] == [wanted.trace_id]
    tail.close()  # type: ignore[attr-defined]


def test_a_tail_that_nobody_reads_is_bounded_and_hinders_nobody(
    serving: Serving, client: Bartizan
) -> None:
    assert serving.process is not None
    server = psutil.Process(serving.process.pid)
    batches = make_batches(random.Random(3), 500)
    with grpc.insecure_channel(serving.grpc) as channel:
        stub = trace_pb2_grpc.TraceServiceStub(channel)
        tails = [
            stub.TailTraces(
                trace_pb2.TailTracesRequest(), metadata=bearer(serving.key), timeout=TIMEOUT_S
            )
            for _ in range(20)
        ]
        for tail in tails:
            next(tail)
        before = server.memory_info().rss
        assert sum(client.export(next(batches)).stored for _ in range(20)) == 10_000
        assert server.memory_info().rss - before < 100 * MEBIBYTE
        for tail in tails:
            tail.cancel()
