"""Kills the server, a worker or the database under load: what was acked is there, and once."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest
from tests.support.serving import NO_RULES, Serving
from tests.support.spans import make_batches

from bartizan.client import Backoff, Bartizan
from bartizan.v1 import common_pb2

ROUNDS = 24
BATCH = 50
SEED = 20_261_120


def kill_server(serving: Serving, _: random.Random) -> None:
    serving.kill()
    serving.start()


def kill_database(serving: Serving, _: random.Random) -> None:
    os.kill(serving.postmaster(), signal.SIGKILL)


def kill_worker(serving: Serving, rng: random.Random) -> None:
    os.kill(rng.choice(serving.workers()), signal.SIGKILL)


Ids = set[tuple[str, str]]


def ids_of(batch: list[common_pb2.Span]) -> Ids:
    return {(span.trace_id, span.span_id) for span in batch}


def send_and_kill(
    serving: Serving, rng: random.Random, kill: Callable[[Serving, random.Random], None]
) -> Ids:
    """Streams batches, kills after a random number of acks, streams on; returns what was acked."""
    before, after = rng.randrange(1, 25), 5
    batches = make_batches(rng, BATCH)
    acked: Ids = set()
    with Bartizan(
        api_key=serving.key, endpoint=serving.grpc, backoff=Backoff(first_s=0.05, longest_s=0.5)
    ) as client:
        stream = client.stream()
        sent = []
        for number in range(before + after):
            batch = next(batches)
            sent.append((batch, stream.send(batch)))
            if number == before:
                sent[before // 2][1].result(timeout=60)
                kill(serving, rng)
        for batch, ticket in sent:
            ack = ticket.result(timeout=60)
            assert ack.stored + ack.duplicate == len(batch)
            acked |= ids_of(batch)
        stream.close(timeout_s=60)
    return acked


async def stored(serving: Serving) -> Counter[tuple[str, str]]:
    connection = await asyncpg.connect(serving.database_url)
    try:
        rows = await connection.fetch("SELECT trace_id, span_id FROM spans")
        totals = await connection.fetchrow(
            "SELECT (SELECT sum(span_count) FROM traces), (SELECT sum(spans) FROM ledger"
            " WHERE outcome = 'stored'), (SELECT coalesce(sum(span_count), 0) FROM rollup_deltas)"
            " + (SELECT coalesce(sum(span_count), 0) FROM rollup_minute)"
        )
    finally:
        await connection.close()
    assert totals is not None
    assert set(totals) == {len(rows)}, "summaries, ledger and rollups agree with the spans"
    return Counter((row[0].hex, f"{row[1] & 0xFFFFFFFFFFFFFFFF:016x}") for row in rows)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("workers", "kills", "rounds"),
    [
        (1, (kill_server, kill_database), ROUNDS * 2 // 3),
        (2, (kill_worker, kill_server), ROUNDS // 3),
    ],
    ids=["one-process", "two-workers"],
)
def test_acked_spans_survive_kills_and_none_is_stored_twice(
    tmp_path: Path,
    workers: int,
    kills: tuple[Callable[[Serving, random.Random], None], ...],
    rounds: int,
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(NO_RULES)
    rng = random.Random(SEED + workers)
    options = ["--rules", str(rules), "--workers", str(workers)]
    acked: Ids = set()
    with Serving(tmp_path / "data", options) as serving:
        for number in range(rounds):
            acked |= send_and_kill(serving, rng, kills[number % len(kills)])
        serving.wait_for(200)
        found = asyncio.run(stored(serving))
    assert not acked - found.keys(), "an acked span is lost"
    assert set(found.values()) == {1}, "a span is stored twice"
