"""Readiness says why the server cannot serve, and tells of changes once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from bartizan.server import readiness as readiness_module
from bartizan.server.readiness import Readiness
from bartizan.server.store.engine import create_engine


@asynccontextmanager
async def engine_on(url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()


async def test_all_is_well(shared_engine: AsyncEngine, tmp_path: Path) -> None:
    assert await Readiness(shared_engine, lambda: "", tmp_path).problems() == []
    assert await Readiness(shared_engine, lambda: "", None).problems() == []


async def test_what_the_writer_complains_of(shared_engine: AsyncEngine) -> None:
    readiness = Readiness(shared_engine, lambda: "the disk is full", None)
    assert await readiness.problems() == ["the disk is full"]


async def test_a_shutdown_comes_before_all_else(shared_engine: AsyncEngine) -> None:
    readiness = Readiness(shared_engine, lambda: "the disk is full", None)
    readiness.draining = True
    assert await readiness.problems() == ["the server is shutting down"]


async def test_a_full_disk(
    shared_engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "MIN_FREE_BYTES", 2**62)
    readiness = Readiness(shared_engine, lambda: "", tmp_path)
    assert await readiness.problems() == ["the disk of the data directory is full"]
    # The disk of a database that is elsewhere is not ours to look at.
    assert await Readiness(shared_engine, lambda: "", None).problems() == []


async def test_a_database_that_is_away(tmp_path: Path) -> None:
    async with engine_on(f"postgresql://nobody@/none?host={tmp_path}") as engine:
        assert await Readiness(engine, lambda: "", None).problems() == ["the database is away"]


async def test_a_database_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness_module, "CHECK_TIMEOUT_S", 0.05)

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, engine_on(f"postgresql://nobody@127.0.0.1:{port}/none") as engine:
        assert await Readiness(engine, lambda: "", None).problems() == ["the database is away"]


async def test_only_changes_are_told(
    shared_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "WATCH_INTERVAL_S", 0.001)
    said = ["", "", "away", "away", "away", "", ""]
    told: list[bool] = []
    looked = asyncio.Event()

    def problem() -> str:
        if len(said) == 1:
            looked.set()
        return said.pop(0) if len(said) > 1 else said[0]

    async def tell(ready: bool) -> None:
        told.append(ready)

    watching = asyncio.create_task(Readiness(shared_engine, problem, None).watch(tell))
    await looked.wait()
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert told == [True, False, True]
