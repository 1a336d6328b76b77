"""Messages that are too large, and clients that open much and say or read nothing, are bounded."""

import contextlib
import gzip
import http.client
import queue
import random
import re
import socket
import time
from collections.abc import Iterator

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.memory import MEBIBYTE, watched
from tests.support.sending import EXPORT, OTLP_EXPORT, PROTOBUF, STREAM, Sender, export
from tests.support.servers import bearer, post, unjudged
from tests.support.serving import POLL_S, Serving
from tests.support.spans import make_span

from bartizan.v1 import common_pb2, trace_pb2

LIMIT_BYTES = 64 * MEBIBYTE
OVER_BYTES = LIMIT_BYTES + MEBIBYTE
BOMB_BYTES = 192 * MEBIBYTE
FLAT_BYTES = 200 * MEBIBYTE
MOST_HELD_BATCHES = 20_000
"""More than the windows and buffers between a client and the server take, of 2 KB each."""
PATIENCE_S = 60.0
IDLE = 150
RNG = random.Random(1)
OPEN_STREAMS = re.compile(
    r'^bartizan_rpc_streams_open\{method="bartizan.v1.IngestService/StreamTraces"\} (\S+)$', re.M
)


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sender]:
    options = [("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    with (
        unjudged(tmp_path_factory.mktemp("limits")) as serving,
        grpc.insecure_channel(serving.grpc, options) as channel,
    ):
        yield Sender(serving, channel)


@pytest.fixture(scope="module", autouse=True)
def silent(sender: Sender) -> Iterator["grpc.Future[bytes]"]:
    """A stream that never says anything. It is opened first, as it takes its time to be closed."""
    never: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    method: grpc.StreamUnaryMultiCallable[bytes, bytes]
    method = sender.channel.stream_unary(f"/{STREAM}")
    yield method.future(
        iter(never.get, None), metadata=bearer(sender.serving.key), timeout=PATIENCE_S
    )
    never.put(None)


def is_well(sender: Sender) -> bool:
    """Returns whether others are served."""
    stored = export(sender, [make_span(RNG)]).stored
    return (stored, sender.serving.get("/readyz")[0]) == (1, 200)


def request_of(size: int, method: str) -> bytes:
    """Returns a well-formed request with a text of so many bytes."""
    text = "x" * size
    if method == EXPORT:
        return trace_pb2.ExportTracesRequest(
            spans=[common_pb2.Span(status_message=text)]
        ).SerializeToString()
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add().name = text
    encoded: bytes = request.SerializeToString()
    return encoded


@pytest.mark.parametrize(
    ("size", "compression"),
    [(OVER_BYTES, grpc.Compression.NoCompression), (BOMB_BYTES, grpc.Compression.Gzip)],
    ids=["plain", "bomb"],
)
@pytest.mark.parametrize("method", [EXPORT, OTLP_EXPORT])
def test_a_message_over_the_limit_is_refused_over_grpc(
    sender: Sender, method: str, size: int, compression: grpc.Compression
) -> None:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = sender.channel.unary_unary(f"/{method}")
    with watched(sender.serving) as memory, pytest.raises(grpc.RpcError) as refusal:
        call(
            request_of(size, method),
            metadata=bearer(sender.serving.key),
            timeout=PATIENCE_S,
            compression=compression,
        )
    error = refusal.value
    assert isinstance(error, grpc.Call)
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in (error.details() or "")
    assert memory.grown < FLAT_BYTES
    assert is_well(sender)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "bomb"])
@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/v1/traces", PROTOBUF),
        ("/v1/traces", "application/json"),
        (f"/{EXPORT}", "application/proto"),
        (f"/{EXPORT}", "application/json"),
    ],
)
def test_a_message_over_the_limit_is_refused_over_http(
    sender: Sender, path: str, content_type: str, packed: bool
) -> None:
    body = gzip.compress(bytes(8 * MEBIBYTE), 9) * 64 if packed else bytes(OVER_BYTES)
    headers = {"content_encoding": "gzip"} if packed else {}
    with watched(sender.serving) as memory:
        status, _, answer = post(sender.serving, path, body, content_type, **headers)
    # Connect has no 413: it says 429, and its body says resource_exhausted without a retry delay.
    assert status in ((413,) if path == "/v1/traces" else (413, 429))
    assert str(LIMIT_BYTES).encode() in answer
    assert b"RetryInfo" not in answer
    assert memory.grown < FLAT_BYTES
    assert is_well(sender)


