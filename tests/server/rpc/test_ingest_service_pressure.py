"""The native doors for spans when queues are full, keys end, clients hang and servers stop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.doors import grpc_details
from tests.server.rpc.ingesting import (
    MAX_IN_FLIGHT,
    House,
    Request,
    Response,
    ledger_locked,
    principal,
    served,
    until_blocked,
)
from tests.server.rpc.reading import make_span
from tests.support.database import project_ids
from tests.support.writing import holdings, ledger

from bartizan.server.rpc.call import Call
from bartizan.server.store.engine import Connection
from bartizan.v1 import trace_pb2


async def test_a_full_queue_slows_a_stream_and_breaks_nothing(
    ingest_engine: AsyncEngine, ingest_url: str, ingest_connection: Connection, project_id: int
) -> None:
    async with (
        served(ingest_engine, ingest_url, queue_bytes=10, group_spans=1) as ingest_house,
        ingest_house.open(project_id) as stream,
    ):
        async with ledger_locked(ingest_url):
            for seq in range(1, 8):
                await stream.send(seq, make_span(seq))
            await until_blocked(ingest_connection, ingest_house, behind=1)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ingest_house.export(project_id, [make_span(99)])
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert grpc_details(caught.value).retry is not None
            (serving,) = ingest_house.service._streams
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


async def test_a_quota_slows_a_stream_and_refuses_a_batch(
    ingest_house: House, project_id: int
) -> None:
    key = f"{project_id}/1000"
    spans = [make_span(n) for n in range(1, 2_002)]
    async with ingest_house.open(key) as stream:
        await stream.send(1, *spans)
        throttle = (await stream.read()).throttle
        assert throttle.limit == "project.spans_per_second"
        assert throttle.retry_delay.ToMilliseconds() == 1
        assert (await stream.ack()).stored == len(spans)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ingest_house.export(key, [make_span(1)])
    details = grpc_details(caught.value)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (details.info.reason, dict(details.info.metadata)["value"]) == ("QUOTA_EXCEEDED", "1000")
    assert details.retry.retry_delay.ToMilliseconds() == 1
    ingest_house.now_ns += 1_000_000_000
    assert (await ingest_house.export(key, [make_span(1)])).duplicate == 1


async def test_a_drain_acks_what_was_read_and_says_connect_again(
    ingest_house: House, ingest_url: str, ingest_connection: Connection, project_id: int
) -> None:
    async with ingest_house.open(project_id) as stream:
        async with ledger_locked(ingest_url):
            await stream.send(1, make_span(1))
            await until_blocked(ingest_connection, ingest_house)
            await stream.send(2, make_span(2))
            await until_blocked(ingest_connection, ingest_house, behind=1)
            ingest_house.service.drain()
        assert [(await stream.ack()).seq for _ in range(2)] == [1, 2]
        assert await stream.refusal() == ("UNAVAILABLE", "SHUTTING_DOWN")
    late = ingest_house.open(project_id)
    assert await late.refusal() == ("UNAVAILABLE", "SHUTTING_DOWN")


async def test_a_drain_ends_a_stream_that_is_idle(ingest_house: House, project_id: int) -> None:
    async with ingest_house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.ack()
        ingest_house.service.drain()
        assert await stream.refusal() == ("UNAVAILABLE", "SHUTTING_DOWN")


async def test_a_key_that_ends_ends_its_streams(
    ingest_house: House, ingest_connection: Connection, project_id: int
) -> None:
    async with (
        ingest_house.open(project_id) as stream,
        ingest_house.open(next(project_ids)) as other,
    ):
        await stream.send(1, make_span(1))
        await stream.ack()
        ingest_house.keys.revoked.add(project_id)
        await stream.send(2, make_span(2))
        assert await stream.refusal() == ("UNAUTHENTICATED", "INVALID_KEY")
        await other.send(1, make_span(1))
        assert (await other.ack()).stored == 1
    assert (await ledger(ingest_connection, project_id))["received"] == 1


async def test_a_database_that_goes_away_costs_no_ack_and_no_span(
    ingest_house: House, ingest_url: str, ingest_connection: Connection, project_id: int
) -> None:
    async with ingest_house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.ack()
        async with ledger_locked(ingest_url):
            await stream.send(2, make_span(2))
            await until_blocked(ingest_connection, ingest_house)
            await stream.send(3, make_span(3))
            await ingest_connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'bartizan writer' AND datname = current_database()"
            )
            assert await stream.refusal() == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    while ingest_house.writer.problem:  # noqa: ASYNC110
        await asyncio.sleep(0.005)
    async with ingest_house.open(project_id) as stream:
        for seq in range(stream.opened.last_committed_seq + 1, 5):
            await stream.send(seq, make_span(seq))
        await stream.call.done_writing()
        while (answer := await stream.read()).HasField("ack"):
            assert answer.ack.stored + answer.ack.duplicate == 1
        assert answer.summary.last_committed_seq == 4
    assert len((await holdings(ingest_connection, project_id, ["spans"]))["spans"]) == 4


async def test_a_client_that_leaves_is_forgotten_and_its_batches_are_not_lost(
    ingest_house: House, ingest_url: str, ingest_connection: Connection, project_id: int
) -> None:
    async with ingest_house.open(project_id) as stream, ledger_locked(ingest_url):
        await stream.send(1, make_span(1))
        await until_blocked(ingest_connection, ingest_house)
        stream.call.cancel()
        while ingest_house.service._streams:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    ack = await ingest_house.export(project_id, [make_span(1), make_span(2)])
    assert (ack.stored, ack.duplicate) == (1, 1)


async def test_a_client_that_never_reads_is_read_no_further(
    ingest_house: House, project_id: int
) -> None:
    pulled = 0

    async def requests() -> AsyncIterator[Request]:
        nonlocal pulled
        yield Request(open=trace_pb2.StreamOpen(stream_id="s"))
        for seq in range(1, 1_000):
            pulled = seq
            yield Request(batch=trace_pb2.SpanBatch(seq=seq, spans=[make_span(seq)]))

    call = Call("bartizan.v1.IngestService/StreamTraces", principal(project_id), {})
    async with contextlib.aclosing(ingest_house.service.StreamTraces(requests(), call)) as answers:  # type: ignore[type-var]
        assert (await anext(answers)).HasField("opened")
        assert (await anext(answers)).ack.seq == 1
        # The one that was answered has its room until the next answer is asked for.
        while pulled < MAX_IN_FLIGHT + 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
        for _ in range(20):
            await ingest_house.export(project_id, [make_span(1)])
        assert pulled == MAX_IN_FLIGHT + 1
        for seq in range(2, 50):
            assert (await anext(answers)).ack.seq == seq
        assert pulled <= 50 + MAX_IN_FLIGHT
