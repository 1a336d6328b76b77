"""A span that is wrong is refused by itself, through every door, and its neighbours are stored."""

import operator
import random
import re
import zlib
from collections.abc import Callable, Iterator

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
)
from tests.support import bad_spans
from tests.support.bad_spans import NATIVE, OTLP, SURROGATE, Bad
from tests.support.sending import (
    EXPORT,
    OTLP_EXPORT,
    PROTOBUF,
    Sender,
    Spans,
    export,
    export_over_http,
    in_stream,
    otlp_grpc,
    otlp_http,
    otlp_json,
    refused,
)
from tests.support.servers import post, unjudged
from tests.support.serving import Serving
from tests.support.spans import make_span

from bartizan.client import Bartizan
from bartizan.v1 import common_pb2, trace_pb2

BY_NAME = operator.attrgetter("name")


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("bad")) as serving:
        yield serving


@pytest.fixture(scope="module")
def sender(serving: Serving) -> Iterator[Sender]:
    with grpc.insecure_channel(serving.grpc) as channel:
        yield Sender(serving, channel)


@pytest.fixture(scope="module")
def client(serving: Serving) -> Iterator[Bartizan]:
    with Bartizan(serving.key, serving.grpc, max_attempts=1) as client:
        yield client


def rng_for(*seed: str) -> random.Random:
    return random.Random(zlib.crc32("".join(seed).encode()))


NATIVE_DOORS: list[Callable[[Sender, Spans], trace_pb2.Ack]] = [export, in_stream, export_over_http]
OTLP_DOORS: dict[
    str,
    tuple[
        Callable[[Sender, bytes], ExportTracePartialSuccess],
        Callable[[ExportTraceServiceRequest], bytes],
    ],
] = {
    "grpc": (otlp_grpc, bad_spans.as_bytes),
    "http": (otlp_http, bad_spans.as_bytes),
    "json": (otlp_json, bad_spans.as_json),
}


@pytest.mark.parametrize("send", NATIVE_DOORS)
@pytest.mark.parametrize("bad", NATIVE, ids=BY_NAME)
def test_a_bad_native_span_is_refused_alone(
    sender: Sender, client: Bartizan, send: Callable[[Sender, Spans], trace_pb2.Ack], bad: Bad
) -> None:
    spans = bad_spans.native(bad, rng_for(send.__name__, bad.name))
    ack = send(sender, spans)
    (rejected,) = ack.rejected
    reason = trace_pb2.RejectReason.Name(rejected.reason).removeprefix("REJECT_REASON_")
    assert (rejected.index, reason, rejected.field) == (1, bad.reason, bad.field)
    assert rejected.detail
    assert SURROGATE not in rejected.detail
    assert ack.stored == 2
    for good in (spans[0], spans[2]):
        assert len(client.get_trace(good.trace_id).spans) == 1


@pytest.mark.parametrize("door", OTLP_DOORS)
@pytest.mark.parametrize("bad", OTLP, ids=BY_NAME)
def test_a_bad_otlp_span_is_refused_alone(
    sender: Sender, client: Bartizan, door: str, bad: Bad
) -> None:
    send, encode = OTLP_DOORS[door]
    request = bad_spans.otlp(bad, rng_for(door, bad.name))
    said = send(sender, encode(request))
    assert said.rejected_spans == 1
    assert re.search(
        rf"1 of 3 spans rejected; span 1: {re.escape(bad.field)}\S* .*\({bad.reason}\)",
        said.error_message,
    ), said.error_message
    spans = request.resource_spans[0].scope_spans[0].spans
    for good in (spans[0], spans[2]):
        assert len(client.get_trace(good.trace_id.hex()).spans) == 1


def test_all_bad_spans_of_a_batch_are_named(sender: Sender) -> None:
    rng = random.Random(1)
    spans = [span for bad in NATIVE for span in bad_spans.native(bad, rng)]
    ack = export(sender, spans)
    assert [rejected.index for rejected in ack.rejected] == list(range(1, len(spans), 3))
    assert ack.stored == 2 * len(NATIVE)


def test_bytes_that_are_no_request_are_refused(sender: Sender) -> None:
    code, said = refused(sender.unary, EXPORT, b"\xff\xff\xff")
    assert (code, "not a valid" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    assert refused(sender.stream, b"\xff\xff\xff")[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert refused(sender.unary, OTLP_EXPORT, b"\xff")[0] == grpc.StatusCode.INVALID_ARGUMENT
    for content_type in (PROTOBUF, "application/json"):
        assert post(sender.serving, "/v1/traces", b"\xff", content_type)[0] == 400


def test_a_logs_export_on_the_path_of_traces_is_told_so(sender: Sender) -> None:
    logs = ExportLogsServiceRequest()
    record = logs.resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = 1_790_000_000_000_000_000
    record.body.string_value = "a line of a log"
    code, said = refused(sender.unary, OTLP_EXPORT, logs.SerializeToString())
    assert (code, "export of logs" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    status, _, body = post(sender.serving, "/v1/traces", logs.SerializeToString(), PROTOBUF)
    assert (status, b"export of logs" in body) == (400, True)
    status, _, body = post(sender.serving, "/v1/logs", b"{}", "application/json")
    assert (status, b"turn the exporter of logs off" in body) == (404, True)


def test_a_stream_that_breaks_the_rules_ends(sender: Sender) -> None:
    span = make_span(random.Random(2))
    batch = trace_pb2.StreamTracesRequest(batch=trace_pb2.SpanBatch(seq=1, spans=[span]))
    again = batch.SerializeToString()
    code, said = refused(sender.stream, again, again)
    assert (code, "seq 1 after 1" in said) == (grpc.StatusCode.INVALID_ARGUMENT, True)
    opening = trace_pb2.StreamTracesRequest(open=trace_pb2.StreamOpen(stream_id="x"))
    code, _ = refused(sender.stream, opening.SerializeToString())
    assert code == grpc.StatusCode.INVALID_ARGUMENT


def test_what_was_refused_is_counted(serving: Serving, client: Bartizan) -> None:
    _, before = serving.get("/metrics")
    client.export([common_pb2.Span()])
    _, after = serving.get("/metrics")
    figure = re.compile(r'^bartizan_spans_total\{outcome="rejected"\} (\S+)$', re.MULTILINE)
    assert float(figure.findall(after)[0]) == float(figure.findall(before)[0]) + 1


def test_logs_in_json_on_the_path_of_traces_are_told_so(sender: Sender) -> None:
    logs = b'{"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "x"}}]}]}]}'
    status, _, body = post(sender.serving, "/v1/traces", logs, "application/json")
    assert (status, b"logs" in body) == (400, True)
