"""A server in this process that the client talks to over a real socket."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from tests.client.fake_ingest import KEY, STOP_S, FakeIngest

from bartizan.client import Backoff, Bartizan
from bartizan.v1 import trace_pb2_grpc


@pytest.fixture
def ingest() -> FakeIngest:
    return FakeIngest()


@pytest.fixture
def endpoint(ingest: FakeIngest) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    trace_pb2_grpc.add_IngestServiceServicer_to_server(ingest, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(STOP_S).wait()


@pytest.fixture
def waits() -> list[float]:
    """What the client wanted to wait, in seconds; it does not really wait."""
    return []


@pytest.fixture
def client(endpoint: str, waits: list[float]) -> Iterator[Bartizan]:
    backoff = Backoff(first_s=1.0, longest_s=8.0, random=lambda: 1.0)
    with Bartizan(KEY, endpoint, backoff=backoff, sleep=waits.append) as client:
        yield client
