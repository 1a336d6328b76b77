"""Sends requests, whole or broken, as raw bytes through every door there is."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from tests.support.bad_spans import as_bytes
from tests.support.servers import bearer, post
from tests.support.serving import Serving

from bartizan.v1 import common_pb2, trace_pb2

Spans = list[common_pb2.Span]

EXPORT = "bartizan.v1.IngestService/ExportTraces"
STREAM = "bartizan.v1.IngestService/StreamTraces"
OTLP_EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"
TIMEOUT_S = 30


@dataclass(frozen=True)
class Sender:
    """One server and a channel to it."""

    serving: Serving
    channel: grpc.Channel

    def unary(self, method: str, request: bytes, key: str | None = None) -> bytes:
        """Calls a method over gRPC; raises grpc.RpcError."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(f"/{method}")
        return call(
            request, metadata=bearer(self.serving.key if key is None else key), timeout=TIMEOUT_S
        )

    def stream(self, *requests: bytes) -> list[trace_pb2.StreamTracesResponse]:
        """Opens a stream, sends requests in it and half-closes; returns the answers after opened.

        Raises grpc.RpcError.
        """
        opening = trace_pb2.StreamTracesRequest(open=trace_pb2.StreamOpen(stream_id="test"))
        method: grpc.StreamStreamMultiCallable[bytes, bytes]
        method = self.channel.stream_stream(f"/{STREAM}")
        call = method(
            iter([opening.SerializeToString(), *requests]),
            metadata=bearer(self.serving.key),
            timeout=TIMEOUT_S,
        )
        return [trace_pb2.StreamTracesResponse.FromString(answer) for answer in call][1:]


def export(sender: Sender, spans: Spans) -> trace_pb2.Ack:
    """Sends spans over gRPC."""
    request = as_bytes(trace_pb2.ExportTracesRequest(spans=spans))
    return trace_pb2.ExportTracesResponse.FromString(sender.unary(EXPORT, request)).ack


def export_over_http(sender: Sender, spans: Spans) -> trace_pb2.Ack:
    """Sends spans over HTTP."""
    request = as_bytes(trace_pb2.ExportTracesRequest(spans=spans))
    status, _, body = post(sender.serving, f"/{EXPORT}", request, "application/proto")
    assert status == 200, body
    return trace_pb2.ExportTracesResponse.FromString(body).ack


def in_stream(sender: Sender, spans: Spans) -> trace_pb2.Ack:
    """Sends spans as the one batch of a stream."""
    batch = trace_pb2.SpanBatch(seq=1, spans=spans)
    ack, summary = sender.stream(as_bytes(trace_pb2.StreamTracesRequest(batch=batch)))
    assert summary.summary.rejected == len(ack.ack.rejected)
    return ack.ack


def otlp_grpc(sender: Sender, request: bytes) -> ExportTracePartialSuccess:
    """Sends an OTLP export over gRPC."""
    response = ExportTraceServiceResponse.FromString(sender.unary(OTLP_EXPORT, request))
    return response.partial_success


def otlp_http(sender: Sender, request: bytes) -> ExportTracePartialSuccess:
    """Sends an OTLP export in protobuf over HTTP."""
    status, _, body = post(sender.serving, "/v1/traces", request, PROTOBUF)
    assert status == 200, body
    return ExportTraceServiceResponse.FromString(body).partial_success


def otlp_json(sender: Sender, request: bytes) -> ExportTracePartialSuccess:
    """Sends an OTLP export in JSON."""
    status, _, body = post(sender.serving, "/v1/traces", request, "application/json")
    assert status == 200, body
    response = json_format.ParseDict(json.loads(body), ExportTraceServiceResponse())
    partial: ExportTracePartialSuccess = response.partial_success
    return partial


def refused(call: Callable[..., Any], *arguments: Any) -> tuple[grpc.StatusCode, str]:
    """Makes a call that must fail; returns its status and what it says."""
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments)
    error = raised.value
    assert isinstance(error, grpc.Call)
    return error.code(), error.details() or ""
