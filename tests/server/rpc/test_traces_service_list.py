"""Lists hold exactly what matches, once and in order."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, caller, listed, make_service, make_span, walk
from tests.support.database import project_ids
from tests.support.storing import decision, store

from bartizan.plugins.errors import BartizanError, Code, InvalidArgument
from bartizan.v1 import common_pb2, trace_pb2

SHARED_DATABASE = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = ("one", "two", "")
CATEGORIES = ("pii", "pii.email", "pii.email.work", "piixemail")


@st.composite
def traces(draw: st.DrawFn, first: int = 1) -> list[dict[str, Any]]:
    """Facts about some traces of one span each."""
    fact = st.fixed_dictionaries(
        {
            "start_us": st.integers(0, 5),
            "duration_ms": st.sampled_from([0, 1, 999, 1_000, 86_400_000]),
            "cost": st.sampled_from([None, 0.0, 0.000_000_001, 0.5, 100.0]),
            "status": st.sampled_from([0, 1, 2]),
            "root": st.booleans(),
            "tags": st.lists(st.sampled_from(["x", "y", 'z"'])),
            "categories": st.lists(st.sampled_from(CATEGORIES), max_size=2),
            **{
                name: st.sampled_from(WORDS)
                for name in ("agent", "model", "user_id", "session_id", "environment", "machine",
                             "workspace")
            },
        }
    )  # fmt: skip
    facts = draw(st.lists(fact, max_size=8))
    return [{"number": number, **fact} for number, fact in enumerate(facts, first)]


def _span(fact: dict[str, Any]) -> common_pb2.Span:
    names = ("agent", "model", "user_id", "session_id", "environment", "machine", "workspace")
    start_ns = START_NS + fact["start_us"] * 1_000 + 500
    span = make_span(
        fact["number"],
        start_ns=start_ns,
        status=fact["status"],
        tags=fact["tags"],
        parent_span_id="" if fact["root"] else "00000000000000aa",
        cost=None if fact["cost"] is None else common_pb2.Cost(amount=fact["cost"]),
        **{name: fact[name] for name in names},
    )
    span.end_time.FromNanoseconds(start_ns + fact["duration_ms"] * 1_000_000)
    return span


async def _put(url: str, project_id: int, facts: list[dict[str, Any]]) -> None:
    found = {n: [decision(c) for c in fact["categories"]] for n, fact in enumerate(facts)}
    await store(url, project_id, list(map(_span, facts)), found)


Test = Callable[[dict[str, Any]], bool]


@st.composite
def filters(draw: st.DrawFn) -> tuple[dict[str, Any], Test]:
    """A filter and what it means."""
    names = draw(st.lists(st.sampled_from(sorted(FILTERS)), max_size=3, unique=True))
    chosen = {name: draw(FILTERS[name][0]) for name in names}
    wanted = {name: FILTERS[name][2](value) for name, value in chosen.items()}
    return wanted, lambda fact: all(FILTERS[n][1](fact, v) for n, v in chosen.items())


def _same(name: str) -> tuple[Any, Any, Any]:
    return st.sampled_from(["one", "two", "three"]), lambda fact, v: fact[name] == v, str


def _time(offset_ns: int) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(START_NS + offset_ns)
    return time


def _milliseconds(value: int) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(value)
    return duration


def _holds(fact: dict[str, Any], finding: str) -> bool:
    return any(finding in ("*", c) or c.startswith(finding + ".") for c in fact["categories"])


FILTERS: dict[str, tuple[Any, Any, Any]] = {
    **{
        name: _same(name)
        for name in (
            "agent", "model", "user_id", "session_id", "environment", "machine", "workspace"
        )
    },
    "start_time": (st.integers(0, 5_000), lambda f, v: f["start_us"] * 1_000 >= v, _time),
    "end_time": (st.integers(0, 5_000), lambda f, v: f["start_us"] * 1_000 < v, _time),
    "status": (
        st.sampled_from([1, 2]),
        lambda f, v: f["status"] == v and (f["root"] or v == 2),
        int,
    ),
    "tags": (
        st.lists(st.sampled_from(["x", "y", 'z"']), min_size=1, max_size=3),
        lambda f, v: set(v) <= set(f["tags"]),
        list,
    ),
    "min_duration": (
        st.sampled_from([1, 999, 1_000, 1_001, 86_400_000, 86_400_001]),
        lambda f, v: f["duration_ms"] >= v,
        _milliseconds,
    ),
    "min_cost_usd": (
        st.sampled_from([0.000_000_001, 0.5, 0.500_000_001, 100.0, 101.0]),
        lambda f, v: (f["cost"] or 0) >= v,
        float,
    ),
    "finding": (st.sampled_from(["*", *CATEGORIES, "toxic"]), _holds, str),
}  # fmt: skip


def _in_order(facts: list[dict[str, Any]]) -> list[int]:
    return [f["number"] for f in sorted(facts, key=lambda f: (-f["start_us"], -f["number"]))]


@SHARED_DATABASE
@given(traces(), st.lists(filters(), min_size=1, max_size=6), st.integers(1, 4))
async def test_a_list_holds_what_matches(
    shared_engine: AsyncEngine,
    database_url: str,
    facts: list[dict[str, Any]],
    several: list[tuple[dict[str, Any], Test]],
    page_size: int,
) -> None:
    project_id = next(project_ids)
    await _put(database_url, project_id, facts)
    service = make_service(shared_engine)
    for wanted, test in several:
        found = await listed(service, project_id, page_size, **wanted)
        assert found == _in_order([fact for fact in facts if test(fact)])


@SHARED_DATABASE
@given(traces(), st.lists(traces(first=100), max_size=3), st.integers(1, 3))
async def test_walking_goes_on_while_traces_arrive(
    shared_engine: AsyncEngine,
    database_url: str,
    facts: list[dict[str, Any]],
    arriving: list[list[dict[str, Any]]],
    page_size: int,
) -> None:
    project_id = next(project_ids)
    await _put(database_url, project_id, facts)
    found = []
    async for page in walk(make_service(shared_engine), project_id, page_size):
        found += [int(trace.trace_id, 16) for trace in page.traces]
        if arriving:
            late = arriving.pop()
            for number, fact in enumerate(late):
                fact["number"] = 1_000 * (len(arriving) + 1) + number
            await _put(database_url, project_id, late)
    assert [number for number in found if number < 1_000] == _in_order(facts)
    assert len(found) == len(set(found))


TOKENS = ("", "!", "AAAA", base64.urlsafe_b64encode(b"x" * 40).decode(), "é", "a" * 5_000)


@pytest.mark.parametrize("token", TOKENS[1:])
async def test_a_made_up_token_is_refused(
    shared_engine: AsyncEngine, project_id: int, token: str
) -> None:
    request = trace_pb2.ListTracesRequest(page_token=token)
    with pytest.raises(InvalidArgument) as refused:
        await make_service(shared_engine).ListTraces(request, caller(project_id))
    assert (refused.value.reason, refused.value.field) == ("BAD_PAGE_TOKEN", "page_token")


async def test_a_token_is_for_its_own_query(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    await store(database_url, project_id, [make_span(n, agent="a") for n in (1, 2, 3)])
    service = make_service(shared_engine)
    first = await service.ListTraces(trace_pb2.ListTracesRequest(page_size=1), caller(project_id))
    token = first.next_page_token
    other = trace_pb2.TraceFilter(agent="a")
    for request, project in (
        (trace_pb2.ListTracesRequest(page_token=token, filter=other), project_id),
        (trace_pb2.ListTracesRequest(page_token=token), project_id + 1),
    ):
        with pytest.raises(InvalidArgument):
            await service.ListTraces(request, caller(project))
    with pytest.raises(InvalidArgument):
        await service.ListSessions(
            trace_pb2.ListSessionsRequest(page_token=token), caller(project_id, "ListSessions")
        )
    request = trace_pb2.ListTracesRequest(page_size=9, page_token=token)
    assert len((await service.ListTraces(request, caller(project_id))).traces) == 2


Filter = trace_pb2.TraceFilter


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Filter(agent="a\0"), "agent"),
        (Filter(agent="a" * 129), "agent"),
        (Filter(session_id="s" * 257), "session_id"),
        (Filter(tags=["t"] * 17), "tags"),
        (Filter(tags=["t", ""]), "tags[1]"),
        (Filter(min_cost_usd=-1), "min_cost_usd"),
        (Filter(min_cost_usd=float("nan")), "min_cost_usd"),
        (Filter(min_duration=Duration(seconds=-1)), "min_duration"),
        (Filter(start_time=Timestamp(seconds=2**60)), "start_time"),
        (Filter(end_time=Timestamp(nanos=-1)), "end_time"),
        (Filter(finding="pii%"), "finding"),
        (Filter(text="x"), "text"),
        (Filter(text="x" * 257), "text"),
        (Filter(text="x\0y"), "text"),
        (Filter(status=9), "status"),  # type: ignore[arg-type]
    ],
)
async def test_a_wrong_filter_is_refused(
    shared_engine: AsyncEngine, project_id: int, wanted: trace_pb2.TraceFilter, field: str
) -> None:
    request = trace_pb2.ListTracesRequest(filter=wanted)
    with pytest.raises(InvalidArgument) as refused:
        await make_service(shared_engine).ListTraces(request, caller(project_id))
    assert refused.value.field == f"filter.{field}"


async def test_page_sizes(shared_engine: AsyncEngine, database_url: str, project_id: int) -> None:
    spans = [make_span(n, start_ns=START_NS + n * NS) for n in range(1, 61)]
    await store(database_url, project_id, spans)
    service = make_service(shared_engine)
    for size, came in ((0, 50), (2_000_000_000, 60), (60, 60), (59, 59)):
        request = trace_pb2.ListTracesRequest(page_size=size)
        page = await service.ListTraces(request, caller(project_id))
        assert (len(page.traces), bool(page.next_page_token)) == (came, came < 60)
    with pytest.raises(BartizanError) as refused:
        await service.ListTraces(trace_pb2.ListTracesRequest(page_size=-1), caller(project_id))
    assert (refused.value.code, refused.value.field) == (Code.INVALID_ARGUMENT, "page_size")
