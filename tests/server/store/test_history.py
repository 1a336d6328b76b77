"""Stored spans come back with the texts that redaction left, each of them once."""

import json
import random
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.database import project_ids
from tests.support.storing import MAX_FIELD, store, store_prepared

from bartizan.plugins.contract import Finding
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.judgement import Judgement, Ruled
from bartizan.server.ingest.batch import Batch
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.group import Pending
from bartizan.server.ingest.native import NativeConverter
from bartizan.server.ingest.prepare import prepare
from bartizan.server.ingest.taking_over import MAX_FIELD as MAX_PATH
from bartizan.server.ingest.taking_over import take_over
from bartizan.server.ingest.texts import Texts
from bartizan.server.store import history
from bartizan.server.store.clock import from_ns
from bartizan.server.store.history import History, SpanKey, StoredSpan
from bartizan.v1 import common_pb2

SHARED_DATABASE = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
START, END = from_ns(START_NS), from_ns(START_NS + 3600 * NS)

Span = common_pb2.Span


async def read(reader: History, nth: int = 1, start: Any = START) -> list[StoredSpan]:
    pages = reader.pages(start, END, nth)
    return [span async for page in pages for span in page]


def rich_span(json_value: str = '{"inner": ["leaf", 4111111111111111, 3, null]}') -> Span:
    span = make_span(
        1, agent="bot", environment="prod", model="gpt", provider="acme", machine="m",
        workspace="w", tool_name="look-up", error_type="boom", user_id="ann", session_id="s",
        status_message="it broke", tags=["a", "b"], kind=common_pb2.SPAN_KIND_TOOL,
    )  # fmt: skip
    span.cost.price_table, span.cost.currency = "prices", "EUR"
    span.input.add(role=common_pb2.ROLE_USER, content="a question \U0001f600")
    span.input.add(role=common_pb2.ROLE_TOOL_CALL, content="{}", tool_call_id="c1")
    span.output.add(role=common_pb2.ROLE_TOOL_RESULT, content="42", name="t", mime_type="x/y")
    span.attributes.add(key="plain", string_value="value")
    span.attributes.add(key="deep", json_value=json_value)
    event = span.events.add(name="event")
    event.time.FromNanoseconds(START_NS)
    event.attributes.add(key="event-key", string_value="event-value")
    link = span.links.add(trace_id="f" * 32, span_id="e" * 16)
    link.attributes.add(key="link-key", string_value="link-value")
    return span


def batch_of(project_id: int, *spans: Span) -> Batch:
    now_ns = time.time_ns()
    records = [NativeConverter().record(span, now_ns) for span in spans]
    return Batch(project_id, records, range(len(records)))


async def stored_batch(url: str, batch: Batch) -> None:
    now_ns = time.time_ns()
    await store_prepared(url, Pending(batch, prepare(batch, Encoder(MAX_FIELD), now_ns), now_ns))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@SHARED_DATABASE
@given(json_values)
async def test_a_span_has_the_texts_that_were_stored(
    shared_engine: AsyncEngine, database_url: str, value: Any
) -> None:
    project = next(project_ids)
    batch = batch_of(project, rich_span(json.dumps(value)))
    await stored_batch(database_url, batch)
    [span] = await read(History(shared_engine, project))
    assert Texts().of([span.record]) == Texts().of(batch.records)
    assert span.record.dims == batch.records[0].dims
    assert span.record.tags == batch.records[0].tags
    assert span.record.start_ns == batch.records[0].start_ns
    assert span.has_texts


async def test_what_was_redacted_does_not_come_back(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    batch = batch_of(project_id, rich_span())
    texts, places = Texts().of(batch.records)
    found = Ruled(
        Finding("test.all", 1.0, 0, 1, "X"), "r", "v", Verdict.MODIFY, Action.REDACT, False
    )
    redacted = [index for index, text in enumerate(texts) if text.value != "s"]
    take_over(
        batch,
        places,
        Judgement({0: [found]}, {index: f"[{index}]" for index in redacted}),
    )
    await stored_batch(database_url, batch)
    [span] = await read(History(shared_engine, project_id))
    read_texts, _ = Texts().of([span.record])
    assert read_texts == Texts().of(batch.records)[0]
    assert {text.value for text in read_texts} == {f"[{index}]" for index in redacted} | {"s"}


async def test_the_path_of_a_finding_is_no_longer_than_it_may_be(project_id: int) -> None:
    batch = batch_of(project_id, rich_span(json.dumps({"k" * 10_000: "v"})))
    texts, places = Texts().of(batch.records)
    found = Ruled(Finding("a", 1.0, 0, 1, "X"), "r", "v", Verdict.ALLOW, Action.FLAG, False)
    take_over(batch, places, Judgement({index: [found] for index in range(len(texts))}))
    longest = max(len(one.field) for one in batch.decisions[0])
    assert longest == MAX_PATH


async def test_a_span_without_content(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    await store(database_url, project_id, [make_span(1)])
    [span] = await read(History(shared_engine, project_id))
    assert not span.has_texts
    assert [text.value for text in Texts().of([span.record])[0]] == ["chat"]


async def test_every_span_comes_once(
    shared_engine: AsyncEngine,
    database_url: str,
    project_id: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(history, "PAGE_SPANS", 5)
    monkeypatch.setattr(history, "PAGE_TRACES", 3)
    sizes = [1, 7, 1, 1, 5, 12, 2, 1, 1, 1]
    spans = [
        make_span(trace, span_id=f"{number:016x}", start_ns=START_NS + (trace // 4) * NS)
        for trace, size in enumerate(sizes, 1)
        for number in range(1, size + 1)
    ]
    await store(database_url, project_id, random.Random(1).sample(spans, len(spans)))
    reader = History(shared_engine, project_id)
    read_spans = await read(reader)
    keys = Counter((span.key.trace_id.int, span.key.span_id) for span in read_spans)
    assert keys == Counter((int(span.trace_id, 16), int(span.span_id, 16)) for span in spans)
    starts = [span.key.start_time for span in read_spans]
    assert starts == sorted(starts, reverse=True)
    assert await reader.total(START, END) == len(spans)
    assert await reader.total(START + timedelta(seconds=1), END) == sum(sizes[3:])
    assert len(await read(reader, start=START + timedelta(seconds=1))) == sum(sizes[3:])


async def test_every_nth_trace_is_all_of_it_or_nothing(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    rng = random.Random(7)
    traces = [f"{rng.getrandbits(128):032x}" for _ in range(300)]
    spans = [
        make_span(1, trace_id=trace, span_id=f"{number:016x}")
        for trace in traces
        for number in (1, 2)
    ]
    await store(database_url, project_id, spans)
    reader = History(shared_engine, project_id)
    chosen = Counter(span.key.trace_id for span in await read(reader, nth=3))
    assert set(chosen.values()) == {2}
    assert 70 <= len(chosen) <= 130
    assert Counter(span.key.trace_id for span in await read(reader, nth=3)) == chosen


async def test_nobody_reads_the_spans_of_others(
    shared_engine: AsyncEngine, database_url: str, project_id: int
) -> None:
    await store(database_url, project_id, [make_span(1)])
    stranger = History(shared_engine, next(project_ids))
    assert await read(stranger) == []
    assert await stranger.total(START, END) == 0
    assert await stranger.spans([SpanKey(UUID(int=1), 1, START)]) == []
    assert await stranger.spans([]) == []
