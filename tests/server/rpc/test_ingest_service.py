"""The native doors for spans, over real gRPC and a real database."""

import asyncio
import contextlib
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
from tests.server.rpc.reading import make_span
from tests.support.database import Databases, project_ids
from tests.support.writing import connected, holdings, ledger, running

from bartizan.plugins.contract import Finding, Text
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import Unauthenticated
from bartizan.plugins.judgement import Context, Judgement, Ruled
from bartizan.server.ingest import writer as writer_module
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.judging import Judge
from bartizan.server.ingest.native_batch import MAX_BATCH_SPANS
from bartizan.server.ingest.pipeline import Pipeline
from bartizan.server.ingest.quota import Quotas
from bartizan.server.ingest.writer import Writer
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Call, Principal, Scope
from bartizan.server.rpc.gate import Gate
from bartizan.server.rpc.grpc_server import serve_grpc
from bartizan.server.rpc.ingest import IngestService
from bartizan.server.store.engine import Connection, connect, create_engine
from bartizan.server.store.streams import last_seq
from bartizan.v1 import common_pb2, trace_pb2, trace_pb2_grpc

MAX_IN_FLIGHT = 4
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"

Request = trace_pb2.StreamTracesRequest
Response = trace_pb2.StreamTracesResponse
Span = common_pb2.Span


class Censor:
    """Blocks what is bad, redacts what is private, and only says so of what is odd."""

    generation = 1
    looks_at_context = False

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
        pipeline = Pipeline(Judge(Censor()), Encoder(1 << 20), writer, time.time_ns)
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


@pytest.fixture(autouse=True)
def reconnecting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "RECONNECT_DELAY_S", 0.01)


@pytest.fixture(scope="module")
async def url(databases: Databases) -> AsyncIterator[str]:
    """A database whose tables tests may lock."""
    url = await databases.create()
    yield url
    await databases.drop(url)


