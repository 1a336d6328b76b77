"""The native doors for spans, served on a real database with a writer that runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.doors import channel, grpc_details
from tests.support.writing import connected, running

from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import Unauthenticated
from bartizan.plugins.judgement import Context, Judgement, Ruled
from bartizan.plugins.rules import Rule
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.pipeline import Pipeline
from bartizan.server.ingest.quota import Quotas
from bartizan.server.ingest.writer import Writer
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Principal, Scope
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.server.rpc.ingest import IngestService
from bartizan.server.store.engine import Connection
from bartizan.server.store.streams import last_seq
from bartizan.v1 import common_pb2, trace_pb2, trace_pb2_grpc

MAX_IN_FLIGHT = 4
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database()
"""

Request = trace_pb2.StreamTracesRequest
Response = trace_pb2.StreamTracesResponse
Span = common_pb2.Span


class Censor:
    """Blocks what is bad, redacts what is private, and only says so of what is odd."""

    looks_at_context = looks_at_groups = False
    deferred: Sequence[Rule] = ()

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        decisions: dict[int, list[Ruled]] = {}
        replacements = {}
        for index, text in enumerate(texts):
            for word, verdict, action in (
                ("bad", Verdict.DENY, Action.BLOCK),
                ("private", Verdict.MODIFY, Action.REDACT),
                ("odd", Verdict.DENY, Action.FLAG),
            ):
                if word in text.value:
                    finding = Finding(f"test.{word}", 1.0, 0, 3, "WORD")
                    ruled = Ruled(finding, word, "v1", verdict, action, shadow=word == "odd")
                    decisions.setdefault(index, []).append(ruled)
            if "private" in text.value:
                replacements[index] = "[X]"
        return Judgement(decisions, replacements, complete=True)


CENSOR = Censor()


class Keys:
    """Knows every key of the form `project` or `project/quota`, until it is revoked."""

    def __init__(self) -> None:
        self.revoked: set[int] = set()

    async def authenticate(self, metadata: Mapping[str, str]) -> Principal:
        project, _, quota = metadata["x-api-key"].partition("/")
        return principal(int(project), int(quota or 0))

    def check(self, principal: Principal) -> None:
        if principal.project_id in self.revoked:
            raise Unauthenticated("INVALID_KEY", "the API key has ended")


def principal(project_id: int, quota: int = 0) -> Principal:
    return Principal(1, project_id, 1, "acme", "p", frozenset({int(Scope.SCOPE_INGEST)}), quota)


class House:
    """The service on a database, with a writer that runs."""

    def __init__(self, engine: AsyncEngine, writer: Writer) -> None:
        self.writer, self.keys = writer, Keys()
        pipeline = Pipeline(
            Judge(lambda project_id: CENSOR), Encoder(1 << 20), writer, time.time_ns
        )
        self.now_ns = 1
        self.service = IngestService(
            pipeline,
            Quotas(lambda: self.now_ns),
            time.time_ns,
            last_seq=partial(last_seq, engine),
            check_key=self.keys.check,
            max_in_flight=MAX_IN_FLIGHT,
        )
        self.stub: Any = None

    def open(self, key: object, stream_id: str = "s", **options: Any) -> "Stream":
        """Opens a stream with a key."""
        call = self.stub.StreamTraces(metadata=(("x-api-key", str(key)),))
        return Stream(call, trace_pb2.StreamOpen(stream_id=stream_id, **options))

    async def export(self, key: object, spans: list[Span], **options: Any) -> trace_pb2.Ack:
        """Sends one batch."""
        request = trace_pb2.ExportTracesRequest(spans=spans, **options)
        response = await self.stub.ExportTraces(request, metadata=(("x-api-key", str(key)),))
        ack: trace_pb2.Ack = response.ack
        return ack


class Stream:
    """The client's end of a stream."""

    def __init__(self, call: Any, opening: trace_pb2.StreamOpen) -> None:
        self.call = call
        self._opening = opening

    async def __aenter__(self) -> "Stream":
        await self.write(Request(open=self._opening))
        self.opened = (await self.read()).opened
        return self

    async def __aexit__(self, *_: object) -> None:
        self.call.cancel()

    async def write(self, request: Request) -> None:
        await self.call.write(request)

    async def send(self, seq: int, *spans: Span) -> None:
        """Sends a batch."""
        await self.write(Request(batch=trace_pb2.SpanBatch(seq=seq, spans=spans)))

    async def read(self) -> Response:
        """Returns the next message."""
        response = await self.call.read()
        assert response is not grpc.aio.EOF
        read: Response = response
        return read

    async def ack(self) -> trace_pb2.Ack:
        """Returns the next message, which must be an ack."""
        response = await self.read()
        assert response.WhichOneof("message") == "ack", response
        return response.ack

    async def summary(self) -> trace_pb2.StreamSummary:
        """Half-closes; returns the last message."""
        await self.call.done_writing()
        response = await self.read()
        assert response.WhichOneof("message") == "summary", response
        assert await self.call.read() is grpc.aio.EOF
        assert await self.call.code() is grpc.StatusCode.OK
        return response.summary

    async def refusal(self) -> tuple[str, str]:
        """Returns code and reason of the error that ends the stream now."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.read()
        return caught.value.code().name, grpc_details(caught.value).info.reason


@asynccontextmanager
async def served(engine: AsyncEngine, url: str, **options: int) -> AsyncIterator[House]:
    async with running(url, **options) as writer:
        while writer.problem:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        house = House(engine, writer)
        gate = Gate(house.keys, Metrics(CollectorRegistry()))
        async with (
            serve_grpc([house.service], gate, host="127.0.0.1", port=0) as server,
            channel(server.port) as wire,
        ):
            house.stub = trace_pb2_grpc.IngestServiceStub(wire)
            yield house


@asynccontextmanager
async def ledger_locked(url: str) -> AsyncIterator[None]:
    """Lets no transaction of the writer come to its end."""
    async with connected(url) as locking, locking.transaction():
        await locking.execute("LOCK TABLE ledger IN EXCLUSIVE MODE")
        yield


async def until_blocked(connection: Connection, house: House, behind: int = 0) -> None:
    """Returns when the writer waits for the lock, with so many batches behind."""
    while not await connection.fetchval(BLOCKED) or len(house.writer._queue) < behind:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