def test_a_body_without_a_length_is_refused_as_it_grows(sender: Sender) -> None:
    connection = http.client.HTTPConnection(sender.serving.http, timeout=PATIENCE_S)
    headers = {"content-type": PROTOBUF, "authorization": f"Bearer {sender.serving.key}"}
    pieces = (bytes(MEBIBYTE) for _ in range(OVER_BYTES // MEBIBYTE))
    with watched(sender.serving) as memory, contextlib.closing(connection):
        connection.request("POST", "/v1/traces", pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert memory.grown < FLAT_BYTES


def test_idle_streams_and_connections_hinder_nobody(sender: Sender) -> None:
    serving = sender.serving
    doors = [address.rsplit(":", 1) for address in (serving.grpc, serving.http)]
    opening = trace_pb2.StreamTracesRequest(open=trace_pb2.StreamOpen(stream_id="idle"))
    never: queue.SimpleQueue[None] = queue.SimpleQueue()
    with watched(serving) as memory, contextlib.ExitStack() as stack:
        for host, port in doors * IDLE:
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            connection.sendall(b"PO")
        with grpc.insecure_channel(serving.grpc) as channel:
            method: grpc.StreamStreamMultiCallable[bytes, bytes]
            method = channel.stream_stream(f"/{STREAM}")
            first = opening.SerializeToString()
            calls = [
                method(
                    _then_nothing(first, never), metadata=bearer(serving.key), timeout=PATIENCE_S
                )
                for _ in range(IDLE)
            ]
            for call in calls:
                trace_pb2.StreamTracesResponse.FromString(next(iter(call)))
            assert streams_open(serving) >= IDLE
            assert is_well(sender)
            for _ in range(IDLE):
                never.put(None)
    assert memory.grown < FLAT_BYTES
    wait_for_no_streams_but(serving, 1)
    assert is_well(sender)


def _then_nothing(first: bytes, never: "queue.SimpleQueue[None]") -> Iterator[bytes]:
    yield first
    never.get()


def streams_open(serving: Serving) -> float:
    (figure,) = OPEN_STREAMS.findall(serving.get("/metrics")[1])
    return float(figure)


def wait_for_no_streams_but(serving: Serving, count: int) -> None:
    """Waits until the server knows that streams ended; `count` may be open still."""
    deadline = time.monotonic() + PATIENCE_S
    while streams_open(serving) > count:
        assert time.monotonic() < deadline, "streams of clients that left stay open"
        time.sleep(POLL_S)


def test_a_client_that_sends_and_never_reads_is_held_up(sender: Sender) -> None:
    serving = sender.serving
    sent = 0

    def without_end() -> Iterator[bytes]:
        nonlocal sent
        opening = trace_pb2.StreamTracesRequest(open=trace_pb2.StreamOpen(stream_id="deaf"))
        yield opening.SerializeToString()
        # Bad spans: small to send, while the ack has a reason for each of them.
        spans = [common_pb2.Span()] * 1_000
        while True:
            sent += 1
            batch = trace_pb2.SpanBatch(seq=sent, spans=spans)
            yield trace_pb2.StreamTracesRequest(batch=batch).SerializeToString()

    with watched(serving) as memory, grpc.insecure_channel(serving.grpc) as channel:
        method: grpc.StreamStreamMultiCallable[bytes, bytes]
        method = channel.stream_stream(f"/{STREAM}")
        call = method(without_end(), metadata=bearer(serving.key), timeout=PATIENCE_S)
        held = -1
        while held != sent:
            held = sent
            assert held < MOST_HELD_BATCHES, "the server reads no further than it can ack"
            assert all(is_well(sender) for _ in range(40))
        call.cancel()
    assert memory.grown < FLAT_BYTES
    wait_for_no_streams_but(serving, 1)


def test_a_stream_that_says_nothing_is_closed(silent: "grpc.Future[bytes]") -> None:
    error = silent.exception(PATIENCE_S)
    assert isinstance(error, grpc.RpcError)
    assert silent.code() == grpc.StatusCode.DEADLINE_EXCEEDED  # type: ignore[attr-defined]
    assert "said nothing" in silent.details()  # type: ignore[attr-defined]
