"""Traces come back page by page."""

from collections.abc import Iterator

import pytest
from tests.client.fake_ingest import KEY
from tests.server.cli.fake_server import PROJECT, FakeServer

from bartizan.client import Bartizan, InvalidArgument, NotFound, Unavailable
from bartizan.v1 import common_pb2


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        for trace in range(1, 8):
            span = common_pb2.Span(trace_id=f"{trace:032x}", span_id="1" * 16, name="x")
            server.ingest.spans[(span.trace_id, span.span_id)] = span
        yield server


@pytest.fixture
def reader(server: FakeServer) -> Iterator[Bartizan]:
    with Bartizan(KEY, server.endpoint) as client:
        yield client


@pytest.mark.parametrize(("limit", "pages"), [(None, 4), (7, 4), (5, 3), (4, 2), (1, 1), (0, 0)])
def test_reads_no_more_pages_than_it_needs(
    reader: Bartizan, server: FakeServer, limit: int | None, pages: int
) -> None:
    found = [trace.trace_id for trace in reader.list_traces(limit, agent="a")]
    assert found == [f"{number:032x}" for number in range(7, 0, -1)][:limit]
    assert len(server.traces.requests) == pages
    assert all(request.filter.agent == "a" for request in server.traces.requests)


def test_a_trace_is_put_together(reader: Bartizan) -> None:
    view = reader.get_trace(f"{1:032x}")
    assert (view.trace.trace_id, len(view.spans), len(view.findings)) == (f"{1:032x}", 1, 1)
    with pytest.raises(NotFound):
        reader.get_trace("none")


def test_sessions(reader: Bartizan) -> None:
    assert [one.session_id for one in reader.list_sessions()] == ["chat-1"]
    assert reader.get_session("chat-9").session_id == "chat-9"


def test_a_wrong_filter_is_told_before_anything_is_asked(reader: Bartizan) -> None:
    with pytest.raises(InvalidArgument, match="no filter 'agnet'"):
        reader.list_traces(agnet="a")  # type: ignore[call-arg]


def test_tail_yields_until_the_connection_breaks(reader: Bartizan) -> None:
    seen: list[str] = []

    def follow() -> None:
        for response in reader.tail():
            seen.extend(trace.trace_id for trace in response.traces)

    with pytest.raises(Unavailable):
        follow()
    assert len(seen) == 7


def test_tail_can_be_left(reader: Bartizan) -> None:
    responses = reader.tail()
    assert not next(responses).traces, "the first response says that it has begun"
    assert next(responses).traces[0].trace_id == f"{1:032x}"
    responses.close()  # type: ignore[attr-defined]


def test_who_am_i(reader: Bartizan) -> None:
    assert reader.admin.who_am_i().project == PROJECT
