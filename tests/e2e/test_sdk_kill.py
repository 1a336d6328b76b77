"""Kills the traced program, or the server, again and again: every span is stored, and once."""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import asyncpg
import pytest
from tests.support.serving import Serving

from bartizan.client import Backoff, Bartizan

PROGRAM = Path(__file__).with_name("spooling_program.py")
PROGRAM_KILLS = 15
SERVER_KILLS = 20
SEED = 20_261_120
TIMEOUT_S = 90
MAX_QUEUED = 10_000

Id = tuple[str, str]


async def stored(serving: Serving) -> Counter[Id]:
    connection = await asyncpg.connect(serving.database_url)
    try:
        rows = await connection.fetch("SELECT trace_id, span_id FROM spans")
    finally:
        await connection.close()
    return Counter((row[0].hex, f"{row[1] & 0xFFFFFFFFFFFFFFFF:016x}") for row in rows)


def start(spool: Path, serving: Serving, limit: int) -> "subprocess.Popen[bytes]":
    keys = {"BARTIZAN_API_KEY": serving.key, "BARTIZAN_ENDPOINT": serving.grpc}
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(spool), str(limit)],
        stdout=subprocess.PIPE,
        env={**os.environ, **keys},
    )


def ids_in(lines: bytes) -> set[Id]:
    """Returns the ids of whole lines; the last one may have been cut by the kill."""
    whole = lines[: lines.rfind(b"\n") + 1].decode().split()
    return set(zip(whole[::2], whole[1::2], strict=True))


def run_and_kill(spool: Path, serving: Serving, spans: int) -> set[Id]:
    """Runs the program until it said so many spans, kills it, and returns what it said."""
    with start(spool, serving, -1) as process:
        assert process.stdout is not None
        said = b"".join(process.stdout.readline() for _ in range(spans))
        process.kill()
        return ids_in(said + process.stdout.read())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_program_that_is_killed_loses_no_span_that_ended(bare: Serving, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    spool = tmp_path / "spool"
    said: set[Id] = set()
    for number in range(PROGRAM_KILLS):
        # Now and then the server is away for all of the program's life.
        away = number % 5 == 3
        if away:
            bare.kill()
        said |= run_and_kill(spool, bare, rng.randrange(1, 600))
        if away:
            bare.start()
    with start(spool, bare, 1) as last:
        assert last.stdout is not None
        said |= ids_in(last.stdout.read())
        assert last.wait(TIMEOUT_S) == 0
    found = asyncio.run(stored(bare))
    assert not said - found.keys(), "a span whose end returned is lost"
    assert set(found.values()) == {1}, "a span is stored twice"
    # At most the one span of each kill whose end had not returned yet comes on top.
    assert len(found) - len(said) <= 2 * PROGRAM_KILLS
    assert not [one for one in spool.iterdir() if one.suffix == ".corrupt"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("with_spool", [False, True], ids=["memory", "spool"])
def test_a_server_that_is_killed_under_load(
    bare: Serving, tmp_path: Path, with_spool: bool
) -> None:
    rng = random.Random(SEED)
    made: set[Id] = set()
    over = threading.Event()
    bz = Bartizan(
        bare.key,
        bare.grpc,
        spool=tmp_path / "spool" if with_spool else None,
        backoff=Backoff(first_s=0.05, longest_s=0.5),
    )

    def work() -> None:
        while not over.is_set():
            with bz.span("outer") as outer, bz.span("inner") as inner:
                inner.set_output("x" * 200)
            made.update(((outer.trace_id, outer.span_id), (inner.trace_id, inner.span_id)))
            over.wait(0.002)
            # However long a start takes here, the queue must not run over.
            while bz.stats.queued > MAX_QUEUED and not over.is_set():
                over.wait(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(SERVER_KILLS // 2):
            over.wait(rng.uniform(0.05, 0.8))
            bare.kill()
            bare.start()
    finally:
        over.set()
        thread.join()
    assert bz.flush(timeout_s=TIMEOUT_S)
    stats = bz.stats
    bz.close()
    found = asyncio.run(stored(bare))
    assert stats.dropped == {}
    assert not made - found.keys(), "a span is lost"
    assert set(found.values()) == {1}, "a span is stored twice"
    assert stats.recorded == stats.stored + stats.duplicate == len(made)
