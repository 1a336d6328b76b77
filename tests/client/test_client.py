"""Single calls: what is tried again, and what an error says."""

from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.fake_ingest import KEY, FakeIngest

from bartizan.client import (
    AsyncBartizan,
    Backoff,
    Bartizan,
    InvalidArgument,
    ResourceExhausted,
    Tls,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from bartizan.v1 import common_pb2, trace_pb2

SPAN = common_pb2.Span(trace_id="1" * 32, span_id="2" * 16)
AWAY = (grpc.StatusCode.UNAVAILABLE, "DATABASE_AWAY", None)


def test_export_answers_with_the_ack(client: Bartizan) -> None:
    assert client.export([SPAN]).stored == 1
    assert client.export([SPAN]).duplicate == 1


def test_export_tries_again_while_the_server_is_away(
    client: Bartizan, ingest: FakeIngest, waits: list[float]
) -> None:
    ingest.export_failures.extend([AWAY, (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", 0.5)])
    assert client.export([SPAN]).stored == 1
    assert waits == [1.0, 0.5 + 2.0]


def test_export_gives_up_in_the_end(client: Bartizan, ingest: FakeIngest) -> None:
    ingest.export_failures.extend([AWAY] * 5)
    with pytest.raises(Unavailable) as raised:
        client.export([SPAN])
    assert raised.value.reason == "DATABASE_AWAY"


def test_a_request_that_is_too_large_is_not_tried_again(
    client: Bartizan, ingest: FakeIngest, waits: list[float]
) -> None:
    ingest.export_failures.append((grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE", None))
    with pytest.raises(ResourceExhausted) as raised:
        client.export([SPAN])
    assert not raised.value.retryable
    assert waits == []


def test_a_wrong_key_is_told_at_once(endpoint: str) -> None:
    with Bartizan("btz_wrong", endpoint) as client, pytest.raises(Unauthenticated) as raised:
        client.export([SPAN])
    assert raised.value.reason == "KEY_INVALID"
    assert str(raised.value) == "The API key is not valid."
    assert "btz_wrong" not in repr(raised.value)


def test_key_and_endpoint_come_from_the_environment(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARTIZAN_API_KEY", f"{KEY}\n")
    monkeypatch.setenv("BARTIZAN_ENDPOINT", f"http://{endpoint}/")
    with Bartizan() as client:
        assert client.export([SPAN]).stored == 1


def test_another_server_is_told_apart(client: Bartizan) -> None:
    with pytest.raises(Unimplemented):
        list(client.list_traces())


@pytest.mark.parametrize("endpoint", ["nowhere", "ftp://host:1", "host:port", "a b:1"])
def test_a_wrong_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(InvalidArgument, match="HOST:PORT"):
        Bartizan("key", endpoint)


@pytest.mark.parametrize("endpoint", ["[::1]:4317", "https://traces.example.com:443"])
def test_other_endpoints_are_taken(endpoint: str) -> None:
    Bartizan("key", endpoint).close()


def test_tls_files_come_in_pairs_and_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="together"):
        Bartizan("key", tls=Tls(cert_file="cert.pem"))
    with pytest.raises(InvalidArgument, match="cannot be read"):
        Bartizan("key", tls=Tls(ca_file=str(tmp_path / "none.pem")))


async def test_the_async_client_exports_and_tries_again(endpoint: str, ingest: FakeIngest) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    ingest.export_failures.append(AWAY)
    backoff = Backoff(random=lambda: 1.0)
    async with AsyncBartizan(KEY, endpoint, backoff=backoff, sleep=sleep) as client:
        assert (await client.export([SPAN])).stored == 1
    assert waits == [0.1]
    async with AsyncBartizan("btz_wrong", endpoint) as client:
        with pytest.raises(Unauthenticated):
            await client.export([SPAN])


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 3600))
def test_a_wait_is_never_shorter_than_asked_nor_much_longer(
    failures: int, random: float, asked: float | None
) -> None:
    delay = Backoff(0.1, 10.0, random=lambda: random).delay_s(failures, asked)
    assert (asked or 0) <= delay <= (asked or 0) + 10.0


def test_calls_any_method(client: Bartizan) -> None:
    request = trace_pb2.ExportTracesRequest(spans=[SPAN])
    answer = client.call("bartizan.v1.IngestService/ExportTraces", request.SerializeToString())
    assert trace_pb2.ExportTracesResponse.FromString(answer).ack.stored == 1
