"""Feedback through the service: recorded, redacted, refused, and listed page by page."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.ingesting import Censor
from tests.support.database import project_ids
from tests.support.feedback import START_S, make_feedback
from tests.support.writing import connected

from bartizan.plugins.contract import Text
from bartizan.plugins.errors import BartizanError, Code
from bartizan.plugins.judgement import Context, Judgement
from bartizan.server.ingest.quota import Quotas
from bartizan.server.metrics import Metrics
from bartizan.server.rpc import evaluations
from bartizan.server.rpc.call import Call, Principal, Scope
from bartizan.server.rpc.evaluations import EvaluationService
from bartizan.server.rpc.methods import methods_of
from bartizan.server.rpc.status import known
from bartizan.server.store.engine import create_engine
from bartizan.server.store.paging import PageTokens
from bartizan.v1 import evaluation_pb2, trace_pb2

NOW_NS = (START_S + 1_000) * 1_000_000_000
SPAN_ID = "fedcba9876543210"
SHARED_DATABASE = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Feedback = evaluation_pb2.Feedback


def make_service(engine: AsyncEngine, rules: Any = None, **options: Any) -> EvaluationService:
    return EvaluationService(
        engine,
        lambda project_id: rules or Censor(),
        Quotas(lambda: NOW_NS),
        PageTokens(b"test"),
        options.get("metrics") or Metrics(CollectorRegistry()),
        lambda: NOW_NS,
    )


def caller(
    project_id: int, method: str = "ListFeedback", *, size: int = 100, quota: int = 0
) -> Call:
    scopes = frozenset({int(Scope.SCOPE_READ), int(Scope.SCOPE_INGEST)})
    principal = Principal(1, project_id, 1, "acme", f"p{project_id}", scopes, quota)
    name = f"bartizan.v1.EvaluationService/{method}"
    return Call(name, principal, {}, request_bytes=size)


async def send(
    service: EvaluationService, project_id: int, *items: Feedback, **options: Any
) -> evaluation_pb2.RecordFeedbackResponse:
    request = evaluation_pb2.RecordFeedbackRequest(feedback=items)
    return await service.RecordFeedback(request, caller(project_id, "RecordFeedback", **options))


async def listed(
    service: EvaluationService, project_id: int, page_size: int = 2, **wanted: Any
) -> list[Feedback]:
    token = ""
    found: list[Feedback] = []
    while True:
        request = evaluation_pb2.ListFeedbackRequest(
            page_size=page_size,
            page_token=token,
            filter=evaluation_pb2.FeedbackFilter(**wanted),
        )
        page = await service.ListFeedback(request, caller(project_id))
        found += page.feedback
        assert len(page.feedback) == page_size or not page.next_page_token
        if not (token := page.next_page_token):
            return found


def numbers(found: Sequence[Feedback]) -> list[int]:
    return [int(item.feedback_id, 16) for item in found]


@pytest.mark.parametrize(
    "fields",
    [
        {"thumbs_up": False, "source": evaluation_pb2.FEEDBACK_SOURCE_EXPERT},
        {"rating": 0.0, "span_id": SPAN_ID},
        {"rating": 66.6, "session_id": "s", "user_id": "u"},
        {"label": "wrong", "name": "kind of fault", "comment": "☃\n", "correction": "B"},
        {"comment": "only words"},
        {"correction": "only this"},
        {"trace_id": "", "session_id": "a whole one", "thumbs_up": True},
    ],
)
async def test_what_was_recorded_is_read_back(
    shared_engine: AsyncEngine, project_id: int, fields: dict[str, Any]
) -> None:
    service = make_service(shared_engine)
    item = make_feedback(1, **fields)
    response = await send(service, project_id, item)
    assert response == evaluation_pb2.RecordFeedbackResponse(stored=1)
    item.name = item.name or "user"
    item.source = item.source or evaluation_pb2.FEEDBACK_SOURCE_USER
    assert await listed(service, project_id) == [item]


async def test_counts_and_refusals_and_again(shared_engine: AsyncEngine, project_id: int) -> None:
    registry = CollectorRegistry()
    service = make_service(shared_engine, metrics=Metrics(registry))
    items = [make_feedback(1), make_feedback(2, rating=101), make_feedback(3), make_feedback(1)]
    response = await send(service, project_id, *items)
    assert (response.stored, response.duplicate) == (2, 1)
    assert list(response.rejected) == [
        evaluation_pb2.RejectedFeedback(
            index=1,
            reason=trace_pb2.REJECT_REASON_OUT_OF_RANGE,
            field="rating",
            detail="must be from 0 to 100",
        )
    ]
    again = await send(service, project_id, *items)
    assert (again.stored, again.duplicate, len(again.rejected)) == (0, 3, 1)
    assert numbers(await listed(service, project_id)) == [3, 1]
    counted = {
        outcome: registry.get_sample_value("bartizan_feedback_total", {"outcome": outcome})
        for outcome in ("stored", "duplicate", "rejected")
    }
    assert counted == {"stored": 2, "duplicate": 4, "rejected": 2}
    assert await send(service, project_id) == evaluation_pb2.RecordFeedbackResponse()


async def test_what_is_redacted_is_in_no_row(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    service = make_service(shared_engine)
    fields = ("comment", "correction", "label", "name", "user_id", "session_id")
    private: dict[str, Any] = dict.fromkeys(fields, "private")
    await send(service, project_id, make_feedback(1, **private))
    async with connected(database_url) as connection:
        [row] = await connection.fetch("SELECT * FROM feedback WHERE project_id = $1", project_id)
    assert {row[field] for field in fields} == {"[X]"}
    assert "private" not in str(dict(row))
    [item] = await listed(service, project_id, user_id="[X]", session_id="[X]")
    assert item.label == "[X]"


async def test_an_item_that_is_not_utf_8_leaves_its_neighbours_alone(
    shared_engine: AsyncEngine, project_id: int
) -> None:
    service = make_service(shared_engine)
    method = next(m for m in methods_of(service) if m.rpc == "RecordFeedback")
    items = [make_feedback(1), make_feedback(2, comment="MARK"), make_feedback(3)]
    data = evaluation_pb2.RecordFeedbackRequest(feedback=items).SerializeToString()
    request: Any = method.parse(data.replace(b"MARK", b"\xed\xa0\x80x"))
    response = await service.RecordFeedback(request, caller(project_id, "RecordFeedback"))
    assert response.stored == 2
    [refused] = response.rejected
    assert (refused.index, refused.field) == (1, "comment")
    assert refused.reason == trace_pb2.REJECT_REASON_BAD_TEXT


async def test_filters(shared_engine: AsyncEngine, project_id: int) -> None:
    service = make_service(shared_engine)
    shared: dict[str, Any] = {"session_id": "s", "user_id": "u"}
    await send(
        service,
        project_id,
        make_feedback(1, session_id="s"),
        make_feedback(2, user_id="u"),
        make_feedback(3, **shared),
        make_feedback(4, trace_id=f"{3:032x}", span_id=SPAN_ID),
    )
    at = {number: Timestamp(seconds=START_S + number) for number in range(6)}
    for wanted, expected in (
        ({}, [4, 3, 2, 1]),
        ({"trace_id": f"{3:032X}"}, [4, 3]),
        ({"session_id": "s"}, [3, 1]),
        ({"user_id": "u"}, [3, 2]),
        (shared, [3]),
        ({"start_time": at[3]}, [4, 3]),
        ({"end_time": at[3]}, [2, 1]),
        ({"start_time": at[2], "end_time": at[4], "user_id": "u"}, [3, 2]),
        ({"user_id": "nobody"}, []),
    ):
        assert numbers(await listed(service, project_id, **wanted)) == expected, wanted


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"trace_id": "x"}, "filter.trace_id"),
        ({"trace_id": "0" * 32}, "filter.trace_id"),
        ({"session_id": "x" * 257}, "filter.session_id"),
        ({"user_id": "a\0"}, "filter.user_id"),
        ({"start_time": Timestamp(seconds=2**60)}, "filter.start_time"),
    ],
)
async def test_a_bad_filter_is_refused(
    shared_engine: AsyncEngine, project_id: int, wanted: dict[str, Any], field: str
) -> None:
    with pytest.raises(BartizanError) as refusal:
        await listed(make_service(shared_engine), project_id, **wanted)
    assert (refusal.value.code, refusal.value.field) == (Code.INVALID_ARGUMENT, field)


async def test_a_page_token_is_of_its_filter_and_project(
    shared_engine: AsyncEngine, project_id: int
) -> None:
    service = make_service(shared_engine)
    await send(service, project_id, *(make_feedback(n, user_id="u") for n in (1, 2)))
    first = await service.ListFeedback(
        evaluation_pb2.ListFeedbackRequest(page_size=1), caller(project_id)
    )
    other = evaluation_pb2.FeedbackFilter(user_id="u")
    request = evaluation_pb2.ListFeedbackRequest(page_token=first.next_page_token)
    for call, wanted in ((project_id, other), (next(project_ids), None)):
        request.filter.CopyFrom(wanted or evaluation_pb2.FeedbackFilter())
        with pytest.raises(BartizanError) as refusal:
            await service.ListFeedback(request, caller(call))
        assert refusal.value.reason == "BAD_PAGE_TOKEN"


@SHARED_DATABASE
@given(times=st.lists(st.integers(0, 3), min_size=1, max_size=12), page_size=st.integers(1, 5))
async def test_pages_hold_each_item_once_newest_first(
    shared_engine: AsyncEngine, times: list[int], page_size: int
) -> None:
    service, project_id = make_service(shared_engine), next(project_ids)
    given_at = dict(enumerate(times, 1))
    items = [make_feedback(number, create_s=START_S + at) for number, at in given_at.items()]
    await send(service, project_id, *items)
    found = numbers(await listed(service, project_id, page_size))
    assert found == sorted(given_at, key=lambda number: (given_at[number], number), reverse=True)


async def test_a_stranger_sees_nothing(shared_engine: AsyncEngine, project_id: int) -> None:
    service, stranger = make_service(shared_engine), next(project_ids)
    await send(service, project_id, make_feedback(1, session_id="s", user_id="u"))
    filters: list[dict[str, Any]] = [{}, {"trace_id": f"{1:032x}"}, {"user_id": "u"}]
    for wanted in (*filters, {"session_id": "s"}):
        assert await listed(service, stranger, **wanted) == []
    parent = f"organizations/acme/projects/p{project_id}"
    request = evaluation_pb2.ListFeedbackRequest(parent=parent)
    assert (await service.ListFeedback(request, caller(project_id))).feedback
    with pytest.raises(BartizanError) as refusal:
        await service.ListFeedback(request, caller(stranger))
    assert refusal.value.code is Code.NOT_FOUND


async def test_an_item_counts_as_a_span_in_the_quota(
    shared_engine: AsyncEngine, project_id: int
) -> None:
    service = make_service(shared_engine)
    await send(service, project_id, *(make_feedback(n) for n in range(1, 6)), quota=1)
    with pytest.raises(BartizanError) as refusal:
        await send(service, project_id, make_feedback(9), quota=1)
    assert (refusal.value.reason, refusal.value.retryable) == ("QUOTA_EXCEEDED", True)
    assert len(await listed(service, project_id)) == 5


async def test_too_many_items_are_refused_with_the_limit(
    shared_engine: AsyncEngine, project_id: int
) -> None:
    service = make_service(shared_engine)
    items = [make_feedback(number) for number in range(1, 1_002)]
    with pytest.raises(BartizanError) as refusal:
        await send(service, project_id, *items)
    assert (refusal.value.reason, refusal.value.retryable) == ("BATCH_TOO_LARGE", False)
    assert refusal.value.metadata == {"limit": "1000", "size": "1001"}
    assert (await send(service, project_id, *items[1:])).stored == 1_000


class Slow(Censor):
    """Judges when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def judge(
        self, texts: Sequence[Text], contexts: Sequence[Context] | None = None
    ) -> Judgement:
        self.asked.set()
        await self.go.wait()
        return await super().judge(texts, contexts)


async def test_a_full_queue_is_said_out_loud(shared_engine: AsyncEngine, project_id: int) -> None:
    rules = Slow()
    service = make_service(shared_engine, rules)
    whole = evaluations.MAX_WAITING_BYTES
    first = asyncio.create_task(send(service, project_id, make_feedback(1), size=whole + 1))
    await rules.asked.wait()
    with pytest.raises(BartizanError) as refusal:
        await send(service, project_id, make_feedback(2), size=10)
    assert (refusal.value.reason, refusal.value.retryable) == ("QUEUE_FULL", True)
    rules.go.set()
    assert (await first).stored == 1
    assert (await send(service, project_id, make_feedback(2), size=whole)).stored == 1


async def test_without_a_database_it_is_unavailable(project_id: int) -> None:
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none")
    service = make_service(engine)
    for attempt in (send(service, project_id, make_feedback(1)), listed(service, project_id)):
        with pytest.raises(OSError) as failure:
            await attempt
        assert known(failure.value, "m").code is Code.UNAVAILABLE
    await engine.dispose()