@pytest.fixture(scope="module")
async def engine(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
async def connection(url: str) -> AsyncIterator[Connection]:
    connection = await connect(url)
    yield connection
    await connection.close()


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


@pytest.fixture
async def house(engine: AsyncEngine, url: str) -> AsyncIterator[House]:
    async with served(engine, url) as house:
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


def text_span(number: int, content: str) -> Span:
    span = make_span(number)
    span.input.add(role=common_pb2.ROLE_USER, content=content)
    return span


async def test_a_stream_from_open_to_summary(
    house: House, connection: Connection, project_id: int
) -> None:
    async with house.open(project_id) as stream:
        assert stream.opened == trace_pb2.StreamOpened(max_in_flight=MAX_IN_FLIGHT)
        await stream.send(1, make_span(1), make_span(2), Span(name="no ids"))
        ack = await stream.ack()
        assert (ack.seq, ack.stored, ack.duplicate, ack.quarantined) == (1, 2, 0, 0)
        (rejected,) = ack.rejected
        assert (rejected.index, rejected.field) == (2, "trace_id")
        assert rejected.reason == trace_pb2.REJECT_REASON_MISSING
        await stream.send(5, make_span(2), make_span(3))
        assert await stream.ack() == trace_pb2.Ack(seq=5, stored=1, duplicate=1)
        assert await stream.summary() == trace_pb2.StreamSummary(
            batches=2, stored=3, duplicate=1, rejected=1, last_committed_seq=5
        )
    counts = {"received": 5, "stored": 3, "duplicate": 1, "rejected": 1}
    assert await ledger(connection, project_id) == counts


async def test_nothing_but_open_comes_first(house: House, project_id: int) -> None:
    batch = Request(batch=trace_pb2.SpanBatch(seq=1, spans=[make_span(1)]))
    for first in (batch, Request(), None):
        stream = house.open(project_id)
        if first is not None:
            await stream.write(first)
        await stream.call.done_writing()
        assert await stream.refusal() == ("INVALID_ARGUMENT", "STREAM_NOT_OPENED")


@pytest.mark.parametrize("stream_id", ["", "x" * 129, "two\nlines", "\u202e"])
async def test_stream_ids_have_a_form(house: House, project_id: int, stream_id: str) -> None:
    stream = house.open(project_id)
    await stream.write(Request(open=trace_pb2.StreamOpen(stream_id=stream_id)))
    assert await stream.refusal() == ("INVALID_ARGUMENT", "BAD_STREAM_ID")


@pytest.mark.parametrize("message", [Request(), Request(open=trace_pb2.StreamOpen(stream_id="s"))])
async def test_nothing_but_batches_follows(house: House, project_id: int, message: Request) -> None:
    async with house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.write(message)
        assert (await stream.ack()).stored == 1
        assert await stream.refusal() == ("INVALID_ARGUMENT", "NOT_A_BATCH")


@pytest.mark.parametrize("seqs", [[0], [-1], [3, 3], [1, 2, 1]])
async def test_the_order_of_batches_is_enforced(
    house: House, project_id: int, seqs: list[int]
) -> None:
    async with house.open(project_id) as stream:
        for seq in seqs:
            await stream.send(seq, make_span(abs(seq) + 1))
        for seq in seqs[:-1]:
            assert (await stream.ack()).seq == seq
        assert await stream.refusal() == ("INVALID_ARGUMENT", "SEQ_OUT_OF_ORDER")


async def test_a_stream_goes_on_where_it_was(house: House, project_id: int) -> None:
    other = next(project_ids)
    async with house.open(project_id, "mine") as stream:
        await stream.send(7, make_span(1))
        await stream.ack()
    async with house.open(project_id, "mine") as stream:
        assert stream.opened.last_committed_seq == 7
        # What was sent and may not have been acked is sent again.
        await stream.send(7, make_span(1))
        assert await stream.ack() == trace_pb2.Ack(seq=7, duplicate=1)
        await stream.send(8, make_span(2))
        assert (await stream.ack()).stored == 1
        assert (await stream.summary()).last_committed_seq == 8
    for key, stream_id in ((project_id, "other"), (other, "mine")):
        async with house.open(key, stream_id) as stream:
            assert stream.opened.last_committed_seq == 0
    async with house.open(project_id, "mine") as stream:
        assert (await stream.summary()) == trace_pb2.StreamSummary(last_committed_seq=8)


async def test_acks_come_in_order_however_many_batches_are_under_way(
    engine: AsyncEngine, url: str, project_id: int
) -> None:
    async with served(engine, url, group_spans=3) as house, house.open(project_id) as stream:
        batches = 60

        async def send() -> None:
            for seq in range(1, batches + 1):
                spans = [make_span(seq * 10 + n) for n in range(seq % 4)]
                await stream.send(seq, *spans)

        sending = asyncio.create_task(send())
        acks = [await stream.ack() for _ in range(batches)]
        await sending
        assert [ack.seq for ack in acks] == list(range(1, batches + 1))
        assert [ack.stored for ack in acks] == [seq % 4 for seq in range(1, batches + 1)]
        assert (await stream.summary()).batches == batches


async def test_half_closing_waits_for_what_is_under_way(
    house: House, url: str, connection: Connection, project_id: int
) -> None:
    async with house.open(project_id) as stream:
        async with ledger_locked(url):
            for seq in (1, 2, 3):
                await stream.send(seq, make_span(seq))
            await stream.call.done_writing()
            await until_blocked(connection, house)
        assert [(await stream.ack()).seq for _ in range(3)] == [1, 2, 3]
        assert (await stream.read()).summary.stored == 3


async def test_an_empty_batch_is_acked(house: House, project_id: int) -> None:
    async with house.open(project_id) as stream:
        await stream.send(1)
        assert await stream.ack() == trace_pb2.Ack(seq=1)
    async with house.open(project_id) as stream:
        assert stream.opened.last_committed_seq == 1


async def test_verdicts_are_told_to_those_who_ask(
    house: House, connection: Connection, project_id: int
) -> None:
    spans = [
        text_span(1, "fine"),
        text_span(2, "private and bad"),
        Span(name="rejected"),
        text_span(3, "odd"),
    ]
    async with house.open(project_id, want_verdicts=True) as stream:
        await stream.send(1, *spans)
        ack = await stream.ack()
    strict, shadow = ack.verdicts
    assert (strict.index, strict.verdict) == (1, common_pb2.VERDICT_DENY)
    assert [finding.category for finding in strict.findings] == ["test.bad", "test.private"]
    assert strict.findings[0].span_id == f"{2:016x}"
    assert (shadow.index, shadow.verdict) == (3, common_pb2.VERDICT_ALLOW)
    assert [finding.shadow for finding in shadow.findings] == [True]
    other = next(project_ids)
    assert len((await house.export(other, spans, want_verdicts=True)).verdicts) == 2
    assert not (await house.export(other, spans)).verdicts
    async with house.open(other) as stream:
        await stream.send(1, *spans)
        assert not (await stream.ack()).verdicts
    stored = str((await holdings(connection, project_id, ["span_payloads"]))["span_payloads"])
    assert "private" not in stored
    assert "[X]" in stored


async def test_a_full_queue_slows_a_stream_and_breaks_nothing(
    engine: AsyncEngine, url: str, connection: Connection, project_id: int
) -> None:
    async with (
        served(engine, url, queue_bytes=10, group_spans=1) as house,
        house.open(project_id) as stream,
    ):
        async with ledger_locked(url):
            for seq in range(1, 8):
                await stream.send(seq, make_span(seq))
            await until_blocked(connection, house, behind=1)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await house.export(project_id, [make_span(99)])
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert grpc_details(caught.value).retry is not None
            (serving,) = house.service._streams
            # The second batch, and the word that the third has no room.
            while serving._answers.qsize() < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        answers: list[Response] = []
        while sum(answer.HasField("ack") for answer in answers) < 7:
            answers.append(await stream.read())
        acks = [answer.ack for answer in answers if answer.HasField("ack")]
        assert [(ack.seq, ack.stored) for ack in acks] == [(seq, 1) for seq in range(1, 8)]
        throttles = [answer.throttle for answer in answers if answer.HasField("throttle")]
        assert {throttle.limit for throttle in throttles} == {"server.queue"}
        assert all(throttle.retry_delay.ToMilliseconds() > 0 for throttle in throttles)


async def test_a_quota_slows_a_stream_and_refuses_a_batch(house: House, project_id: int) -> None:
    key = f"{project_id}/1000"
    spans = [make_span(n) for n in range(1, 2_002)]
    async with house.open(key) as stream:
        await stream.send(1, *spans)
        throttle = (await stream.read()).throttle
        assert throttle.limit == "project.spans_per_second"
        assert throttle.retry_delay.ToMilliseconds() == 1
        assert (await stream.ack()).stored == len(spans)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.export(key, [make_span(1)])
    details = grpc_details(caught.value)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (details.info.reason, dict(details.info.metadata)["value"]) == ("QUOTA_EXCEEDED", "1000")
    assert details.retry.retry_delay.ToMilliseconds() == 1
    house.now_ns += 1_000_000_000
    assert (await house.export(key, [make_span(1)])).duplicate == 1


async def test_a_drain_acks_what_was_read_and_says_connect_again(
    house: House, url: str, connection: Connection, project_id: int
) -> None:
    async with house.open(project_id) as stream:
        async with ledger_locked(url):
            await stream.send(1, make_span(1))
            await until_blocked(connection, house)
            await stream.send(2, make_span(2))
            await until_blocked(connection, house, behind=1)
            house.service.drain()
        assert [(await stream.ack()).seq for _ in range(2)] == [1, 2]
        assert await stream.refusal() == ("UNAVAILABLE", "SHUTTING_DOWN")
    late = house.open(project_id)
    assert await late.refusal() == ("UNAVAILABLE", "SHUTTING_DOWN")


async def test_a_drain_ends_a_stream_that_is_idle(house: House, project_id: int) -> None:
    async with house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.ack()
        house.service.drain()
        assert await stream.refusal() == ("UNAVAILABLE", "SHUTTING_DOWN")


async def test_a_key_that_ends_ends_its_streams(
    house: House, connection: Connection, project_id: int
) -> None:
    async with house.open(project_id) as stream, house.open(next(project_ids)) as other:
        await stream.send(1, make_span(1))
        await stream.ack()
        house.keys.revoked.add(project_id)
        await stream.send(2, make_span(2))
        assert await stream.refusal() == ("UNAUTHENTICATED", "INVALID_KEY")
        await other.send(1, make_span(1))
        assert (await other.ack()).stored == 1
    assert (await ledger(connection, project_id))["received"] == 1


async def test_a_batch_of_too_many_spans_is_refused_for_good(
    house: House, connection: Connection, project_id: int
) -> None:
    many = [Span()] * (MAX_BATCH_SPANS + 1)
    async with house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.send(2, *many)
        assert (await stream.ack()).stored == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    details = grpc_details(caught.value)
    assert (details.info.reason, details.retry) == ("BATCH_TOO_LARGE", None)
    assert dict(details.info.metadata) == {"limit": "10000", "size": "10001"}
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await house.export(project_id, many)
    assert grpc_details(unary.value).info.reason == "BATCH_TOO_LARGE"
    assert (await ledger(connection, project_id))["received"] == 1


async def test_a_database_that_goes_away_costs_no_ack_and_no_span(
    house: House, url: str, connection: Connection, project_id: int
) -> None:
    async with house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.ack()
        async with ledger_locked(url):
            await stream.send(2, make_span(2))
            await until_blocked(connection, house)
            await stream.send(3, make_span(3))
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'bartizan writer' AND datname = current_database()"
            )
            assert await stream.refusal() == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    while house.writer.problem:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    async with house.open(project_id) as stream:
        for seq in range(stream.opened.last_committed_seq + 1, 5):
            await stream.send(seq, make_span(seq))
        await stream.call.done_writing()
        while (answer := await stream.read()).HasField("ack"):
            assert answer.ack.stored + answer.ack.duplicate == 1
        assert answer.summary.last_committed_seq == 4
    assert len((await holdings(connection, project_id, ["spans"]))["spans"]) == 4


