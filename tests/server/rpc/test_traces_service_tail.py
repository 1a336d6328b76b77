"""A tail shows what others commit, as it is committed."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import caller, make_service, make_span
from tests.support.storing import decision, store

from bartizan.plugins.errors import InvalidArgument, NotFound, Unauthenticated, Unavailable
from bartizan.server.metrics import Metrics
from bartizan.server.rpc.call import Principal
from bartizan.server.store import tail as tail_module
from bartizan.server.store.engine import connect
from bartizan.server.store.listener import Listener
from bartizan.server.store.tail import Tail
from bartizan.server.store.writing_sql import CHANNEL
from bartizan.v1 import trace_pb2

Filter = trace_pb2.TraceFilter
Response = trace_pb2.TailTracesResponse

STORE_ELSEWHERE = """
import asyncio, sys
from tests.server.rpc.reading import make_span
from tests.support.storing import store
asyncio.run(store(sys.argv[1], int(sys.argv[2]), [make_span(5, name="elsewhere")]))
"""


@pytest.fixture
async def tail(shared_engine: AsyncEngine, database_url: str) -> AsyncIterator[Tail]:
    tail = Tail(shared_engine, Metrics(CollectorRegistry()))
    listener = Listener(database_url, {CHANNEL: tail.committed})
    running = asyncio.create_task(listener.run())
    await listener.ready()
    yield tail
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@asynccontextmanager
async def _tailing(
    tail: Tail, engine: AsyncEngine, project_id: int, wanted: Filter | None = None
) -> "AsyncIterator[asyncio.Queue[Response]]":
    """Puts what a tail says into a queue."""
    said: asyncio.Queue[Response] = asyncio.Queue()
    request = trace_pb2.TailTracesRequest(filter=wanted)
    stream = make_service(engine, tail).TailTraces(request, caller(project_id, "TailTraces"))

    async def read() -> None:
        async with aclosing(stream):
            async for response in stream:
                said.put_nowait(response)

    reading = asyncio.create_task(read())
    assert await said.get() == Response(), "the tail says that it has begun"
    yield said
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


async def test_a_commit_is_seen(
    tail: Tail, shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    await store(database_url, project_id, [make_span(1, name="before")])
    async with _tailing(tail, shared_engine, project_id) as said:
        await store(database_url, project_id, [make_span(2), make_span(3)])
        response = await said.get()
        assert sorted(int(t.trace_id, 16) for t in response.traces) == [2, 3]
        assert response.skipped == 0
        await store(database_url, project_id, [make_span(1, span_id="00000000000000ff")])
        response = await said.get()
        assert [(t.display_name, t.span_count) for t in response.traces] == [("before", 2)]


async def test_a_commit_of_another_process_is_seen(
    tail: Tail, shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    async with _tailing(tail, shared_engine, project_id) as said:
        command = [sys.executable, "-c", STORE_ELSEWHERE, database_url, str(project_id)]
        await asyncio.to_thread(subprocess.run, command, check=True)
        assert [t.display_name for t in (await said.get()).traces] == ["elsewhere"]


async def test_a_tail_shows_what_matches(
    tail: Tail, shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    wanted = Filter(agent="a", finding="pii")
    async with _tailing(tail, shared_engine, project_id, wanted) as said:
        spans = [make_span(1, agent="a"), make_span(2, agent="b"), make_span(3, agent="a")]
        found = {0: [decision("pii.person")], 1: [decision("pii.person")], 2: [decision("piix")]}
        await store(database_url, project_id, spans, found)
        assert [int(t.trace_id, 16) for t in (await said.get()).traces] == [1]


async def test_a_tail_sees_its_own_project_only(
    tail: Tail, shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    async with _tailing(tail, shared_engine, project_id) as said:
        await store(database_url, project_id + 1_000_000, [make_span(1)])
        await store(database_url, project_id, [make_span(2)])
        assert [int(t.trace_id, 16) for t in (await said.get()).traces] == [2]
    request = trace_pb2.TailTracesRequest(parent="organizations/acme/projects/other")
    with pytest.raises(NotFound):
        await anext(make_service(shared_engine, tail).TailTraces(request, caller(project_id)))


async def test_a_slow_reader_learns_what_it_missed(
    tail: Tail,
    shared_engine: AsyncEngine,
    database_url: str,
    project_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tail_module, "MAX_WAITING", 3)
    monkeypatch.setattr(tail_module, "MAX_TRACES", 4)
    wanted = trace_pb2.TailTracesRequest()
    service = make_service(shared_engine, tail)
    stream = service.TailTraces(wanted, caller(project_id, "TailTraces"))
    assert await anext(stream) == trace_pb2.TailTracesResponse()
    await store(database_url, project_id, [make_span(n) for n in range(1, 11)])
    response = await anext(stream)
    assert (len(response.traces), response.skipped) == (3, 7)
    await stream.aclose()


async def test_a_tail_outlives_its_connection(
    tail: Tail, shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    async with _tailing(tail, shared_engine, project_id) as said:
        connection = await connect(database_url)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'bartizan listener' AND datname = current_database()"
        )
        await connection.close()
        number = 0
        while said.empty():  # what is committed in between is not seen
            number += 1
            await store(database_url, project_id, [make_span(number)])
        assert (await said.get()).traces


async def test_nothing_is_kept_of_who_left(
    tail: Tail, shared_engine: AsyncEngine, project_id: int
) -> None:
    async with _tailing(tail, shared_engine, project_id):
        assert project_id in tail._projects
    assert project_id not in tail._projects


async def test_a_tail_ends_when_the_server_does(
    tail: Tail, shared_engine: AsyncEngine, project_id: int
) -> None:
    service = make_service(shared_engine, tail)
    request = trace_pb2.TailTracesRequest()
    stream = service.TailTraces(request, caller(project_id))
    await anext(stream)
    tail.close()
    with pytest.raises(Unavailable):
        await anext(stream)
    with pytest.raises(Unavailable):
        await anext(service.TailTraces(request, caller(project_id)))


async def test_a_tail_ends_with_its_key(
    tail: Tail, shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    def ended(_: Principal) -> None:
        raise Unauthenticated("KEY_ENDED", "The key has ended.")

    service = make_service(shared_engine, tail, check_key=ended)
    request = trace_pb2.TailTracesRequest()
    stream = service.TailTraces(request, caller(project_id))
    await anext(stream)
    await store(database_url, project_id, [make_span(1)])
    with pytest.raises(Unauthenticated):
        await anext(stream)


@pytest.mark.parametrize("wanted", [Filter(text="xy"), Filter(start_time=Timestamp(seconds=1))])
async def test_a_tail_has_no_times_and_no_text(
    tail: Tail, shared_engine: AsyncEngine, project_id: int, wanted: Filter
) -> None:
    request = trace_pb2.TailTracesRequest(filter=wanted)
    with pytest.raises(InvalidArgument):
        await anext(make_service(shared_engine, tail).TailTraces(request, caller(project_id)))
