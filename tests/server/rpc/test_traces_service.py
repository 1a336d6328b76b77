"""Spans come back as they went in."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, caller, get_trace, make_service, make_span
from tests.support.database import project_ids
from tests.support.storing import decision, store

from bartizan.plugins.errors import BartizanError, Code
from bartizan.v1 import common_pb2, trace_pb2

Attribute = common_pb2.Attribute
SHARED_DATABASE = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def whole_span() -> common_pb2.Span:
    span = make_span(
        0xF0000000000000000000000000000001,
        span_id="f000000000000001",
        parent_span_id="00000000000000ab",
        kind=common_pb2.SPAN_KIND_LLM,
        status=common_pb2.STATUS_CODE_ERROR,
        status_message='it "broke"\nat höme',
        error_type="timeout",
        model="gpt-4o",
        provider="openai",
        agent="support",
        user_id="u/1",
        session_id="s/ü 1",
        environment="production",
        machine="m1",
        workspace="/home/w",
        tool_name="search",
        tags=["a", "b, {c}", 'd"\\e'],
        usage=common_pb2.TokenUsage(input=10, output=20, cache_read=3, cache_write=4, reasoning=5),
        cost=common_pb2.Cost(
            amount=0.012345,
            currency="USD",
            source=common_pb2.COST_SOURCE_LOCAL,
            price_table="2026-01",
        ),
        time_to_first_token_ns=1_234_567,
    )
    span.start_time.FromNanoseconds(START_NS + 123_456_789)
    span.end_time.FromNanoseconds(START_NS + 2 * NS + 1)
    span.input.add(role=common_pb2.ROLE_SYSTEM, content="be kind")
    span.input.add(role=common_pb2.ROLE_TOOL_RESULT, content='{"a":1}', name="t",
                   tool_call_id="c1", mime_type="application/json")  # fmt: skip
    span.output.add(role=common_pb2.ROLE_ASSISTANT, content="\u2603 \U0001f600 \x01")
    span.attributes.extend(attributes())
    event = span.events.add(name="exception", attributes=attributes()[:3])
    event.time.FromNanoseconds(START_NS + 7)
    span.links.add(trace_id="ab" * 16, span_id="cd" * 8, attributes=attributes()[3:])
    return span


def attributes() -> list[common_pb2.Attribute]:
    return [
        Attribute(key="text", string_value="x"),
        Attribute(key="empty", string_value=""),
        Attribute(key="int", int_value=-(2**63)),
        Attribute(key="double", double_value=1.0),
        Attribute(key="bool", bool_value=False),
        Attribute(key="json", json_value='{"a":[1,2.5,null]}'),
        Attribute(key="null"),
    ]


async def test_a_span_comes_back_whole(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    sent = whole_span()
    await store(database_url, project_id, [sent], {0: [decision("pii.email_address")]})
    [answer] = await get_trace(make_service(shared_engine), project_id, sent.trace_id)
    assert list(answer.spans) == [sent]
    [finding] = answer.findings
    assert finding == common_pb2.Finding(
        span_id=sent.span_id, category="pii.email_address", score=0.75, field="input[0].content",
        start=1, end=4, code="pattern", rule="pii", rule_version="v1",
        verdict=common_pb2.VERDICT_MODIFY, action=common_pb2.ACTION_REDACT,
        severity=common_pb2.SEVERITY_MEDIUM,
    )  # fmt: skip


async def test_the_summary_comes_first(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    root = make_span(1, name="root", agent="a", model="m2", session_id="s",
                     status=common_pb2.STATUS_CODE_OK, tags=["t2"],
                     cost=common_pb2.Cost(amount=0.5))  # fmt: skip
    child = make_span(1, span_id="00000000000000ff", parent_span_id=root.span_id, name="child",
                      start_ns=START_NS - 5 * NS, model="m1", tags=["t1"], agent="b", user_id="u",
                      status=common_pb2.STATUS_CODE_ERROR,
                      usage=common_pb2.TokenUsage(input=3, output=4))  # fmt: skip
    found = {0: [decision("pii.person"), decision("pii.ip", shadow=True)]}
    await store(database_url, project_id, [child])
    await store(database_url, project_id, [root], found)
    service = make_service(shared_engine)
    first, second = await get_trace(service, project_id, root.trace_id, page_size=1)
    trace = first.trace
    assert [span.name for span in (*first.spans, *second.spans)] == ["child", "root"]
    assert not second.HasField("trace")
    assert not first.findings
    assert [finding.shadow for finding in second.findings] == [True, False]
    assert trace.name == f"organizations/acme/projects/p{project_id}/traces/{root.trace_id}"
    assert trace.display_name == "root"
    assert trace.status == common_pb2.STATUS_CODE_OK
    assert trace.start_time == child.start_time
    assert trace.end_time == root.end_time
    assert (trace.span_count, trace.error_count, trace.finding_count) == (2, 1, 2)
    assert trace.usage == common_pb2.TokenUsage(input=3, output=4)
    assert trace.cost_usd == 0.5
    assert list(trace.agents) == ["a", "b"]
    assert list(trace.models) == ["m1", "m2"]
    assert list(trace.tags) == ["t1", "t2"]
    assert (trace.user_id, trace.session_id) == ("u", "s")
    assert trace.root_seen


async def test_content_can_be_left_out(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    sent = whole_span()
    await store(database_url, project_id, [sent])
    service = make_service(shared_engine)
    [answer] = await get_trace(service, project_id, sent.trace_id, omit_content=True)
    for field in ("input", "output", "attributes", "events", "links"):
        sent.ClearField(field)
    assert list(answer.spans) == [sent]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (None, None),
        (common_pb2.Cost(amount=0), common_pb2.Cost(amount=0, currency="USD")),
        (common_pb2.Cost(amount=2.5), common_pb2.Cost(amount=2.5, currency="USD")),
        (
            common_pb2.Cost(amount=2.5, currency="EUR"),
            common_pb2.Cost(amount=2.5, currency="EUR"),
        ),
    ],
)
async def test_a_price_is_known_or_not(
    shared_engine: AsyncEngine,
    database_url: str,
    project_id: int,
    sent: common_pb2.Cost | None,
    kept: common_pb2.Cost | None,
) -> None:
    await store(database_url, project_id, [make_span(7, cost=sent)])
    [answer] = await get_trace(make_service(shared_engine), project_id, f"{7:032x}")
    [span] = answer.spans
    assert (span.cost if span.HasField("cost") else None) == kept
    assert answer.trace.cost_usd == (sent.amount if sent and sent.currency != "EUR" else 0)


async def test_long_content_says_that_it_was_cut(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    span = make_span(1)
    span.input.add(role=common_pb2.ROLE_USER, content="x" * 2_000_000)
    span.input.add(role=common_pb2.ROLE_USER, content="short")
    await store(database_url, project_id, [span])
    [answer] = await get_trace(make_service(shared_engine), project_id, span.trace_id)
    long, short = answer.spans[0].input
    assert long.truncated
    assert "[truncated: 2000000 characters" in long.content
    assert short == span.input[1]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


@SHARED_DATABASE
@given(values=st.lists(JSON, max_size=6), number=st.integers(1, 2**128 - 1))
async def test_attributes_keep_their_types(
    values: list[object],
    number: int,
    shared_engine: AsyncEngine,
    database_url: str,
) -> None:
    project_id = next(project_ids)
    span = make_span(number, span_id=f"{(number % (2**64 - 1)) + 1:016x}")
    for place, value in enumerate(values):
        span.attributes.add(key=f"k{place}", json_value=json.dumps(value))
    await store(database_url, project_id, [span])
    [answer] = await get_trace(make_service(shared_engine), project_id, span.trace_id)
    read = [_value(attribute) for attribute in answer.spans[0].attributes]
    assert (json.dumps(read), list(map(type, read))) == (
        json.dumps(values), list(map(type, values))
    )  # fmt: skip


def _value(attribute: common_pb2.Attribute) -> object:
    which = attribute.WhichOneof("value")
    value: Any = getattr(attribute, which) if which else None
    return json.loads(value) if which == "json_value" else value


async def test_a_long_trace_comes_in_pages(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    spans = [
        make_span(1, span_id=f"{n + 1:016x}", start_ns=START_NS + (n * 7919 % 500) * 300)
        for n in range(1_200)
    ]
    for span in spans[::9]:
        span.input.add(content="x" * 100_000)
    await store(database_url, project_id, spans)
    service = make_service(shared_engine)
    answers = await get_trace(service, project_id, spans[0].trace_id, page_size=100)
    assert all(1 <= len(answer.spans) <= 100 for answer in answers)
    assert all(answer.ByteSize() < 3_000_000 for answer in answers)
    came = [(s.start_time.ToNanoseconds(), s.span_id) for a in answers for s in a.spans]
    assert came == sorted((s.start_time.ToNanoseconds(), s.span_id) for s in spans)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", Code.INVALID_ARGUMENT),
        ("xyz", Code.INVALID_ARGUMENT),
        ("0" * 32, Code.INVALID_ARGUMENT),
        ("g" * 32, Code.INVALID_ARGUMENT),
        ("organizations/acme/projects/{p}/spans/" + "a" * 32, Code.INVALID_ARGUMENT),
        ("organizations/acme/projects/{p}/traces/a", Code.INVALID_ARGUMENT),
        ("a" * 32, Code.NOT_FOUND),
        ("organizations/acme/projects/{p}/traces/" + "a" * 32, Code.NOT_FOUND),
        ("organizations/acme/projects/other/traces/" + f"{1:032x}", Code.NOT_FOUND),
    ],
)
async def test_names_of_traces(
    shared_engine: AsyncEngine, database_url: str, project_id: int, name: str, code: Code
) -> None:
    await store(database_url, project_id, [make_span(1)])
    with pytest.raises(BartizanError) as refused:
        await get_trace(
            make_service(shared_engine), project_id, name.replace("{p}", f"p{project_id}")
        )
    assert (refused.value.code, refused.value.field) == (code, "name")


@pytest.mark.parametrize("form", ["{id}", "organizations/acme/projects/p{p}/traces/{id}"])
async def test_a_trace_is_got_by_either_name(
    shared_engine: AsyncEngine, database_url: str, project_id: int, form: str
) -> None:
    trace_id = f"{0xABCDEF:032x}"
    await store(database_url, project_id, [make_span(0xABCDEF)])
    for shown in (trace_id, trace_id.upper()):
        name = form.format(p=project_id, id=shown)
        [answer] = await get_trace(make_service(shared_engine), project_id, name)
        assert answer.trace.trace_id == trace_id


async def test_nobody_sees_another_project(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    stranger = project_id + 1_000_000
    service = make_service(shared_engine)
    for project, content in ((project_id, "mine"), (stranger, "theirs")):
        span = make_span(1, session_id="s", name=content)
        span.input.add(content=content)
        await store(database_url, project, [span], {0: [decision("pii.person")] * len(content)})
    for project, content in ((project_id, "mine"), (stranger, "theirs")):
        [answer] = await get_trace(service, project, f"{1:032x}")
        assert [span.input[0].content for span in answer.spans] == [content]
        assert len(answer.findings) == answer.trace.finding_count
        request = trace_pb2.ListTracesRequest()
        traces = (await service.ListTraces(request, caller(project))).traces
        assert [trace.display_name for trace in traces] == [content]
        session = await service.GetSession(
            trace_pb2.GetSessionRequest(name="s"), caller(project, "GetSession")
        )
        assert session.session.trace_count == 1
    for text, finding in (("theirs", ""), ("", "pii"), ("mine", "")):
        request = trace_pb2.ListTracesRequest(
            filter=trace_pb2.TraceFilter(text=text, finding=finding)
        )
        answer_count = len((await service.ListTraces(request, caller(project_id))).traces)
        assert answer_count == (text != "theirs")
    request = trace_pb2.ListTracesRequest(parent=f"organizations/acme/projects/p{stranger}")
    with pytest.raises(BartizanError) as refused:
        await service.ListTraces(request, caller(project_id))
    assert refused.value.code is Code.NOT_FOUND
