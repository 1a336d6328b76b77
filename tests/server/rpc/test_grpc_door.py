import asyncio
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, ClassVar

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from tests.server.rpc.doors import (
    INGEST,
    KEY,
    READER,
    SECRET,
    TRACES,
    House,
    Scopes,
    channel,
    grpc_details,
)

from bartizan.plugins.errors import ConfigError
from bartizan.server.rpc.bridge import grpc_handler
from bartizan.server.rpc.grpc_server import GrpcServer, serve_grpc
from bartizan.v1 import common_pb2, trace_pb2, trace_pb2_grpc

AUTH = (("authorization", f"Bearer {KEY}"),)
MIB = 1024 * 1024


@pytest.fixture
async def house() -> House:
    return House()


@pytest.fixture
async def server(house: House) -> AsyncIterator[GrpcServer]:
    async with serve_grpc(house.services, house.gate, host="127.0.0.1", port=0) as running:
        await running.set_serving(True)
        yield running


@pytest.fixture
async def wire(server: GrpcServer) -> AsyncIterator[Any]:
    async with channel(server.port) as opened:
        yield opened


@pytest.fixture
async def traces(wire: Any) -> Any:
    return trace_pb2_grpc.TraceServiceStub(wire)


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_unary(traces: Any, house: House) -> None:
    response = await traces.ListTraces(trace_pb2.ListTracesRequest(page_size=7), metadata=AUTH)
    assert response.traces[0].trace_id == "t1"
    assert house.calls(f"{TRACES}/ListTraces", "ok") == 1
    (call,) = house.traces.calls
    assert (call.method, call.request_bytes) == ("bartizan.v1.TraceService/ListTraces", 2)
    assert call.principal.project_name == "organizations/default/projects/demo"


async def test_server_stream(traces: Any) -> None:
    stream = traces.GetTrace(trace_pb2.GetTraceRequest(name="t9"), metadata=AUTH)
    assert [r.trace.trace_id async for r in stream] == ["t9", ""]


async def test_bidirectional_stream(wire: Any, house: House) -> None:
    stub: Any = trace_pb2_grpc.IngestServiceStub(wire)
    spans = [common_pb2.Span(name="a")] * 3
    batches = [trace_pb2.SpanBatch(seq=n, spans=spans) for n in (1, 2)]
    requests = [trace_pb2.StreamTracesRequest(batch=batch) for batch in batches]
    got = [r async for r in stub.StreamTraces(iter(requests), metadata=AUTH)]
    assert [(r.ack.seq, r.ack.stored) for r in got[:2]] == [(1, 3), (2, 3)]
    assert got[2].WhichOneof("message") == "summary"
    assert house.ingest.sizes == [r.ByteSize() for r in requests]