async def test_a_client_that_leaves_is_forgotten_and_its_batches_are_not_lost(
    house: House, url: str, connection: Connection, project_id: int
) -> None:
    async with house.open(project_id) as stream, ledger_locked(url):
        await stream.send(1, make_span(1))
        await until_blocked(connection, house)
        stream.call.cancel()
        while house.service._streams:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    ack = await house.export(project_id, [make_span(1), make_span(2)])
    assert (ack.stored, ack.duplicate) == (1, 1)


async def test_a_client_that_never_reads_is_read_no_further(house: House, project_id: int) -> None:
    pulled = 0

    async def requests() -> AsyncIterator[Request]:
        nonlocal pulled
        yield Request(open=trace_pb2.StreamOpen(stream_id="s"))
        for seq in range(1, 1_000):
            pulled = seq
            yield Request(batch=trace_pb2.SpanBatch(seq=seq, spans=[make_span(seq)]))

    call = Call("bartizan.v1.IngestService/StreamTraces", principal(project_id), {})
    async with contextlib.aclosing(house.service.StreamTraces(requests(), call)) as answers:  # type: ignore[type-var]
        assert (await anext(answers)).HasField("opened")
        assert (await anext(answers)).ack.seq == 1
        # The one that was answered has its room until the next answer is asked for.
        while pulled < MAX_IN_FLIGHT + 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            await house.export(project_id, [make_span(1)])
        assert pulled == MAX_IN_FLIGHT + 1
        for seq in range(2, 50):
            assert (await anext(answers)).ack.seq == seq
        assert pulled <= 50 + MAX_IN_FLIGHT


async def test_one_batch_without_a_stream(house: House, project_id: int) -> None:
    spans = [make_span(1), Span(), make_span(1)]
    ack = await house.export(project_id, spans)
    assert (ack.seq, ack.stored, ack.duplicate) == (0, 1, 1)
    assert [rejected.index for rejected in ack.rejected] == [1]
    assert await house.export(project_id, []) == trace_pb2.Ack()
    assert len((await house.export(project_id, [Span()] * 3)).rejected) == 3
