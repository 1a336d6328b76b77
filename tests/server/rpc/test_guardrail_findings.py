"""Findings of a project over the wire: listed page by page, labelled, and nobody else's."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.reading import START_NS, make_span
from tests.server.rpc.ruled import NOW, House, refused, served
from tests.support.ruling import add_project
from tests.support.storing import decision, store

from bartizan.plugins.decision import Decision
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

Filter = pb.FindingFilter


@pytest.fixture
async def house(shared_engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[House]:
    async with served(shared_engine, tmp_path) as house:
        yield house


async def fill(url: str, house: House, *decisions: Decision) -> None:
    """Stores a span with what was found in it."""
    await store(url, house.project, [make_span(1)], {0: list(decisions)})


async def listed(
    house: House, page_size: int = 2, wanted: Filter | None = None, **options: Any
) -> list[pb.StoredFinding]:
    found: list[pb.StoredFinding] = []
    token = ""
    while True:
        request = pb.ListFindingsRequest(
            filter=wanted, page_size=page_size, page_token=token, **options
        )
        page = await house.call("ListFindings", request)
        found += page.findings
        if not (token := page.next_page_token):
            return found
        assert len(page.findings) == page_size


async def label(house: House, name: str, right: bool | None, key: str = "") -> pb.StoredFinding:
    request = pb.LabelFindingRequest(name=name, right=right)
    answer = await house.call("LabelFinding", request, key)
    return answer.finding  # type: ignore[no-any-return]


async def test_findings_of_one_moment_are_all_listed(house: House, database_url: str) -> None:
    same = [decision("pii.mail")] * 5
    longest = decision("pii.phone", field="attributes[" + "é" * 500)
    await fill(database_url, house, *same, longest, decision("pii.phone", shadow=True))
    for size in (1, 2, 3, 7):
        found = await listed(house, size)
        assert len(found) == 7
        assert sum(one.finding.category == "pii.mail" for one in found) == 5
    assert len(await listed(house, 1, Filter(shadow=True))) == 1


async def test_a_finding_says_where_it_is_from(house: House, database_url: str) -> None:
    await fill(database_url, house, decision("pii.mail"))
    [found] = await listed(house)
    assert found.name.startswith(f"{house.name()}/findings/f-{1:032x}-{1:016x}-")
    assert (found.trace_id, found.finding.span_id) == (f"{1:032x}", f"{1:016x}")
    assert found.start_time.ToNanoseconds() == START_NS
    assert (found.finding.rule, found.finding.severity) == ("pii", common_pb2.SEVERITY_MEDIUM)
    assert not found.HasField("label")


async def test_a_person_says_whether_it_is_right(house: House, database_url: str) -> None:
    author = await house.make_key()
    await fill(database_url, house, decision("pii.mail"), decision("pii.phone"))
    [first, second] = await listed(house)
    labelled = await label(house, first.name, True)
    assert (labelled.label.right, labelled.label.author) == (True, author)
    assert labelled.label.create_time.ToDatetime(NOW.tzinfo) == NOW
    bare = first.name.rpartition("/")[2]
    labelled = await label(house, bare, False)
    assert labelled.HasField("label")
    assert not labelled.label.right
    assert await listed(house, wanted=Filter(labelled=True)) == [labelled]
    assert await listed(house, wanted=Filter(labelled=False)) == [second]
    assert not (await label(house, first.name, None)).HasField("label")
    assert await listed(house) == [first, second]


async def test_findings_of_others_are_not_there(house: House, database_url: str) -> None:
    await fill(database_url, house, decision("pii.mail"))
    [found] = await listed(house)
    other = await add_project(house.engine)
    request = pb.ListFindingsRequest()
    assert not (await house.call("ListFindings", request, str(other))).findings
    for name in (found.name, found.name.rpartition("/")[2]):
        told = await refused(label(house, name, True, str(other)))
        assert told == ("NOT_FOUND", "FINDING_NOT_FOUND", "name")
    theirs = pb.ListFindingsRequest(parent=house.name(project=other))
    assert (await refused(house.call("ListFindings", theirs)))[0] == "NOT_FOUND"
    token = (await house.call("ListFindings", pb.ListFindingsRequest())).next_page_token
    assert token == ""


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "INVALID_ARGUMENT"),
        ("f-1-2-3", "INVALID_ARGUMENT"),
        (f"f-{1:032X}-{1:016x}-{'a' * 8}\n", "INVALID_ARGUMENT"),
        (f"f-{'A' * 32}-{1:016x}-{'a' * 8}", "INVALID_ARGUMENT"),
        (f"f-{1:032x}-{1:016x}-{'a' * 8}", "NOT_FOUND"),
        (f"f-{1:032x}-{'f' * 16}-{'a' * 8}", "NOT_FOUND"),
        (f"projects/x/findings/f-{1:032x}-{1:016x}-{'a' * 8}", "NOT_FOUND"),
        (f"x/f-{1:032x}-{1:016x}-{'a' * 8}", "INVALID_ARGUMENT"),
    ],
)
async def test_names_of_nothing(house: House, name: str, code: str) -> None:
    told = await refused(label(house, name, True))
    assert (told[0], told[2]) == (code, "name")


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"action": 99}, "filter.action"),
        ({"min_severity": 99}, "filter.min_severity"),
        ({"rule": "x" * 64}, "filter.rule"),
        ({"rule": "\0"}, "filter.rule"),
        ({"category": "Not A Category"}, "filter.category"),
        ({"category": "pii."}, "filter.category"),
        ({"category": "a" * 200}, "filter.category"),
        ({"trace_id": "xyz"}, "filter.trace_id"),
        ({"trace_id": "0" * 32}, "filter.trace_id"),
        ({"start_time": Timestamp(seconds=10**12)}, "filter.start_time"),
        ({"end_time": Timestamp(nanos=-1)}, "filter.end_time"),
    ],
)
async def test_wrong_filters(house: House, wanted: Mapping[str, Any], field: str) -> None:
    request = pb.ListFindingsRequest(filter=Filter(**wanted))
    told = await refused(house.call("ListFindings", request))
    assert told == ("INVALID_ARGUMENT", "BAD_FILTER", field)


async def test_a_page_token_is_for_one_filter_of_one_project(
    house: House, database_url: str
) -> None:
    await fill(database_url, house, *[decision("pii.mail")] * 2)
    request = pb.ListFindingsRequest(page_size=1)
    token = (await house.call("ListFindings", request)).next_page_token
    other = str(await add_project(house.engine))
    for wrong, key in (
        (pb.ListFindingsRequest(page_token=token), other),
        (pb.ListFindingsRequest(page_token=token, filter=Filter(rule="pii")), ""),
        (pb.ListFindingsRequest(page_token=token[:-1]), ""),
    ):
        told = await refused(house.call("ListFindings", wrong, key))
        assert told == ("INVALID_ARGUMENT", "BAD_PAGE_TOKEN", "page_token")
    negative = pb.ListFindingsRequest(page_size=-1)
    assert (await refused(house.call("ListFindings", negative)))[2] == "page_size"


async def test_a_label_over_http(house: House, database_url: str) -> None:
    one = decision("pii.mail")
    await fill(database_url, house, replace(one, rule="other"))
    [found] = await listed(house)
    answer = await house.post("LabelFinding", {"name": found.name, "right": False})
    assert answer.status == 200
    [labelled] = await listed(house, wanted=Filter(labelled=True))
    assert not labelled.label.right
