"""A live tail says what a person wants to know, once, and waits for a server that restarts."""

from collections.abc import Iterator

import pytest
from tests.client.fake_ingest import KEY
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

from bartizan.client import Backoff, Bartizan, Unauthenticated, Unavailable
from bartizan.server.cli import following
from bartizan.server.cli.following import News, follow
from bartizan.v1 import common_pb2, trace_pb2

END = 1_700_000_000
ERROR = common_pb2.STATUS_CODE_ERROR
OK = common_pb2.STATUS_CODE_OK


@pytest.fixture
def traces(server: FakeServer) -> list[str]:
    """Ids of traces that the server has; the last one has no root yet."""
    ids = [f"{number:032x}" for number in (1, 2, 3)]
    for trace_id in ids:
        parent = "f" * 16 if trace_id == ids[-1] else ""
        span = common_pb2.Span(
            trace_id=trace_id, span_id="1" * 16, parent_span_id=parent, name="ask", agent="bot"
        )
        span.start_time.FromSeconds(END - 2)
        span.end_time.FromSeconds(END)
        server.ingest.spans[(trace_id, span.span_id)] = span
    return ids


@pytest.fixture
def client(server: FakeServer) -> Iterator[Bartizan]:
    with Bartizan(KEY, server.endpoint) as client:
        yield client


def test_finished_traces_get_a_line_each(
    online: Command, server: FakeServer, traces: list[str]
) -> None:
    server.traces.tails.append([traces[0], traces[2], traces[0], traces[1]])
    done = online("tail", "--limit", 2)
    assert done.code == 0
    assert done.err == "bartizan: Waiting for traces; Ctrl-C ends.\n"
    first, second = done.out.splitlines()
    assert (traces[0] in first, traces[1] in second) == (True, True)
    assert first.split()[1:6] == ["bot", "ask", "2.0", "s", "1"]


def test_every_update_can_be_seen(online: Command, server: FakeServer, traces: list[str]) -> None:
    server.traces.tails.append([traces[0], traces[2], traces[0]])
    done = online("tail", "--all", "--json", "--limit", 3)
    assert [one["trace_id"] for one in done.lines] == [traces[0], traces[2], traces[0]]


def test_filters_reach_the_server(online: Command, server: FakeServer, traces: list[str]) -> None:
    online("tail", "--limit", 1, "--agent", "bot", "--status", "error", "--finding", "pii",
           "--min-duration", "2s", "--tag", "x")  # fmt: skip
    wanted = server.traces.tail_requests[0].filter
    assert (wanted.agent, wanted.status, wanted.finding) == ("bot", ERROR, "pii")
    assert list(wanted.tags) == ["x"]
    assert online("tail", "--since", "1h").code == 2


def test_a_server_that_restarts_is_waited_for(
    client: Bartizan, server: FakeServer, traces: list[str]
) -> None:
    said: list[str] = []
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)

    server.traces.tails.extend([[traces[0]], [], [], [traces[1]]])
    found = follow(client, {}, said.append, backoff=Backoff(random=lambda: 1.0), sleep=sleep)
    assert [next(found).trace_id, next(found).trace_id] == traces[:2]
    found.close()
    again = ["The server went away; connecting again.",
             "Connected again; what was committed in between is not shown."]  # fmt: skip
    assert said == ["Waiting for traces; Ctrl-C ends.", *again * 3]
    assert waits == [0.1] * 3


def test_a_server_that_is_not_there_is_told(bartizan: Command) -> None:
    done = bartizan("tail", "--endpoint", "127.0.0.1:1")
    assert (done.code, done.out) == (1, "")
    assert "No server answers" in done.err


def test_a_wrong_key_ends_it(server: FakeServer) -> None:
    with Bartizan("btz_wrong", server.endpoint) as client, pytest.raises(Unauthenticated):
        next(follow(client, {}, print, backoff=Backoff()))


def test_the_first_connection_is_not_waited_for() -> None:
    with Bartizan(KEY, "127.0.0.1:1") as client, pytest.raises(Unavailable):
        next(follow(client, {}, print, backoff=Backoff()))


def trace(trace_id: str = "1", **fields: object) -> trace_pb2.Trace:
    return trace_pb2.Trace(trace_id=trace_id, **fields)  # type: ignore[arg-type]


def test_what_is_news() -> None:
    news = News()
    assert not news.worth_showing(trace(status=ERROR, finding_count=1))
    assert news.worth_showing(trace(root_seen=True, status=OK))
    assert not news.worth_showing(trace(root_seen=True, status=OK, span_count=9))
    assert news.worth_showing(trace(root_seen=True, status=OK, finding_count=1))
    assert not news.worth_showing(trace(root_seen=True, status=OK, finding_count=2))
    assert news.worth_showing(trace(root_seen=True, status=ERROR, finding_count=2))
    assert news.worth_showing(trace("2", root_seen=True))


def test_what_was_shown_is_forgotten_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "REMEMBERED_TRACES", 2)
    news = News()
    assert all(news.worth_showing(trace(one, root_seen=True)) for one in "abc")
    assert not news.worth_showing(trace("b", root_seen=True))
    assert news.worth_showing(trace("a", root_seen=True))
