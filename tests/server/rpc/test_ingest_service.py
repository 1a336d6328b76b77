"""The native doors for spans, over real gRPC and a real database."""

import asyncio

import grpc
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.doors import grpc_details
from tests.server.rpc.ingesting import (
    MAX_IN_FLIGHT,
    House,
    Request,
    Span,
    ledger_locked,
    served,
    until_blocked,
)
from tests.server.rpc.reading import make_span
from tests.support.database import project_ids
from tests.support.writing import holdings, ledger

from bartizan.server.ingest.native_batch import MAX_BATCH_SPANS
from bartizan.server.store.engine import Connection
from bartizan.v1 import common_pb2, trace_pb2


def text_span(number: int, content: str) -> Span:
    span = make_span(number)
    span.input.add(role=common_pb2.ROLE_USER, content=content)
    return span


async def test_a_stream_from_open_to_summary(
    ingest_house: House, ingest_connection: Connection, project_id: int
) -> None:
    async with ingest_house.open(project_id) as stream:
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
    assert await ledger(ingest_connection, project_id) == counts


async def test_nothing_but_open_comes_first(ingest_house: House, project_id: int) -> None:
    batch = Request(batch=trace_pb2.SpanBatch(seq=1, spans=[make_span(1)]))
    for first in (batch, Request(), None):
        stream = ingest_house.open(project_id)
        if first is not None:
            await stream.write(first)
        await stream.call.done_writing()
        assert await stream.refusal() == ("INVALID_ARGUMENT", "STREAM_NOT_OPENED")


@pytest.mark.parametrize("stream_id", ["", "x" * 129, "two\nlines", "\u202e"])
async def test_stream_ids_have_a_form(ingest_house: House, project_id: int, stream_id: str) -> None:
    stream = ingest_house.open(project_id)
    await stream.write(Request(open=trace_pb2.StreamOpen(stream_id=stream_id)))
    assert await stream.refusal() == ("INVALID_ARGUMENT", "BAD_STREAM_ID")


@pytest.mark.parametrize("message", [Request(), Request(open=trace_pb2.StreamOpen(stream_id="s"))])
async def test_nothing_but_batches_follows(
    ingest_house: House, project_id: int, message: Request
) -> None:
    async with ingest_house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.write(message)
        assert (await stream.ack()).stored == 1
        assert await stream.refusal() == ("INVALID_ARGUMENT", "NOT_A_BATCH")


@pytest.mark.parametrize("seqs", [[0], [-1], [3, 3], [1, 2, 1]])
async def test_the_order_of_batches_is_enforced(
    ingest_house: House, project_id: int, seqs: list[int]
) -> None:
    async with ingest_house.open(project_id) as stream:
        for seq in seqs:
            await stream.send(seq, make_span(abs(seq) + 1))
        for seq in seqs[:-1]:
            assert (await stream.ack()).seq == seq
        assert await stream.refusal() == ("INVALID_ARGUMENT", "SEQ_OUT_OF_ORDER")


async def test_a_stream_goes_on_where_it_was(ingest_house: House, project_id: int) -> None:
    other = next(project_ids)
    async with ingest_house.open(project_id, "mine") as stream:
        await stream.send(7, make_span(1))
        await stream.ack()
    async with ingest_house.open(project_id, "mine") as stream:
        assert stream.opened.last_committed_seq == 7
        # What was sent and may not have been acked is sent again.
        await stream.send(7, make_span(1))
        assert await stream.ack() == trace_pb2.Ack(seq=7, duplicate=1)
        await stream.send(8, make_span(2))
        assert (await stream.ack()).stored == 1
        assert (await stream.summary()).last_committed_seq == 8
    for key, stream_id in ((project_id, "other"), (other, "mine")):
        async with ingest_house.open(key, stream_id) as stream:
            assert stream.opened.last_committed_seq == 0
    async with ingest_house.open(project_id, "mine") as stream:
        assert (await stream.summary()) == trace_pb2.StreamSummary(last_committed_seq=8)


