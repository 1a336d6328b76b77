"""Sessions add up their traces, and are listed last active first."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, caller, make_service, make_span
from tests.support.database import project_ids
from tests.support.storing import decision, store

from bartizan.plugins.errors import BartizanError, Code
from bartizan.server.rpc.traces import TraceService
from bartizan.v1 import common_pb2, trace_pb2

SHARED_DATABASE = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def _sessions(service: TraceService, project_id: int, **wanted: Any) -> list[str]:
    token, found = "", []
    while True:
        request = trace_pb2.ListSessionsRequest(
            page_size=2, page_token=token, filter=trace_pb2.SessionFilter(**wanted)
        )
        page = await service.ListSessions(request, caller(project_id, "ListSessions"))
        found += [session.session_id for session in page.sessions]
        if not (token := page.next_page_token):
            return found


async def _session(service: TraceService, project_id: int, name: str) -> trace_pb2.Session:
    request = trace_pb2.GetSessionRequest(name=name)
    return (await service.GetSession(request, caller(project_id, "GetSession"))).session


@pytest.mark.parametrize("session_id", ["s", "a/b", "50%", "%2F", "ü 1?#", "organizations/x"])
async def test_a_session_is_got_by_either_name(
    shared_engine: AsyncEngine, database_url: str, project_id: int, session_id: str
) -> None:
    first = make_span(1, session_id=session_id, user_id="u", environment="e", agent="b")
    second = make_span(2, session_id=session_id, agent="a", start_ns=START_NS + 9 * NS,
                       status=common_pb2.STATUS_CODE_ERROR, cost=common_pb2.Cost(amount=2),
                       usage=common_pb2.TokenUsage(input=7))  # fmt: skip
    more = make_span(2, span_id="00000000000000ff", agent="c", parent_span_id=second.span_id)
    await store(database_url, project_id, [first, second], {1: [decision("pii.person")]})
    await store(database_url, project_id, [more])
    service = make_service(shared_engine)
    session = await _session(service, project_id, session_id)
    assert session == await _session(service, project_id, session.name)
    assert session.name.startswith(f"organizations/acme/projects/p{project_id}/sessions/")
    assert session.name.count("/") == 5
    assert session.session_id == session_id
    assert (session.start_time, session.end_time) == (first.start_time, second.end_time)
    assert (session.trace_count, session.span_count, session.error_count) == (2, 3, 1)
    assert (session.finding_count, session.usage.input, session.cost_usd) == (1, 7, 2)
    assert (session.user_id, session.environment) == ("u", "e")
    assert session.agents == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", Code.INVALID_ARGUMENT),
        ("s" * 257, Code.INVALID_ARGUMENT),
        ("a\0b", Code.INVALID_ARGUMENT),
        ("none", Code.NOT_FOUND),
        ("organizations/acme/projects/other/sessions/s", Code.NOT_FOUND),
        ("organizations/acme/projects/other/sessions/%00", Code.INVALID_ARGUMENT),
    ],
)
async def test_names_of_sessions(
    shared_engine: AsyncEngine, database_url: str, project_id: int, name: str, code: Code
) -> None:
    await store(database_url, project_id, [make_span(1, session_id="s")])
    with pytest.raises(BartizanError) as refused:
        await _session(make_service(shared_engine), project_id, name)
    assert (refused.value.code, refused.value.field) == (code, "name")


@SHARED_DATABASE
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), *[st.sampled_from(["one", "two", ""])] * 3),
        max_size=8,
    ),
    st.dictionaries(
        st.sampled_from(["user_id", "agent", "environment"]),
        st.sampled_from(["one", "two", "three"]),
        max_size=2,
    ),
    st.none() | st.integers(0, 6),
    st.none() | st.integers(0, 6),
)
async def test_a_list_holds_what_matches(
    shared_engine: AsyncEngine,
    database_url: str,
    facts: list[tuple[int, int, str, str, str]],
    wanted: dict[str, str],
    start: int | None,
    end: int | None,
) -> None:
    project_id = next(project_ids)
    expected = []
    for number, (begin, length, user_id, agent, environment) in enumerate(facts, 1):
        span = make_span(number, session_id=f"s{number}", start_ns=START_NS + begin * NS,
                         user_id=user_id, agent=agent, environment=environment)  # fmt: skip
        span.end_time.FromNanoseconds(START_NS + (begin + length) * NS)
        await store(database_url, project_id, [span])
        if (
            all(getattr(span, name) == value for name, value in wanted.items())
            and (start is None or begin + length >= start)
            and (end is None or begin < end)
        ):
            expected.append((begin + length, f"s{number}"))
    times = {name: _time(n) for name, n in (("start_time", start), ("end_time", end))
             if n is not None}  # fmt: skip
    found = await _sessions(make_service(shared_engine), project_id, **wanted, **times)
    assert found == [session_id for _, session_id in sorted(expected, reverse=True)]


def _time(seconds: int) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(START_NS + seconds * NS)
    return time
