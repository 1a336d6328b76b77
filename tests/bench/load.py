"""A load client, in a process of its own; prints one JSON line when it is done.

    python -m tests.bench.load --target HOST:PORT --key KEY --seconds 5

It sends either as fast as its windows allow, or at a fixed rate. At a fixed rate a batch's latency
counts from the moment it was due, so that a server which stalls cannot hide it by slowing down the
client.
"""

import argparse
import asyncio
import json
import resource
import time
import uuid
from collections import deque
from dataclasses import asdict

import grpc
import uvloop
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.bench.plan import Pace, Plan, Tally, percentiles
from tests.bench.spans import BATCH_SPANS, NativeBatches, OtlpBatches

from bartizan.v1 import trace_pb2

STREAM_METHOD = "/bartizan.v1.IngestService/StreamTraces"
EXPORT_METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OPTIONS = [
    # Each stream has a connection of its own, as in real life; that also spreads them over workers.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]
RETRY_S = 0.05
"""How long a sender waits after an error."""
DRAIN_S = 5
"""How long a stream waits for its last acks."""
EXPORT_TIMEOUT_S = 30
UNARY_CHANNELS = 4


class Stream:
    """Sends native batches over streams, a new one when one breaks."""

    def __init__(self, plan: Plan, pace: Pace, tally: Tally, batches: NativeBatches) -> None:
        self._plan = plan
        self._pace = pace
        self._tally = tally
        self._batches = batches

    async def run(self, sender: int) -> None:
        """Sends until it is over, then waits for the last acks."""
        number = 0
        async with grpc.aio.insecure_channel(self._plan.target, OPTIONS) as channel:
            method: Method = channel.stream_stream(STREAM_METHOD)
            while not self._pace.over:
                call = method(metadata=_metadata(self._plan))
                try:
                    number = await self._talk(call, sender, number)
                except grpc.aio.AioRpcError as error:
                    self._tally.errors[error.code().name] += 1
                    await asyncio.sleep(RETRY_S)

    async def _talk(self, call: "Call", sender: int, number: int) -> int:
        opened = trace_pb2.StreamOpen(stream_id=str(uuid.uuid4()))
        await call.write(trace_pb2.StreamTracesRequest(open=opened).SerializeToString())
        await call.read()
        sent: deque[float] = deque()
        room = asyncio.Semaphore(1_000_000 if self._plan.rate else self._plan.window)
        reader = asyncio.create_task(self._read(call, sent, room))
        try:
            seq = 0
            while not reader.done():
                await room.acquire()
                due = await self._pace.due(sender, number)
                if not due:
                    break
                number, seq = number + 1, seq + 1
                sent.append(due)
                await call.write(self._batches.next(seq))
            await call.done_writing()
            async with asyncio.timeout(DRAIN_S):
                await reader
        except TimeoutError:
            self._tally.not_stored["unanswered"] += len(sent) * BATCH_SPANS
        except asyncio.InvalidStateError:
            await reader  # raises what ended the call
        finally:
            reader.cancel()
            call.cancel()
        return number

    async def _read(self, call: "Call", sent: deque[float], room: asyncio.Semaphore) -> None:
        try:
            await self._take_answers(call, sent, room)
        finally:
            room.release()  # a writer that waits must see that the call is over

    async def _take_answers(
        self, call: "Call", sent: deque[float], room: asyncio.Semaphore
    ) -> None:
        while isinstance(message := await call.read(), bytes):
            answer = trace_pb2.StreamTracesResponse.FromString(message)
            which = answer.WhichOneof("message")
            if which == "ack":
                self._tally.acked(sent.popleft())
                _count_ack(self._tally, answer.ack)
                room.release()
            elif which == "throttle":
                self._tally.not_stored["throttles"] += 1
        if await call.code() is not grpc.StatusCode.OK:
            raise grpc.aio.AioRpcError(await call.code(), grpc.aio.Metadata(), grpc.aio.Metadata())


class Exporter:
    """Sends OTLP exports, one at a time; several share a channel."""

    def __init__(self, plan: Plan, pace: Pace, tally: Tally, batches: OtlpBatches) -> None:
        self._plan = plan
        self._pace = pace
        self._tally = tally
        self._batches = batches
        self._channels = [
            grpc.aio.insecure_channel(plan.target, OPTIONS) for _ in range(UNARY_CHANNELS)
        ]

    async def run(self, sender: int) -> None:
        """Sends until it is over."""
        export: Export = self._channels[sender % UNARY_CHANNELS].unary_unary(EXPORT_METHOD)
        number = 0
        while due := await self._pace.due(sender, number):
            number += 1
            try:
                answer = await export(
                    self._batches.next(), metadata=_metadata(self._plan), timeout=EXPORT_TIMEOUT_S
                )
            except grpc.aio.AioRpcError as error:
                self._tally.errors[error.code().name] += 1
                await asyncio.sleep(RETRY_S)
                continue
            self._tally.acked(due)
            response = trace_service_pb2.ExportTraceServiceResponse.FromString(answer)
            if response.partial_success.rejected_spans:
                self._tally.not_stored["rejected"] += response.partial_success.rejected_spans


Call = grpc.aio.StreamStreamCall[bytes, bytes]
Method = grpc.aio.StreamStreamMultiCallable[bytes, bytes]
Export = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]


def _metadata(plan: Plan) -> tuple[tuple[str, str], ...]:
    return (("x-api-key", plan.key),) if plan.key else ()


def _count_ack(tally: Tally, ack: trace_pb2.Ack) -> None:
    if ack.stored != BATCH_SPANS:
        tally.not_stored["duplicate"] += ack.duplicate
        tally.not_stored["quarantined"] += ack.quarantined
        tally.not_stored["rejected"] += len(ack.rejected)


async def send(plan: Plan) -> dict[str, object]:
    """Carries out a plan; returns figures, times in milliseconds."""
    batches = OtlpBatches(plan.seed) if plan.otlp else NativeBatches(plan.seed)
    cpu, start = _cpu_s(), time.perf_counter()
    tally = Tally(start + plan.warmup, start + plan.warmup + plan.seconds)
    pace = Pace(plan, start)
    sender = (
        Exporter(plan, pace, tally, batches)
        if isinstance(batches, OtlpBatches)
        else Stream(plan, pace, tally, batches)
    )
    async with asyncio.TaskGroup() as tasks:
        for number in range(plan.senders):
            tasks.create_task(sender.run(number))
    seconds = min(tally.last_ack, tally.end) - tally.begin
    return {
        "spans": tally.spans,
        "seconds": round(seconds, 3),
        "spans_per_s": round(tally.spans / seconds) if seconds > 0 else 0,
        "spans_total": tally.spans_total,
        "client_us": round((_cpu_s() - cpu) * 1e6 / max(1, tally.spans_total), 2),
        "errors": dict(tally.errors),
        "not_stored": dict(tally.not_stored),
        **percentiles(tally.latencies),
    }


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def parse(arguments: list[str] | None = None) -> Plan:
    """Returns the plan that the command line says; one option for each field."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    for name, default in asdict(Plan("")).items():
        option = f"--{name}"
        if isinstance(default, bool):
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(default), default=default)
    return Plan(**vars(parser.parse_args(arguments)))


def main() -> None:
    """Sends as the command line says and prints the figures."""
    print(json.dumps(uvloop.run(send(parse()))))


if __name__ == "__main__":
    main()