async def test_acks_come_in_order_however_many_batches_are_under_way(
    ingest_engine: AsyncEngine, ingest_url: str, project_id: int
) -> None:
    async with (
        served(ingest_engine, ingest_url, group_spans=3) as ingest_house,
        ingest_house.open(project_id) as stream,
    ):
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
    ingest_house: House, ingest_url: str, ingest_connection: Connection, project_id: int
) -> None:
    async with ingest_house.open(project_id) as stream:
        async with ledger_locked(ingest_url):
            for seq in (1, 2, 3):
                await stream.send(seq, make_span(seq))
            await stream.call.done_writing()
            await until_blocked(ingest_connection, ingest_house)
        assert [(await stream.ack()).seq for _ in range(3)] == [1, 2, 3]
        assert (await stream.read()).summary.stored == 3


async def test_an_empty_batch_is_acked(ingest_house: House, project_id: int) -> None:
    async with ingest_house.open(project_id) as stream:
        await stream.send(1)
        assert await stream.ack() == trace_pb2.Ack(seq=1)
    async with ingest_house.open(project_id) as stream:
        assert stream.opened.last_committed_seq == 1


async def test_verdicts_are_told_to_those_who_ask(
    ingest_house: House, ingest_connection: Connection, project_id: int
) -> None:
    spans = [
        text_span(1, "fine"),
        text_span(2, "private and bad"),
        Span(name="rejected"),
        text_span(3, "odd"),
    ]
    async with ingest_house.open(project_id, want_verdicts=True) as stream:
        await stream.send(1, *spans)
        ack = await stream.ack()
    strict, shadow = ack.verdicts
    assert (strict.index, strict.verdict) == (1, common_pb2.VERDICT_DENY)
    assert [finding.category for finding in strict.findings] == ["test.bad", "test.private"]
    assert strict.findings[0].span_id == f"{2:016x}"
    assert (shadow.index, shadow.verdict) == (3, common_pb2.VERDICT_ALLOW)
    assert [finding.shadow for finding in shadow.findings] == [True]
    other = next(project_ids)
    assert len((await ingest_house.export(other, spans, want_verdicts=True)).verdicts) == 2
    assert not (await ingest_house.export(other, spans)).verdicts
    async with ingest_house.open(other) as stream:
        await stream.send(1, *spans)
        assert not (await stream.ack()).verdicts
    stored = str(
        (await holdings(ingest_connection, project_id, ["span_payloads"]))["span_payloads"]
    )
    assert "private" not in stored
    assert "[X]" in stored


async def test_a_batch_of_too_many_spans_is_refused_for_good(
    ingest_house: House, ingest_connection: Connection, project_id: int
) -> None:
    many = [Span()] * (MAX_BATCH_SPANS + 1)
    async with ingest_house.open(project_id) as stream:
        await stream.send(1, make_span(1))
        await stream.send(2, *many)
        assert (await stream.ack()).stored == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()
    details = grpc_details(caught.value)
    assert (details.info.reason, details.retry) == ("BATCH_TOO_LARGE", None)
    assert dict(details.info.metadata) == {"limit": "10000", "size": "10001"}
    with pytest.raises(grpc.aio.AioRpcError) as unary:
        await ingest_house.export(project_id, many)
    assert grpc_details(unary.value).info.reason == "BATCH_TOO_LARGE"
    assert (await ledger(ingest_connection, project_id))["received"] == 1


async def test_one_batch_without_a_stream(ingest_house: House, project_id: int) -> None:
    spans = [make_span(1), Span(), make_span(1)]
    ack = await ingest_house.export(project_id, spans)
    assert (ack.seq, ack.stored, ack.duplicate) == (0, 1, 1)
    assert [rejected.index for rejected in ack.rejected] == [1]
    assert await ingest_house.export(project_id, []) == trace_pb2.Ack()
    assert len((await ingest_house.export(project_id, [Span()] * 3)).rejected) == 3
