"""Backtests over the wire: what they tell, what they refuse, and what is left when they end."""

import asyncio
import json
import struct as packing
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.doors import ask, grpc_details
from tests.server.rpc.reading import make_span
from tests.server.rpc.ruled import NOW, SERVICE, House, refused, rule, served, struct
from tests.support.ruling import Words
from tests.support.storing import decision, store

from bartizan.server.rpc import guardrail_backtest
from bartizan.server.store.clock import to_ns
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

HOUR_NS = 3_600 * 10**9


@pytest.fixture
async def house(shared_engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[House]:
    async with served(shared_engine, tmp_path) as house:
        yield house


async def fill(url: str, house: House, *contents: str) -> None:
    """Stores spans of an hour ago, with a message each."""
    spans = []
    for number, content in enumerate(contents, 1):
        span = make_span(number, name="x", agent="bot", start_ns=to_ns(NOW) - HOUR_NS)
        span.input.add(role=common_pb2.ROLE_USER, content=content)
        spans.append(span)
    await store(url, house.project, spans, {0: [decision("test.word", field="name")]})


def request(document: Any, **options: Any) -> pb.BacktestRuleRequest:
    return pb.BacktestRuleRequest(document=struct(document), **options)


async def run(house: House, document: Any, **options: Any) -> pb.BacktestRuleResponse:
    """Returns the last answer."""
    answers = [one async for one in house.stream("BacktestRule", request(document, **options))]
    assert [one.done for one in answers] == [False] * (len(answers) - 1) + [True]
    last: pb.BacktestRuleResponse = answers[-1]
    return last


async def refusal(house: House, sent: pb.BacktestRuleRequest) -> tuple[str, str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stream("BacktestRule", sent).read()
    details = grpc_details(caught.value)
    field = details.bad_request.field_violations[0].field if details.bad_request else ""
    return caught.value.code().name, details.info.reason, field


async def test_what_a_backtest_tells(house: House, database_url: str) -> None:
    await fill(database_url, house, "odd", "bad odd", "bad", "clean")
    told = await run(house, rule("house", config={"words": ["odd"]}))
    assert (told.spans_total, told.spans_wanted, told.spans_done) == (4, 4, 4)
    assert (told.only_new, told.only_in_force, told.both) == (1, 1, 1)
    assert (told.hits.hits, told.hits.total, told.hits.value) == (2, 4, 0.5)
    assert 0 < told.hits.lower < 0.5 < told.hits.upper < 1
    [category] = told.by_category
    assert (category.value, category.spans, category.findings, category.spans_in_force) == (
        "test.word", 2, 2, 2,
    )  # fmt: skip
    assert [one.value for one in told.by_agent] == ["bot"]
    assert [one.value for one in told.by_day] == [NOW.date().isoformat()]
    [new], [old] = told.examples_new, told.examples_in_force
    assert (new.trace_id, new.finding.rule_version) == (f"{1:032x}", told.version)
    assert (old.trace_id, old.finding.rule_version) == (f"{3:032x}", told.version_in_force)
    assert new.finding.span_id == new.span_id == f"{1:016x}"
    assert not told.HasField("false_alarms")
    assert (told.texts_redacted, told.texts_failed, told.spans_without_texts) == (1, 0, 0)
    assert 0 < told.latency_p50_ms <= told.latency_p99_ms
    assert list(told.warnings) == []


async def test_an_empty_history(house: House) -> None:
    told = await run(house, rule())
    assert (told.spans_total, told.spans_done, told.hits.total) == (0, 0, 0)
    assert (told.hits.lower, told.hits.upper) == (0, 1)


async def test_when_it_looks(house: House, database_url: str) -> None:
    await fill(database_url, house, "bad")
    now, then = Timestamp(), Timestamp()
    now.FromDatetime(NOW)
    then.FromNanoseconds(to_ns(NOW) - HOUR_NS)
    assert (await run(house, rule(), end_time=then)).spans_total == 0
    assert (await run(house, rule(), start_time=then)).spans_total == 1
    assert (await run(house, rule(), start_time=then, end_time=now)).spans_total == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_spans": -1}, ("INVALID_ARGUMENT", "BAD_FIELD", "max_spans")),
        ({"max_spans": 1_000_001}, ("INVALID_ARGUMENT", "BAD_FIELD", "max_spans")),
        ({"max_examples": 101}, ("INVALID_ARGUMENT", "BAD_FIELD", "max_examples")),
        (
            {"start_time": Timestamp(seconds=2**40)},
            ("INVALID_ARGUMENT", "BAD_FILTER", "start_time"),
        ),
        (
            {"start_time": Timestamp(seconds=10), "end_time": Timestamp(seconds=10)},
            ("INVALID_ARGUMENT", "BAD_TIMES", "start_time"),
        ),
        (
            {"end_time": Timestamp(seconds=-62_135_596_800)},
            ("INVALID_ARGUMENT", "BAD_TIMES", "start_time"),
        ),
        ({"parent": "organizations/acme/projects/x"}, ("NOT_FOUND", "PROJECT_NOT_FOUND", "parent")),
    ],
)
async def test_what_is_refused(house: House, options: Any, told: tuple[str, ...]) -> None:
    code, reason, field = await refusal(house, request(rule(), **options))
    assert (code, reason) == told[:2]
    assert field == told[2]


async def test_a_rule_that_cannot_be_had_is_refused(house: House) -> None:
    for document, reason in (
        (rule(plugin="gone"), "UNKNOWN_PLUGIN"),
        (rule(config={"how": "no start"}), "PLUGIN_START_FAILED"),
        ({"id": "both", "when": {"all": ["house", "gone"]}}, "UNKNOWN_RULE"),
    ):
        assert (await refusal(house, request(document)))[:2] == ("INVALID_ARGUMENT", reason)
    assert house.backtests._room._taken == 0


async def test_one_that_its_caller_cancels_leaves_nothing(house: House, database_url: str) -> None:
    await fill(database_url, house, "bad")
    before = Words.open
    gated = request(rule(config={"how": "gated"}, budget_ms=600_000))
    calls = [house.stream("BacktestRule", gated) for _ in range(guardrail_backtest.MAX_RUNS)]
    reads = [asyncio.create_task(call.read()) for call in calls]
    await until(lambda: house.backtests._room._taken == guardrail_backtest.MAX_RUNS)
    await until(lambda: Words.open > before)
    assert (await refusal(house, request(rule())))[:2] == ("RESOURCE_EXHAUSTED", "TOO_MANY_CHECKS")
    for call in calls:
        call.cancel()
    await asyncio.gather(*reads, return_exceptions=True)
    await until(lambda: house.backtests._room._taken == 0)
    assert Words.open == before
    assert (await run(house, rule())).spans_done == 1


async def test_a_backtest_over_http(house: House, database_url: str) -> None:
    await fill(database_url, house, "bad")
    body = json.dumps({"document": rule()}).encode()
    answer = await ask(
        house.http,
        "POST",
        f"{SERVICE}/BacktestRule",
        packing.pack(">BI", 0, len(body)) + body,
        content_type="application/connect+json",
        x_api_key=str(house.project),
    )
    assert answer.status == 200
    _, size = packing.unpack_from(">BI", answer.body)
    told = json.loads(answer.body[5 : 5 + size])
    assert (told["done"], told["hits"]["hits"]) == (True, "1")


async def test_who_may_only_read_may_not(house: House) -> None:
    call = house.stub.BacktestRule(
        request(rule()), metadata=(("x-api-key", f"{house.project}/read"),)
    )
    assert (await refused(call.read()))[0] == "PERMISSION_DENIED"


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.005)
