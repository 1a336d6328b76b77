"""The native doors for spans: one batch at a time, or a stream of them."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import ClassVar

from bartizan.plugins.errors import DeadlineExceeded, InvalidArgument, Unavailable
from bartizan.server.ingest.native_batch import NativeBatches
from bartizan.server.ingest.pipeline import Pipeline
from bartizan.server.ingest.quota import Quotas
from bartizan.server.rpc import convert
from bartizan.server.rpc.call import Call, Principal, Scope
from bartizan.server.rpc.stream import IngestStream, Intake
from bartizan.v1 import trace_pb2

OPEN_TIMEOUT_S = 30
"""A stream that has not said `open` by then is closed; a live client says it first."""
MAX_STREAM_ID = 128


class IngestService:
    """Takes spans in; answers after the commit."""

    DESCRIPTOR: ClassVar = trace_pb2.DESCRIPTOR.services_by_name["IngestService"]
    SCOPES: ClassVar[Mapping[str, int | None]] = {
        "StreamTraces": Scope.SCOPE_INGEST,
        "ExportTraces": Scope.SCOPE_INGEST,
    }

    def __init__(
        self,
        pipeline: Pipeline,
        quotas: Quotas,
        clock_ns: Callable[[], int],
        *,
        last_seq: Callable[[int, str], Awaitable[int]],
        check_key: Callable[[Principal], None],
        max_in_flight: int,
    ) -> None:
        """Makes the service.

        Args:
            last_seq: returns the highest committed seq of (project id, stream key).
            check_key: raises Unauthenticated once a principal's key has ended.
            max_in_flight: batches of one stream that may wait for their acks.
        """
        self._intake = Intake(pipeline, quotas, NativeBatches(clock_ns), check_key, max_in_flight)
        self._last_seq = last_seq
        self._streams: set[IngestStream] = set()
        self._draining = False

    async def ExportTraces(
        self, request: trace_pb2.ExportTracesRequest, call: Call
    ) -> trace_pb2.ExportTracesResponse:
        """Stores one batch."""
        principal = call.principal
        self._intake.quotas.demand(
            principal.project_id, len(request.spans), principal.max_spans_per_second
        )
        batch = await self._intake.batches.make(principal.project_id, request.spans)
        outcome = await self._intake.pipeline.submit(batch)
        return trace_pb2.ExportTracesResponse(
            ack=convert.ack(batch, outcome, request.want_verdicts)
        )

    async def StreamTraces(
        self, requests: AsyncIterator[trace_pb2.StreamTracesRequest], call: Call
    ) -> AsyncIterator[trace_pb2.StreamTracesResponse]:
        """Stores batches as they come, and acks them in their order."""
        if self._draining:
            raise _stopping()
        opened = await _opening(requests)
        # The name is the client's and may say anything; what is stored of it says nothing.
        stream_key = hashlib.sha256(opened.stream_id.encode()).hexdigest()
        last_seq = await self._last_seq(call.principal.project_id, stream_key)
        yield trace_pb2.StreamTracesResponse(
            opened=trace_pb2.StreamOpened(
                last_committed_seq=last_seq, max_in_flight=self._intake.max_in_flight
            )
        )
        if self._draining:  # while the last seq was looked up: nobody would tell this stream
            raise _stopping()
        stream = IngestStream(
            self._intake, call.principal, stream_key, last_seq, want_verdicts=opened.want_verdicts
        )
        self._streams.add(stream)
        try:
            async with contextlib.aclosing(stream.run(requests)) as responses:
                async for response in responses:
                    yield response
        finally:
            self._streams.discard(stream)

    def drain(self) -> None:
        """Lets open streams finish what they have read and then end as UNAVAILABLE."""
        self._draining = True
        for stream in self._streams:
            stream.drain()


def _stopping() -> Unavailable:
    return Unavailable("SHUTTING_DOWN", "The server is shutting down; connect again.")


async def _opening(
    requests: AsyncIterator[trace_pb2.StreamTracesRequest],
) -> trace_pb2.StreamOpen:
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            first = await anext(requests, None)
    except TimeoutError:
        raise DeadlineExceeded(
            "STREAM_NOT_OPENED", f"The stream said nothing for {OPEN_TIMEOUT_S} seconds."
        ) from None
    if first is None or first.WhichOneof("message") != "open":
        raise InvalidArgument(
            "STREAM_NOT_OPENED", "The first message of a stream must be open.", field="open"
        )
    stream_id = first.open.stream_id
    if not 1 <= len(stream_id) <= MAX_STREAM_ID or not stream_id.isprintable():
        raise InvalidArgument(
            "BAD_STREAM_ID",
            f"A stream_id has 1 to {MAX_STREAM_ID} printable characters.",
            field="open.stream_id",
        )
    return first.open
