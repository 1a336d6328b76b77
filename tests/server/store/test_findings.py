"""Findings are listed page by page, each once, and carry what people say of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import NS, START_NS, make_span
from tests.support.database import project_ids
from tests.support.ruling import add_project
from tests.support.storing import decision, store

from bartizan.plugins.contract import Finding
from bartizan.plugins.decision import Action, Decision, Severity, Verdict
from bartizan.server.store.clock import from_ns
from bartizan.server.store.findings import (
    FindingFilter,
    FindingKey,
    FindingReader,
    Position,
    digest,
)
from bartizan.v1 import common_pb2

SHARED_DATABASE = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
START = from_ns(START_NS)

FOUND: Mapping[str, Decision] = {
    "mail": decision("pii.mail", field="input[0].content"),
    "phone": replace(decision("pii.phone"), rule="phones", severity=Severity.CRITICAL),
    "piif": decision("piif"),
    "watched": decision("toxicity.insult", shadow=True),
    "blocked": Decision(
        "output[0].content", Finding("injection", 1.0, 0, 9, "X"), "attacks", "v2",
        Verdict.DENY, Action.BLOCK, False, Severity.HIGH,
    ),
}  # fmt: skip


async def listed(reader: FindingReader, page_size: int = 2, **wanted: Any) -> list[Row[Any]]:
    """Returns all findings, read page by page."""
    found: list[Row[Any]] = []
    after: Position | None = None
    while page := await reader.newest(FindingFilter(**wanted), after, page_size):
        found += page
        after = (after or Position(FindingKey.of(page[-1]), 0)).moved(page)
    return found


@pytest.fixture
async def reader(shared_engine: AsyncEngine, database_url: str) -> FindingReader:
    """Reads a project with one finding of each kind, each in a span of its own."""
    project = await add_project(shared_engine)
    spans = [
        make_span(number, start_ns=START_NS + number * NS) for number, _ in enumerate(FOUND, 1)
    ]
    decisions = {place: [one] for place, one in enumerate(FOUND.values())}
    await store(database_url, project, spans, decisions)
    return FindingReader(shared_engine, project)


def names(rows: Sequence[Row[Any]]) -> list[str]:
    by_trace = {f"{number:032x}": name for number, name in enumerate(FOUND, 1)}
    return [by_trace[row.trace_id.hex] for row in rows]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["blocked", "watched", "piif", "phone", "mail"]),
        ({"start": START + timedelta(seconds=4)}, ["blocked", "watched"]),
        ({"end": START + timedelta(seconds=2)}, ["mail"]),
        ({"rule": "phones"}, ["phone"]),
        ({"rule": "nobody"}, []),
        ({"category": "pii"}, ["phone", "mail"]),
        ({"category": "pii.mail"}, ["mail"]),
        ({"category": "pi"}, []),
        ({"category": "p%"}, []),
        ({"trace_id": UUID(int=5)}, ["blocked"]),
        ({"action": common_pb2.ACTION_BLOCK}, ["blocked"]),
        ({"min_severity": common_pb2.SEVERITY_HIGH}, ["blocked", "phone"]),
        ({"shadow": True}, ["watched"]),
        ({"shadow": False, "category": "pii"}, ["phone", "mail"]),
        ({"labelled": True}, []),
        ({"labelled": False, "rule": "attacks"}, ["blocked"]),
    ],
)
async def test_what_is_wanted_is_listed(
    reader: FindingReader, wanted: Mapping[str, Any], expected: list[str]
) -> None:
    assert names(await listed(reader, **wanted)) == expected


async def test_a_label_is_set_changed_and_taken_back(reader: FindingReader) -> None:
    [row] = await listed(reader, rule="attacks")
    assert (row.is_right, row.label_author) == (None, None)
    now = from_ns(START_NS)
    await reader.label(row, True, "ada", now)
    await reader.label(row, False, "bob", now + timedelta(hours=1))
    [labelled] = await listed(reader, labelled=True)
    assert (labelled.is_right, labelled.label_author) == (False, "bob")
    assert labelled.label_time == now + timedelta(hours=1)
    assert digest(labelled) == digest(row)
    await reader.unlabel(row)
    await reader.unlabel(row)
    assert await listed(reader, labelled=True) == []
    assert len(await listed(reader, labelled=False)) == len(FOUND)


async def test_nobody_reads_or_labels_what_is_not_theirs(
    reader: FindingReader, shared_engine: AsyncEngine
) -> None:
    stranger = FindingReader(shared_engine, await add_project(shared_engine))
    [row] = await listed(reader, rule="attacks")
    assert await listed(stranger) == []
    assert await stranger.of_span(row.trace_id, row.span_id) == []
    await stranger.label(row, True, "eve", from_ns(START_NS))
    assert await listed(reader, labelled=True) == []


async def test_a_label_is_for_the_place_and_not_for_the_version(
    shared_engine: AsyncEngine, database_url: str
) -> None:
    project = await add_project(shared_engine)
    reader = FindingReader(shared_engine, project)
    both = [decision("pii.mail"), replace(decision("pii.mail"), rule="other", rule_version="v2")]
    await store(database_url, project, [make_span(1)], {0: both})
    [first, second] = await listed(reader)
    assert digest(first) != digest(second)
    await reader.label(first, True, "ada", from_ns(START_NS))
    assert [row.is_right for row in await listed(reader)] == [True, True]


places = st.tuples(
    st.integers(1, 2),  # the span
    st.sampled_from(["a", "b"]),
    st.sampled_from(["pii.mail", "pii.phone"]),
    st.integers(0, 1),
    st.sampled_from(["X", "Y"]),
)


@SHARED_DATABASE
@given(found=st.lists(places, max_size=14), page_size=st.integers(1, 4))
async def test_every_finding_is_on_one_page(
    shared_engine: AsyncEngine,
    database_url: str,
    found: list[tuple[int, str, str, int, str]],
    page_size: int,
) -> None:
    project = next(project_ids)
    decisions: dict[int, list[Decision]] = {}
    for span, field, category, start, code in found:
        one = decision(category, field=field)
        one = replace(one, finding=replace(one.finding, start=start, code=code))
        decisions.setdefault(span - 1, []).append(one)
    # One moment for all, so that nothing but the whole key tells them apart.
    spans = [make_span(number, start_ns=START_NS) for number in (1, 2)]
    await store(database_url, project, spans, decisions)
    rows = await listed(FindingReader(shared_engine, project), page_size)
    seen = [(row.trace_id.int, row.field, row.category, row.start_offset, row.code) for row in rows]
    assert sorted(seen) == sorted(found)
    keys = [FindingKey.of(row) for row in rows]
    assert keys == sorted(keys, reverse=True)
