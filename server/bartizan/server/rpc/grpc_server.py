"""The gRPC port: every service, health and reflection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from bartizan.plugins.errors import ConfigError
from bartizan.server.rpc.bridge import grpc_handler
from bartizan.server.rpc.call import Service
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.methods import MAX_MESSAGE_BYTES
from bartizan.server.rpc.tls import Tls

KEEPALIVE_SECONDS = 60
"""A connection silent for so long is asked for a sign of life: the other end may be gone without a
word, and most load balancers forget a silent connection after some minutes."""

KEEPALIVE_TIMEOUT_SECONDS = 20
"""How long that sign may take before the connection is closed."""

MIN_CLIENT_PING_SECONDS = 10
"""Clients that ping more often than this are cut off."""

MAX_CONNECTION_AGE_SECONDS = 30 * 60
"""Older connections are told to reconnect, so that load balancers spread them over new replicas.
gRPC varies it by a tenth, so that they do not come back all at once."""

MAX_CONNECTION_AGE_GRACE_SECONDS = 5 * 60
"""How long the streams of such a connection may go on before they are broken."""

MAX_CONCURRENT_STREAMS = 1_000
"""Calls open at once on one connection; further ones wait at the client."""

LOOKAHEAD_BYTES = 512 * 1024
"""How much gRPC reads ahead of us on one stream. Left to itself it probes the network and lets a
fast client's stream fill several megabytes, which no limit of ours counts."""

REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"


@dataclass(frozen=True, slots=True)
class GrpcServer:
    """A running gRPC server.

    Attributes:
        port: the bound one, also when 0 was asked for.
    """

    port: int
    server: grpc.aio.Server
    health: health.aio.HealthServicer
    services: Sequence[str]

    async def set_serving(self, serving: bool) -> None:
        """Tells the health checkers, for each service and for the whole."""
        states = health_pb2.HealthCheckResponse
        state = states.SERVING if serving else states.NOT_SERVING
        for name in ("", *self.services):
            await self.health.set(name, state)

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, lets open ones finish for `grace_s`, then cancels them. Idempotent."""
        await self.health.enter_graceful_shutdown()
        await self.server.stop(grace_s)


@asynccontextmanager
async def serve_grpc(
    services: Sequence[Service],
    gate: Gate,
    *,
    host: str,
    port: int,
    tls: Tls | None = None,
    reuse_port: bool = False,
    with_reflection: bool = True,
    keepalive_s: float = KEEPALIVE_SECONDS,
    max_connection_age_s: float = MAX_CONNECTION_AGE_SECONDS,
) -> AsyncIterator[GrpcServer]:
    """Serves until the block ends, then stops at once: call `stop` first to drain.

    It is NOT_SERVING until `set_serving(True)`. With `reuse_port` several processes may listen on
    one port. Raises ConfigError when the address or the TLS files cannot be used.
    """
    server = grpc.aio.server(options=_options(reuse_port, keepalive_s, max_connection_age_s))
    names = [service.DESCRIPTOR.full_name for service in services]
    server.add_generic_rpc_handlers(tuple(grpc_handler(service, gate) for service in services))
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    if with_reflection:
        _add_reflection([*names, health.SERVICE_NAME], server)
    running = GrpcServer(_listen(server, host, port, tls), server, checker, names)
    await running.set_serving(False)
    await server.start()
    try:
        yield running
    finally:
        await asyncio.shield(running.stop(0))


def _options(
    reuse_port: bool, keepalive_s: float, max_connection_age_s: float
) -> list[tuple[str, int]]:
    return [
        # On by default, it would let a second server take half of the calls without a word.
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", LOOKAHEAD_BYTES),
        ("grpc.max_concurrent_streams", MAX_CONCURRENT_STREAMS),
        ("grpc.keepalive_time_ms", int(keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_CLIENT_PING_SECONDS * 1000),
        ("grpc.max_connection_age_ms", int(max_connection_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", MAX_CONNECTION_AGE_GRACE_SECONDS * 1000),
    ]


def _listen(server: grpc.aio.Server, host: str, port: int, tls: Tls | None) -> int:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, tls.grpc_credentials())
    except RuntimeError as error:
        raise ConfigError(
            "ADDRESS_UNUSABLE",
            f"cannot listen on {address} for gRPC: it is in use or not an address of this machine",
            field="grpc_listen",
        ) from error


def _add_reflection(names: Sequence[str], server: grpc.aio.Server) -> None:
    servicer = reflection.aio.ReflectionServicer([*names, reflection.SERVICE_NAME, REFLECTION_V1])
    # Both versions have the same messages; the package brings only the old name.
    for name in (reflection.SERVICE_NAME, REFLECTION_V1):
        info = grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": info})
        server.add_generic_rpc_handlers((handler,))
