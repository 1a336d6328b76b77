"""One open stream of spans: reads ahead while commits are under way, and acks in order."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from bartizan.plugins.errors import InvalidArgument, Overloaded, Unavailable
from bartizan.server.ingest.batch import Batch, Outcome
from bartizan.server.ingest.group import Pending
from bartizan.server.ingest.native_batch import NativeBatches
from bartizan.server.ingest.pipeline import Pipeline
from bartizan.server.ingest.quota import Quotas
from bartizan.server.rpc import convert
from bartizan.server.rpc.call import Principal
from bartizan.v1 import trace_pb2

Request = trace_pb2.StreamTracesRequest
Response = trace_pb2.StreamTracesResponse


@dataclass(frozen=True, slots=True)
class Intake:
    """What all streams of a process share."""

    pipeline: Pipeline
    quotas: Quotas
    batches: NativeBatches
    check_key: Callable[[Principal], None]
    max_in_flight: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A batch whose commit is under way."""

    batch: Batch
    outcome: asyncio.Future[Outcome]


class IngestStream:
    """One connection of one stream."""

    def __init__(
        self,
        intake: Intake,
        principal: Principal,
        stream_key: str,
        last_seq: int,
        *,
        want_verdicts: bool,
    ) -> None:
        self._intake = intake
        self._principal = principal
        self._stream_key = stream_key
        self._want_verdicts = want_verdicts
        self._summary = trace_pb2.StreamSummary(last_committed_seq=last_seq)
        self._answers: asyncio.Queue[_Waiting | Response | Exception | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(intake.max_in_flight)
        self._reader: asyncio.Task[None] | None = None
        self._draining = False

    async def run(self, requests: AsyncIterator[Request]) -> AsyncGenerator[Response, None]:
        """Yields acks in the order of the batches, throttles between them, a summary at the end.

        Raises what ended the stream, after the acks of all batches that were read before it.
        """
        self._reader = asyncio.create_task(self._read(requests))
        try:
            while (answer := await self._answers.get()) is not None:
                if isinstance(answer, Exception):
                    raise answer
                if isinstance(answer, _Waiting):
                    yield await self._ack(answer)
                    self._room.release()
                else:
                    yield answer
            yield Response(summary=self._summary)
        finally:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    def drain(self) -> None:
        """Reads no further and lets `run` end after the acks of what was read."""
        self._draining = True
        if self._reader is not None:
            self._reader.cancel()

    async def _ack(self, waiting: _Waiting) -> Response:
        outcome = await waiting.outcome
        summary = self._summary
        summary.batches += 1
        summary.last_committed_seq = max(summary.last_committed_seq, waiting.batch.seq)
        summary.stored += outcome.stored
        summary.duplicate += outcome.duplicate
        summary.quarantined += outcome.quarantined
        summary.rejected += len(waiting.batch.refused)
        return Response(ack=convert.ack(waiting.batch, outcome, self._want_verdicts))

    async def _read(self, requests: AsyncIterator[Request]) -> None:
        """Reads until the client half-closes, the stream fails or the server drains."""
        end: Exception | None = None
        try:
            seq = 0
            async for request in requests:
                seq = _next_seq(request, seq)
                await self._room.acquire()
                self._intake.check_key(self._principal)
                await self._take(request.batch)
        except asyncio.CancelledError:
            if not self._draining:
                raise
            end = Unavailable("SHUTTING_DOWN", "The server is shutting down; connect again.")
        except Exception as error:
            end = error
        self._answers.put_nowait(end)

    async def _take(self, message: trace_pb2.SpanBatch) -> None:
        batch = await self._intake.batches.make(self._principal.project_id, message.spans)
        batch.stream_key, batch.seq = self._stream_key, message.seq
        wait = self._intake.quotas.spend(
            self._principal.project_id, len(message.spans), self._principal.max_spans_per_second
        )
        if wait:
            self._throttle(wait, "project.spans_per_second")
            await asyncio.sleep(wait)
        pending = await self._intake.pipeline.prepare(batch)
        self._answers.put_nowait(_Waiting(batch, await self._enqueue(pending)))

    async def _enqueue(self, pending: Pending) -> asyncio.Future[Outcome]:
        writer = self._intake.pipeline.writer
        while True:
            try:
                return writer.enqueue(pending)
            except Overloaded as error:
                # A stream is slowed down, not broken: what it sent is held, and it reads no more.
                self._throttle(error.retry_delay_s or 1.0, error.metadata["limit"])
                await writer.room()

    def _throttle(self, seconds: float, limit: str) -> None:
        delay = Duration()
        delay.FromMilliseconds(int(seconds * 1000))
        throttle = trace_pb2.Throttle(retry_delay=delay, limit=limit)
        self._answers.put_nowait(Response(throttle=throttle))


def _next_seq(request: Request, last: int) -> int:
    if request.WhichOneof("message") != "batch":
        raise InvalidArgument("NOT_A_BATCH", "Only batches may follow open.", field="batch")
    seq = request.batch.seq
    if seq <= last:
        raise InvalidArgument(
            "SEQ_OUT_OF_ORDER",
            f"A batch has seq {seq} after {last}; each must be higher than the one before.",
            field="batch.seq",
        )
    return seq
