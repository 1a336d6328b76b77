"""The floor: the shortest program that makes the same rows durable, to give ratios on any machine.

    python -m tests.bench.floor --data-dir DIR [--parse-only | --no-store]

Stream or export in, parse, rows as Python tuples, binary COPY into tables like the server's,
commit, ack. It checks nothing, redacts nothing, knows no projects, keys, duplicates or rollups. It
answers the same calls as the server, so the same load client drives both.
"""

import argparse
import asyncio
import contextlib
import importlib
import signal
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import uvloop
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.bench.floor_rows import Row, native_rows, otlp_rows

from bartizan.server.ingest.encode import PAYLOAD_COLUMNS, SPAN_COLUMNS
from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.server.store.engine import Connection
from bartizan.v1 import trace_pb2

MIGRATION = "bartizan.server.store.migrations.versions.0001_spine"
Done = asyncio.Future[None]
Response = trace_pb2.StreamTracesResponse


class Committer:
    """Stores all rows that gathered during the last commit in one transaction."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._payloads: list[Row] = []
        self._waiting: list[Done] = []
        self._wake = asyncio.Event()

    def add(self, rows: list[Row], payloads: list[Row]) -> Done:
        """Takes the rows of one batch; the future is done when they are committed."""
        done: Done = asyncio.get_running_loop().create_future()
        self._rows += rows
        self._payloads += payloads
        self._waiting.append(done)
        self._wake.set()
        return done

    async def run(self, connection: Connection) -> None:
        """Commits until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            rows, payloads, waiting = self._rows, self._payloads, self._waiting
            self._rows, self._payloads, self._waiting = [], [], []
            async with connection.transaction():
                await _copy(connection, "spans", rows, SPAN_COLUMNS)
                await _copy(connection, "span_payloads", payloads, PAYLOAD_COLUMNS)
            for done in waiting:
                if not done.done():
                    done.set_result(None)


class Floor:
    """The two calls.

    Args:
        committer: None to ack without storing.
        parse_only: ack without even making rows.
    """

    def __init__(self, committer: Committer | None, *, parse_only: bool) -> None:
        self._committer = committer
        self._parse_only = parse_only

    async def stream(
        self, requests: AsyncIterator[trace_pb2.StreamTracesRequest], _: object
    ) -> AsyncGenerator[Response, None]:
        """Acks each batch of a native stream after its commit, in order."""
        answers: asyncio.Queue[tuple[trace_pb2.SpanBatch, Done | None] | None] = asyncio.Queue()
        reader = asyncio.create_task(self._read(requests, answers))
        yield Response(opened=trace_pb2.StreamOpened(max_in_flight=64))
        while (answer := await answers.get()) is not None:
            batch, done = answer
            if done is not None:
                await done
            yield Response(ack=trace_pb2.Ack(seq=batch.seq, stored=len(batch.spans)))
        await reader

    async def _read(
        self,
        requests: AsyncIterator[trace_pb2.StreamTracesRequest],
        answers: "asyncio.Queue[tuple[trace_pb2.SpanBatch, Done | None] | None]",
    ) -> None:
        async for request in requests:
            if request.HasField("batch"):
                answers.put_nowait((request.batch, self._take(request.batch.spans, native_rows)))
        answers.put_nowait(None)

    async def export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, _: object
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Answers an OTLP export after its commit."""
        done = self._take(request, otlp_rows)
        if done is not None:
            await done
        return trace_service_pb2.ExportTraceServiceResponse()

    def _take(self, message: Any, convert: Any) -> Done | None:
        if self._parse_only:
            return None
        rows, payloads = convert(message)
        return self._committer.add(rows, payloads) if self._committer is not None else None


async def serve(data_dir: Path, *, store: bool, parse_only: bool) -> None:
    """Serves until SIGTERM or SIGINT."""
    async with contextlib.AsyncExitStack() as stack:
        committer = Committer() if store else None
        if committer is not None:
            database = await stack.enter_async_context(EmbeddedPostgres(data_dir))
            connection = await asyncpg.connect(database.url)
            stack.push_async_callback(connection.close)
            await _create_tables(connection)
            task = asyncio.create_task(committer.run(connection))
            stack.callback(task.cancel)
        server = grpc.aio.server(options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)])
        server.add_generic_rpc_handlers(_handlers(Floor(committer, parse_only=parse_only)))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, None)
        print(f"ready grpc=127.0.0.1:{port} http=127.0.0.1:0", flush=True)
        await _told_to_stop()


def _handlers(floor: Floor) -> tuple[grpc.GenericRpcHandler, ...]:
    stream = grpc.stream_stream_rpc_method_handler(
        floor.stream,
        request_deserializer=trace_pb2.StreamTracesRequest.FromString,
        response_serializer=Response.SerializeToString,
    )
    export = grpc.unary_unary_rpc_method_handler(
        floor.export,
        request_deserializer=trace_service_pb2.ExportTraceServiceRequest.FromString,
        response_serializer=trace_service_pb2.ExportTraceServiceResponse.SerializeToString,
    )
    otlp = "opentelemetry.proto.collector.trace.v1.TraceService"
    return (
        grpc.method_handlers_generic_handler("bartizan.v1.IngestService", {"StreamTraces": stream}),
        grpc.method_handlers_generic_handler(otlp, {"Export": export}),
    )


async def _create_tables(connection: Connection) -> None:
    # From the migration itself, so that columns and indexes cannot drift apart.
    await connection.execute(importlib.import_module(MIGRATION).SPANS.format(partitioned=""))


async def _copy(
    connection: Connection, table: str, rows: list[Row], columns: tuple[str, ...]
) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


async def _told_to_stop() -> None:
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    await told.wait()


def main() -> None:
    """Serves as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.floor", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--parse-only", action="store_true")
    parser.add_argument("--no-store", action="store_true")
    chosen = parser.parse_args()
    store = not (chosen.parse_only or chosen.no_store)
    uvloop.run(serve(chosen.data_dir, store=store, parse_only=chosen.parse_only))


if __name__ == "__main__":
    main()