@pytest.mark.parametrize(
    ("token", "code", "reason"),
    [
        ("invalid", grpc.StatusCode.INVALID_ARGUMENT, "BAD_TOKEN"),
        ("missing", grpc.StatusCode.NOT_FOUND, "TRACE_NOT_FOUND"),
        ("full", grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL"),
        ("large", grpc.StatusCode.RESOURCE_EXHAUSTED, "BATCH_TOO_LARGE"),
        ("away", grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        ("reset", grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        ("inner", grpc.StatusCode.UNAVAILABLE, "WORK_CANCELLED"),
        ("disk", grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"),
        ("bug", grpc.StatusCode.INTERNAL, "INTERNAL"),
    ],
)
async def test_errors_carry_their_details(
    traces: Any, house: House, token: str, code: grpc.StatusCode, reason: str
) -> None:
    request = trace_pb2.ListTracesRequest(page_token=token)
    error = await refusal(traces.ListTraces(request, metadata=AUTH))
    details = grpc_details(error)
    assert (error.code(), details.info.reason) == (code, reason)
    assert details.info.domain == "bartizan.dev"
    assert SECRET not in (error.details() or "")
    assert house.calls(f"{TRACES}/ListTraces", code.name.lower()) == 1


async def test_field_delay_and_metadata_are_told(traces: Any) -> None:
    async def details(token: str) -> Any:
        request = trace_pb2.ListTracesRequest(page_token=token)
        return grpc_details(await refusal(traces.ListTraces(request, metadata=AUTH)))

    assert (await details("invalid")).bad_request.field_violations[0].field == "page_token"
    assert (await details("full")).retry.retry_delay.ToMilliseconds() == 2500
    assert (await details("away")).retry.retry_delay.ToMilliseconds() == 1000
    assert (await details("large")).retry is None
    assert dict((await details("missing")).info.metadata) == {"id": "7"}


async def test_an_error_in_mid_stream_comes_after_the_messages(traces: Any) -> None:
    stream = traces.GetTrace(trace_pb2.GetTraceRequest(name="full"), metadata=AUTH)
    assert (await stream.read()).trace.trace_id == "full"
    assert grpc_details(await refusal(stream.read())).info.reason == "QUEUE_FULL"


async def test_who_has_no_key_is_told_so(traces: Any, house: House) -> None:
    request = trace_pb2.ListTracesRequest()
    error = await refusal(traces.ListTraces(request))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert grpc_details(error).info.reason == "INVALID_KEY"
    wrong = (("x-api-key", "wrong"),)
    assert (await refusal(traces.ListTraces(request, metadata=wrong))).code() is error.code()
    await traces.ListTraces(request, metadata=(("x-api-key", KEY),))
    assert len(house.traces.calls) == 1


async def test_a_key_needs_the_scope(wire: Any) -> None:
    stub: Any = trace_pb2_grpc.IngestServiceStub(wire)
    metadata = (("x-api-key", READER),)
    error = await refusal(stub.ExportTraces(trace_pb2.ExportTracesRequest(), metadata=metadata))
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    assert dict(grpc_details(error).info.metadata) == {"scope": "ingest"}


async def test_a_malformed_message_is_the_callers_mistake(wire: Any) -> None:
    unary = wire.unary_unary(f"{TRACES}/ListTraces")
    stream = wire.stream_stream(f"{INGEST}/StreamTraces")
    for call in (unary(b"\xff\xff", metadata=AUTH), stream(iter([b"\xff"]), metadata=AUTH).read()):
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert grpc_details(error).info.reason == "MALFORMED_MESSAGE"


async def test_a_message_over_the_limit_is_refused(wire: Any, house: House) -> None:
    export = wire.unary_unary(f"{INGEST}/ExportTraces")
    error = await refusal(export(bytes(65 * MIB), metadata=AUTH))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert f"({65 * MIB} vs. {64 * MIB})" in (error.details() or "")
    assert not house.ingest.sizes


async def test_a_stream_with_a_message_over_the_limit_is_refused(wire: Any, house: House) -> None:
    stream = wire.stream_stream(f"{INGEST}/StreamTraces")(iter([bytes(65 * MIB)]), metadata=AUTH)
    error = await refusal(stream.read())
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not house.ingest.sizes


_BOMBER = """
import grpc, sys
address, size = sys.argv[1], int(sys.argv[2])
with grpc.insecure_channel(address, options=[("grpc.max_send_message_length", -1)]) as wire:
    try:
        wire.unary_unary(sys.argv[3])(
            bytes(size), compression=grpc.Compression.Gzip, metadata=[("x-api-key", sys.argv[4])]
        )
    except grpc.RpcError as error:
        print(error.code().name)
"""


async def test_a_gzip_bomb_is_refused_and_memory_stays_flat(
    server: GrpcServer, house: House
) -> None:
    address, size = f"127.0.0.1:{server.port}", str(256 * MIB)
    memory = psutil.Process().memory_info
    before = peak = memory().rss
    bomber = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _BOMBER, address, size, f"{INGEST}/ExportTraces", KEY),
        stdout=asyncio.subprocess.PIPE,
    )
    bombing = asyncio.create_task(bomber.communicate())
    while not bombing.done():
        await asyncio.wait([bombing], timeout=0.005)
        peak = max(peak, memory().rss)
    assert (await bombing)[0].split() == [b"RESOURCE_EXHAUSTED"]
    # One message of the permitted size is unpacked before gRPC knows that there is more.
    assert peak - before < 2 * 64 * MIB
    assert not house.ingest.sizes


async def test_the_request_id_comes_back(traces: Any) -> None:
    async def echoed(request_id: str, token: str = "") -> Any:
        metadata = (*AUTH, ("x-request-id", request_id), ("traceparent", "00-1-1-01"))
        request = trace_pb2.ListTracesRequest(page_token=token)
        call = traces.ListTraces(request, metadata=metadata)
        await call.code()
        return dict(await call.trailing_metadata()).get("x-request-id")

    assert await echoed("r-1") == "r-1"
    assert await echoed("r-2", "missing") == "r-2"
    assert await echoed("x" * 129) is None
    assert await echoed("two words") is None


async def test_a_service_sets_trailers(traces: Any) -> None:
    call = traces.ListTraces(trace_pb2.ListTracesRequest(), metadata=AUTH)
    assert dict(await call.trailing_metadata())["x-pages"] == "1"


async def test_a_deadline_ends_the_handler(traces: Any, house: House) -> None:
    request = trace_pb2.ListTracesRequest(page_token="never")
    error = await refusal(traces.ListTraces(request, metadata=AUTH, timeout=0.2))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await house.traces.closed.wait()


async def test_a_cancelled_call_ends_the_handler(traces: Any, house: House) -> None:
    request = trace_pb2.ListTracesRequest(page_token="never")
    call = traces.ListTraces(request, metadata=AUTH)
    await house.traces.began.wait()
    call.cancel()
    await house.traces.closed.wait()


async def test_a_client_that_never_reads_is_given_up() -> None:
    house = House()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc_handler(house.traces, house.gate, write_timeout_s=0.1)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with channel(port) as wire:
        stub: Any = trace_pb2_grpc.TraceServiceStub(wire)
        call = stub.TailTraces(trace_pb2.TailTracesRequest(), metadata=AUTH)
        await house.traces.closed.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
    await server.stop(0)
    assert grpc_details(caught.value).info.reason == "CLIENT_NOT_READING"


async def test_calls_beyond_the_limit_are_told_to_come_back(traces: Any, house: House) -> None:
    house.gate.max_open_calls = 0
    error = await refusal(traces.ListTraces(trace_pb2.ListTracesRequest(), metadata=AUTH))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert grpc_details(error).retry is not None
    assert house.gate.open_calls == 0


async def test_health_follows_set_serving(server: GrpcServer, wire: Any) -> None:
    stub = health_pb2_grpc.HealthStub(wire)

    async def status(service: str) -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        response = await stub.Check(request)
        return int(response.status)

    serving, not_serving = (1, 2)
    for name in (
        "",
        "bartizan.v1.TraceService",
        "opentelemetry.proto.collector.trace.v1.TraceService",
    ):
        assert await status(name) == serving
    await server.set_serving(False)
    assert await status("bartizan.v1.IngestService") == not_serving


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_lists_the_services(wire: Any, version: str) -> None:
    info = wire.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    response = await info(iter([reflection_pb2.ServerReflectionRequest(list_services="")])).read()
    names = {service.name for service in response.list_services_response.service}
    assert {"bartizan.v1.TraceService", "grpc.health.v1.Health"} <= names


async def test_a_taken_port_is_refused(server: GrpcServer, house: House) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        async with serve_grpc(house.services, house.gate, host="127.0.0.1", port=server.port):
            raise AssertionError


async def test_workers_share_a_port_on_purpose(house: House) -> None:
    serve = partial(serve_grpc, house.services, house.gate, host="127.0.0.1", reuse_port=True)
    async with serve(port=0) as first, serve(port=first.port) as second:
        assert first.port == second.port


async def test_stop_lets_open_calls_finish(server: GrpcServer, wire: Any) -> None:
    stream: Any = wire.stream_stream(f"{INGEST}/StreamTraces")(metadata=AUTH)
    await stream.write(trace_pb2.StreamTracesRequest().SerializeToString())
    assert await stream.read() is not grpc.aio.EOF
    stopping = asyncio.create_task(server.stop(30))
    await stream.done_writing()
    assert await stream.read() is not grpc.aio.EOF
    assert await stream.read() is grpc.aio.EOF
    await stopping


def test_a_service_without_a_method_is_refused(house: House) -> None:
    class Lame:
        DESCRIPTOR: ClassVar = house.ingest.DESCRIPTOR
        SCOPES: ClassVar[Scopes] = house.ingest.SCOPES

    with pytest.raises(TypeError, match="StreamTraces"):
        grpc_handler(Lame(), house.gate)
