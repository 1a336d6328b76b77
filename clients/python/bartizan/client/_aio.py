"""The client for programs that run an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Callable

import grpc

from bartizan.client._calls.api import ATTEMPTS, TIMEOUT_S
from bartizan.client._calls.channel import OPTIONS, Tls, resolve
from bartizan.client._calls.errors import from_rpc
from bartizan.client._calls.outbox import check_batch
from bartizan.client._calls.retry import Backoff
from bartizan.v1 import trace_pb2, trace_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from bartizan.v1 import common_pb2


class AsyncBartizan:
    """Sends batches without blocking the event loop. The arguments are those of `Bartizan`.

    Make it inside the running loop and use it there only.
    """

    def __init__(
        self,
        api_key: str | None = None,
        endpoint: str | None = None,
        tls: Tls | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        max_attempts: int = ATTEMPTS,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        target = resolve(api_key, endpoint, tls)
        self._metadata = target.metadata
        self._channel = (
            grpc.aio.insecure_channel(target.address, OPTIONS)
            if target.credentials is None
            else grpc.aio.secure_channel(target.address, target.credentials, OPTIONS)
        )
        self._timeout_s = timeout_s
        self._max_attempts = max_attempts
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._ingest = trace_pb2_grpc.IngestServiceStub(self._channel)

    async def __aenter__(self) -> AsyncBartizan:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def export(
        self, spans: Iterable[common_pb2.Span], want_verdicts: bool = False
    ) -> trace_pb2.Ack:
        """Sends one batch and returns its ack, which means that it is committed.

        It is tried again while the server is away or full.

        Raises:
            InvalidArgument: the batch is empty or too large.
            BartizanError: the server refused it, or was away for too long.
        """
        request = trace_pb2.ExportTracesRequest(spans=spans, want_verdicts=want_verdicts)
        check_batch(len(request.spans), request.ByteSize())
        failures = 0
        while True:
            try:
                response = await self._ingest.ExportTraces(
                    request, metadata=self._metadata, timeout=self._timeout_s
                )
            except grpc.RpcError as raised:
                error = from_rpc(raised)
            else:
                return response.ack
            failures += 1
            if not error.retryable or failures >= self._max_attempts:
                raise error
            await self._sleep(self._backoff.delay_s(failures, error.retry_delay_s))
