"""Several server processes on one pair of ports."""

import os
import random
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from tests.support.processes import PATIENCE_S, channel_to, wait_for_workers
from tests.support.servers import bearer, refusal, unjudged
from tests.support.serving import Serving
from tests.support.spans import make_batches, make_span

from bartizan.client import Bartizan
from bartizan.v1 import trace_pb2, trace_pb2_grpc

STORED = re.compile(r'^bartizan_spans_total\{outcome="stored"\} (\S+)$', re.MULTILINE)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server of two processes."""
    with unjudged(tmp_path_factory.mktemp("pair"), "--workers", "2") as serving:
        yield serving


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server of one process."""
    with unjudged(tmp_path_factory.mktemp("single")) as serving:
        yield serving


def stored_total(serving: Serving) -> float:
    status, body = serving.get("/metrics")
    assert status == 200
    (figure,) = STORED.findall(body)
    return float(figure)


def export(channel: grpc.Channel, key: str, spans: list[trace_pb2.ExportTracesRequest]) -> int:
    stub = trace_pb2_grpc.IngestServiceStub(channel)
    acks = [stub.ExportTraces(r, metadata=bearer(key), timeout=PATIENCE_S).ack for r in spans]
    return sum(ack.stored for ack in acks)


def requests(rng: random.Random, count: int) -> list[trace_pb2.ExportTracesRequest]:
    batches = make_batches(rng, 10)
    return [trace_pb2.ExportTracesRequest(spans=next(batches)) for _ in range(count)]


def test_both_processes_serve_and_their_figures_add_up(pair: Serving) -> None:
    before = stored_total(pair)
    rng = random.Random(1)
    for count, pid in enumerate(pair.workers(), 1):
        with channel_to(pair, pid) as channel:
            assert export(channel, pair.key, requests(rng, count)) == 10 * count
    # Whichever process answers, it says the same.
    assert {stored_total(pair) for _ in range(8)} == {before + 30}
    status, body = pair.get("/readyz")
    assert (status, body) == (200, '{"status":"ok"}')


def test_a_tail_of_one_process_sees_what_the_other_commits(pair: Serving) -> None:
    one, other = pair.workers()
    span = make_span(random.Random(2))
    with channel_to(pair, one) as channel, channel_to(pair, other) as elsewhere:
        tail = trace_pb2_grpc.TraceServiceStub(channel).TailTraces(
            trace_pb2.TailTracesRequest(), metadata=bearer(pair.key), timeout=PATIENCE_S
        )
        assert next(tail) == trace_pb2.TailTracesResponse(), "it says that it has begun"
        assert export(elsewhere, pair.key, [trace_pb2.ExportTracesRequest(spans=[span])]) == 1
        (seen,) = next(tail).traces
        tail.cancel()
    assert (seen.trace_id, seen.span_count) == (span.trace_id, 1)


def test_a_killed_process_comes_back(pair: Serving) -> None:
    before = stored_total(pair)
    victim, bystander = pair.workers()
    os.kill(victim, signal.SIGKILL)
    pids = wait_for_workers(pair, 2, without=victim)
    assert bystander in pids
    (new,) = set(pids) - {bystander}
    with channel_to(pair, new) as channel:
        assert export(channel, pair.key, requests(random.Random(3), 1)) == 10
    assert stored_total(pair) == before + 10, "what the dead process counted is not forgotten"


@pytest.mark.parametrize(
    ("door", "first", "workers"),
    [
        ("--grpc-listen", "single", "2"),
        ("--http-listen", "single", "1"),
        ("--grpc-listen", "pair", "1"),
        ("--http-listen", "pair", "2"),
    ],
)
def test_a_second_server_on_the_same_port_is_refused(
    request: pytest.FixtureRequest, door: str, first: str, workers: str, tmp_path: Path
) -> None:
    serving: Serving = request.getfixturevalue(first)
    taken = serving.grpc if door == "--grpc-listen" else serving.http
    said = refusal(*second(serving, tmp_path), "--workers", workers, door, taken)
    assert said.startswith(f"bartizan: cannot listen on {taken}")


def second(serving: Serving, folder: Path) -> list[str]:
    """Returns the command of another server on the same database, with doors of its own."""
    return [
        "serve", "--data-dir", str(folder), "--database-url", serving.database_url,
        "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0", *serving.options[:2],
    ]  # fmt: skip


def test_processes_end_with_their_parent_and_leave_the_data_usable(tmp_path: Path) -> None:
    batch = next(make_batches(random.Random(4), 10))
    with unjudged(tmp_path, "--workers", "2") as serving:
        with Bartizan(serving.key, serving.grpc) as client:
            assert client.export(batch).stored == 10
        orphans = [psutil.Process(pid) for pid in serving.workers()]
        serving.kill()
        _, alive = psutil.wait_procs(orphans, PATIENCE_S)
        assert not alive
        serving.start()
        assert len(serving.workers()) == 2
        with Bartizan(serving.key, serving.grpc) as client:
            assert client.export(batch).duplicate == 10
        processes = [psutil.Process(pid) for pid in serving.workers()]
        assert serving.stop() == 0
        assert not [process for process in processes if process.is_running()]
