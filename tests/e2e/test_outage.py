"""A database that is gone or full, and a server that is told to stop, lose nothing."""

import os
import random
import signal
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest
from tests.support.serving import NO_RULES, Serving
from tests.support.spans import make_batches

from bartizan.client import Bartizan, Unavailable
from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.v1 import trace_pb2

PATIENCE_S = 30

FILL_DISK = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON traces EXECUTE FUNCTION refuse();
"""


def send(stream: object, batches: object, count: int) -> "list[Future[trace_pb2.Ack]]":
    return [stream.send(next(batches)) for _ in range(count)]  # type: ignore[attr-defined,call-overload]


async def stored(serving: Serving) -> int:
    connection = await asyncpg.connect(serving.database_url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM spans"))
    finally:
        await connection.close()


async def run(serving: Serving, statements: str) -> None:
    connection = await asyncpg.connect(serving.database_url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def test_stopped_database_is_unavailable_and_resent_spans_are_stored_once(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(NO_RULES)
    batches = make_batches(random.Random(1), 40)
    database = EmbeddedPostgres(tmp_path / "database")
    options = ["--rules", str(rules), "--database-url", database.url]
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database)
        serving = stack.enter_context(Serving(tmp_path / "data", options))
        client = stack.enter_context(
            Bartizan(api_key=serving.key, endpoint=serving.grpc, max_attempts=1)
        )
        assert client.export(next(batches)).stored == 40
        await database.__aexit__()
        lost = next(batches)
        with pytest.raises(Unavailable) as refusal:
            client.export(lost)
        assert refusal.value.reason == "DATABASE_UNAVAILABLE"
        assert refusal.value.retryable
        assert "away" in serving.wait_for(503)
        await database.__aenter__()
        serving.wait_for(200)
        assert client.export(lost).stored == 40
        assert client.export(lost).duplicate == 40


async def test_stream_goes_on_when_the_database_returns(bare: Serving) -> None:
    batches = make_batches(random.Random(2), 40)
    with Bartizan(api_key=bare.key, endpoint=bare.grpc) as client, client.stream() as stream:
        tickets = send(stream, batches, 5)
        tickets[0].result(PATIENCE_S)
        os.kill(bare.postmaster(), signal.SIGKILL)
        tickets += send(stream, batches, 10)
        acks = [ticket.result(PATIENCE_S) for ticket in tickets]
    assert sum(ack.stored + ack.duplicate for ack in acks) == 600
    bare.wait_for(200)
    assert await stored(bare) == 600


async def test_full_disk_is_unavailable_and_readyz_says_why(bare: Serving) -> None:
    batches = make_batches(random.Random(3), 10)
    with Bartizan(api_key=bare.key, endpoint=bare.grpc, max_attempts=1) as client:
        await run(bare, FILL_DISK)
        batch = next(batches)
        with pytest.raises(Unavailable, match="disk is full"):
            client.export(batch)
        status, body = bare.get("/readyz")
        assert status == 503
        assert "disk is full" in body
        await run(bare, "DROP TRIGGER full_disk ON traces")
        assert client.export(batch).stored == 10
        bare.wait_for(200)


async def test_drain_commits_and_acks_what_was_read(bare: Serving) -> None:
    batches = make_batches(random.Random(4), 40)
    acked = 0
    with Bartizan(api_key=bare.key, endpoint=bare.grpc) as client:
        stream = client.stream()
        tickets = send(stream, batches, 20)
        tickets[0].result(PATIENCE_S)
        assert bare.stop() == 0
        bare.start()
        acked = sum(ack.stored + ack.duplicate for ack in (t.result(PATIENCE_S) for t in tickets))
        stream.close(PATIENCE_S)
    assert acked == 800
    assert await stored(bare) == 800
