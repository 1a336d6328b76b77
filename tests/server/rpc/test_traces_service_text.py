"""Words are found in content, wherever it stands, and only there."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import START_NS, listed, make_service, make_span, walk
from tests.support.database import project_ids
from tests.support.storing import store

from bartizan.server.store import search
from bartizan.v1 import common_pb2

Attribute = common_pb2.Attribute
SHARED_DATABASE = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _says(number: int, *contents: str, **fields: Any) -> common_pb2.Span:
    span = make_span(number, start_ns=START_NS + number * 1_000_000, **fields)
    for content in contents:
        span.input.add(role=common_pb2.ROLE_USER, content=content)
    return span


@pytest.mark.parametrize(
    ("needle", "found"),
    [
        ("broken lamp", [2, 1]),
        ("BROKEN LAMP", [2, 1]),
        ("broken  lamp", []),
        ("100%", [3]),
        ("100_", []),
        ("%%", []),
        ("a_b", [3]),
        ("role", []),
        ("content", []),
        ("user", []),
        ('say "hi"\n', [4]),
        ("back\\slash", [4]),
        ("\\n", []),
        ("ПРИВЕТ", [5]),
        ("straße", [5]),
        ("日本", [5]),
        ("[^x]*", [6]),
        ("***", [6]),
        ("(?i)", [6]),
        ("\x1f!", [6]),
        ("! \U0001f600", [6]),
    ],
)
async def test_words_are_found(
    shared_engine: AsyncEngine, database_url: str, project_id: int, needle: str, found: list[int]
) -> None:
    await store(
        database_url,
        project_id,
        [
            _says(1, "My Broken Lamp", "nothing"),
            _says(2, "x", "the broken lamp"),
            _says(3, "100% a_b"),
            _says(4, 'say "hi"\nback\\slash'),
            _says(5, "Привет, STRAßE, 日本語"),
            _says(6, "[^x]* *** (?i) \x1f! \U0001f600"),
        ],
    )
    assert await listed(make_service(shared_engine), project_id, text=needle) == found


def _everywhere() -> dict[str, dict[str, Any]]:
    attributes = [Attribute(key="k", json_value='{"a":[{"b":"Needle"}]}')]
    return {
        "output": {"output": [common_pb2.Message(content="a needle")]},
        "tool": {"input": [common_pb2.Message(name="needle")]},
        "attribute": {"attributes": attributes},
        "key": {"attributes": [Attribute(key="the.needle", int_value=1)]},
        "event": {"events": [common_pb2.SpanEvent(name="needle")]},
        "event attribute": {"events": [common_pb2.SpanEvent(name="e", attributes=attributes)]},
        "link": {
            "links": [
                common_pb2.SpanLink(trace_id="a" * 32, span_id="b" * 16, attributes=attributes)
            ]
        },
        "status": {"status_message": "NEEDLE"},
    }


@pytest.mark.parametrize("place", _everywhere())
async def test_all_content_is_looked_at(
    shared_engine: AsyncEngine, database_url: str, project_id: int, place: str
) -> None:
    await store(database_url, project_id, [make_span(1, **_everywhere()[place])])
    assert await listed(make_service(shared_engine), project_id, text="needle") == [1]


async def test_numbers_are_found(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    span = make_span(1, attributes=[Attribute(key="order", int_value=1234567)])
    await store(database_url, project_id, [span])
    assert await listed(make_service(shared_engine), project_id, text="123456") == [1]


@SHARED_DATABASE
@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=2, max_size=12),
       st.data())  # fmt: skip
async def test_any_text_is_found(
    shared_engine: AsyncEngine, database_url: str, content: str, data: st.DataObject
) -> None:
    project_id = next(project_ids)
    await store(database_url, project_id, [_says(1, content)])
    start = data.draw(st.integers(0, len(content) - 2))
    end = data.draw(st.integers(start + 2, len(content)))
    found = await listed(make_service(shared_engine), project_id, text=content[start:end])
    assert found == [1]


async def test_a_search_is_bounded_and_goes_on(
    shared_engine: AsyncEngine,
    database_url: str,
    project_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search.TraceSearch.__init__, "__kwdefaults__", {"max_spans": 10})
    spans = [_says(n, "the needle" if n in (3, 4, 45) else "hay") for n in range(1, 51)]
    await store(database_url, project_id, spans)
    pages = [page async for page in walk(make_service(shared_engine), project_id, 1, text="needle")]
    assert all(page.next_page_token for page in pages[:-1])
    assert [] in [list(page.traces) for page in pages[:-1]]
    assert [int(t.trace_id, 16) for page in pages for t in page.traces] == [45, 4, 3]


async def test_a_trace_that_is_too_large_is_searched_alone(
    shared_engine: AsyncEngine,
    database_url: str,
    project_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "MAX_BYTES", 1_000)
    spans = [_says(n, "x" * 900 * (n % 3) + "needle") for n in range(1, 10)]
    await store(database_url, project_id, spans)
    service = make_service(shared_engine)
    assert await listed(service, project_id, text="needle") == list(range(9, 0, -1))
