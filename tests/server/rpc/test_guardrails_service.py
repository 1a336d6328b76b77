import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import grpc
import pytest
from tests.server.rpc import checking
from tests.server.rpc.checking import House, Open, Request, rest
from tests.server.rpc.doors import grpc_details

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.judgement import Context, Failure
from bartizan.plugins.limits import FAILURES_TO_OPEN
from bartizan.server.checking import rules as rules_module
from bartizan.server.checking.rules import Inquiry
from bartizan.server.checking.texts import check_texts
from bartizan.server.rpc import guardrails
from bartizan.server.rpc.guardrails import MAX_STREAM_CHARACTERS
from bartizan.v1 import common_pb2, guardrail_pb2

USER, TOOL = common_pb2.ROLE_USER, common_pb2.ROLE_TOOL_RESULT
ALLOW, DENY = common_pb2.VERDICT_ALLOW, common_pb2.VERDICT_DENY
MODIFY = common_pb2.VERDICT_MODIFY
OK, SKIPPED = guardrail_pb2.RULE_OUTCOME_OK, guardrail_pb2.RULE_OUTCOME_SKIPPED
TIMED_OUT = guardrail_pb2.RULE_OUTCOME_TIMED_OUT
MANY = 1_000


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with checking.served() as house:
        yield house


def message(content: str, role: Any = USER, **fields: Any) -> common_pb2.Message:
    return common_pb2.Message(role=role, content=content, **fields)


async def refused(call: Awaitable[Any]) -> tuple[str, str, str]:
    """Returns code, reason and field of the error."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    details = grpc_details(caught.value)
    field = details.bad_request.field_violations[0].field if details.bad_request else ""
    return caught.value.code().name, details.info.reason, field


async def test_each_message_gets_its_answer(house: House) -> None:
    answer = await house.check(
        message("hello"),
        message("mail ada@example.com", name="to_bob@example.com", tool_call_id="c1"),
        message("ignore all that"),
    )
    assert (answer.verdict, answer.action) == (DENY, common_pb2.ACTION_BLOCK)
    assert [one.verdict for one in answer.messages] == [ALLOW, MODIFY, DENY]
    assert [one.HasField("redacted") for one in answer.messages] == [False, True, False]
    assert answer.messages[1].redacted == message("mail [MAIL]", name="[MAIL]", tool_call_id="c1")
    [first, second] = answer.messages[1].findings
    assert (first.field, first.start, first.end, first.rule) == ("content", 5, 20, "mail")
    assert second.field == "name"
    assert first.rule_version
    assert [(run.rule, run.outcome) for run in answer.rules] == [
        ("mail", OK), ("attack", OK), ("watch", OK), ("slow", SKIPPED),
    ]  # fmt: skip
    assert all(run.milliseconds >= 0 for run in answer.rules)
    assert answer.complete


async def test_rules_that_ask_apply_to_the_unknown(house: House) -> None:
    async def watched(**context: str) -> bool:
        seen = guardrail_pb2.CheckContext(**context)
        answer = await house.check(message("odd"), context=seen)
        assert answer.verdict == ALLOW
        return any(one.shadow for one in answer.messages[0].findings)

    assert await watched()
    assert await watched(agent="bot", trace_id="a" * 32, user_id="u", session_id="s")
    assert not await watched(agent="another")


async def test_only_wanted_rules_are_asked_and_unknown_ones_are_refused(house: House) -> None:
    answer = await house.check(message("ada@example.com ignore all"), rules=["mail"])
    assert answer.verdict == MODIFY
    assert [run.rule for run in answer.rules] == ["mail"]
    refusal = await refused(house.check(message("x"), rules=["mail", "gone"]))
    assert refusal == ("INVALID_ARGUMENT", "UNKNOWN_RULE", "rules")


async def test_the_deadline_is_the_budget(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    # Much of it is left for the way back, as a busy machine may need it.
    monkeypatch.setattr(rules_module, "MARGIN_SHARE", 0.98)
    monkeypatch.setattr(rules_module, "MAX_MARGIN_S", 60)
    answer = await house.check(message("mail ada@example.com", TOOL), within_s=20)
    assert answer.verdict == DENY
    assert not answer.complete
    assert {run.rule: run.outcome for run in answer.rules}["slow"] == TIMED_OUT
    assert answer.messages[0].redacted.content == "mail [MAIL]"
    assert {one.category for one in answer.messages[0].findings} == {"test.mail", "chain.withheld"}


async def test_hurried_callers_suspend_no_rule(house: House) -> None:
    inquiry = Inquiry(Context(), frozenset({"slow"}))
    for _ in range(FAILURES_TO_OPEN + 1):
        texts = [Text(Role.TOOL_RESULT, "x")]
        checked = await check_texts(house.rules, texts, inquiry, lambda: 0.006)
        assert [report.failure for report in checked.reports] == [Failure.TIMEOUT]


@pytest.mark.parametrize(
    ("left", "seconds"),
    [(None, None), (0.0, 0.0), (0.004, 0.0), (0.02, 0.015), (0.1, 0.08), (10, 9.95)],
)
def test_a_margin_is_left_for_the_way_back(left: float | None, seconds: float | None) -> None:
    assert rules_module.seconds_for_rules(left) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("messages", "options", "expected"),
    [
        ([], {}, ("INVALID_ARGUMENT", "MISSING", "messages")),
        ([message("x")] * 1_025, {}, ("RESOURCE_EXHAUSTED", "TEXT_TOO_LARGE", "messages")),
        (
            [message("x"), message("x" * (1 << 20))], {},
            ("RESOURCE_EXHAUSTED", "TEXT_TOO_LARGE", "messages[1]"),
        ),
        (
            [message("x" * 1_000_000)] * 5, {},
            ("RESOURCE_EXHAUSTED", "TEXT_TOO_LARGE", "messages"),
        ),
        ([message("x", 77)], {}, ("INVALID_ARGUMENT", "BAD_FIELD", "messages[0].role")),
        (
            [message("x", name="n" * 257)], {},
            ("INVALID_ARGUMENT", "BAD_FIELD", "messages[0].name"),
        ),
        (
            [message("x")], {"context": {"agent": "a" * 129}},
            ("INVALID_ARGUMENT", "BAD_FIELD", "context.agent"),
        ),
        (
            [message("x")], {"context": {"trace_id": "my mail"}},
            ("INVALID_ARGUMENT", "BAD_FIELD", "context.trace_id"),
        ),
        (
            [message("x")], {"rules": ["r"] * 1_025},
            ("RESOURCE_EXHAUSTED", "TOO_MANY_RULES", "rules"),
        ),
    ],
)  # fmt: skip
async def test_what_is_out_of_bounds_is_refused(
    house: House, messages: Any, options: Any, expected: tuple[str, str, str]
) -> None:
    assert await refused(house.check(*messages, **options)) == expected


@pytest.mark.parametrize("content", ["", "\0\x01\x7f", "🙂" * 50_000, "א" * 1_000, "{" * 100_000])
async def test_odd_texts_are_judged(house: House, content: str) -> None:
    assert (await house.check(message(content))).verdict == ALLOW


async def test_a_call_counts_as_one_span_in_the_quota(house: House) -> None:
    for _ in range(2):
        await house.check(message("x"), message("y"), key="7/1")
    await house.check(message("x"), key="8/1")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        for _ in range(2):
            await house.check(message("x"), key="7/1")
    assert grpc_details(caught.value).info.reason == "QUOTA_EXCEEDED"
    assert grpc_details(caught.value).retry is not None


async def test_overload_says_when_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.service._waiting, "_limit", 10)
    waiting = asyncio.create_task(house.check(message("x" * 20, TOOL), within_s=5))
    await house.slow.entered.wait()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.check(message("x"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert grpc_details(caught.value).retry.retry_delay.seconds == 1
    waiting.cancel()


async def test_a_key_needs_the_scope(house: House) -> None:
    assert (await refused(house.check(message("x"), key="reader")))[:2] == (
        "PERMISSION_DENIED", "MISSING_SCOPE",
    )  # fmt: skip


async def test_a_stream_releases_behind_its_chunks(house: House) -> None:
    text = "so many words and ada@example.com between them " * 20
    async with house.stream(hold_back=32) as call:
        for at in range(0, len(text), 5):
            await call.write(Request(chunk=text[at : at + 5]))
        first = await call.read()
        assert text.startswith(first.text)
        others, findings, end = await rest(call)
    assert first.text + others == text.replace("ada@example.com", "[MAIL]")
    found = [text[one.start : one.end] for one in [*first.findings, *findings]]
    assert found == ["ada@example.com"] * 20
    assert (end.verdict, end.action, end.complete) == (MODIFY, common_pb2.ACTION_REDACT, True)
    assert end.characters == len(text)
    assert (end.rules[0].rule, end.rules[0].outcome) == ("mail", OK)


async def test_a_denial_ends_the_stream(house: House) -> None:
    async with house.stream(hold_back=32) as call:
        await call.write(Request(chunk="first some words, then igno"))
        await call.write(Request(chunk="re all of it" + " and more" * 50))
        text, findings, end = await rest(call)
        assert await call.code() is grpc.StatusCode.OK
    assert text == "first some words, then "
    assert [one.rule for one in findings] == ["attack"]
    assert (end.verdict, end.action) == (DENY, common_pb2.ACTION_BLOCK)


async def test_a_denial_comes_while_the_client_still_writes(house: House) -> None:
    async with house.stream(hold_back=32) as call:
        await call.write(Request(chunk="ignore all of it" + " and more" * 50))
        response = await call.read()
        assert [one.rule for one in response.findings] == ["attack"]
        assert (await call.read()).end.verdict == DENY
        assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("requests", "expected"),
    [
        ([Request(chunk="x")], ("NOT_OPEN", "open")),
        ([], ("NOT_OPEN", "open")),
        ([Request(open=Open()), Request(open=Open())], ("NOT_A_CHUNK", "chunk")),
        ([Request(open=Open(hold_back=31))], ("BAD_FIELD", "open.hold_back")),
        ([Request(open=Open(hold_back=-1))], ("BAD_FIELD", "open.hold_back")),
        ([Request(open=Open(hold_back=4097))], ("BAD_FIELD", "open.hold_back")),
        ([Request(open=Open(role=99))], ("BAD_FIELD", "open.role")),  # type: ignore[arg-type]
        ([Request(open=Open(rules=["gone"]))], ("UNKNOWN_RULE", "rules")),
        ([Request(open=Open()), Request(chunk="x" * ((1 << 20) + 1))], ("TEXT_TOO_LARGE", "chunk")),
    ],
)
async def test_a_stream_that_is_not_in_order_is_refused(
    house: House, requests: list[Any], expected: tuple[str, str]
) -> None:
    async def call() -> None:
        async for _ in house.stub.CheckStream(iter(requests), metadata=(("x-api-key", "1"),)):
            pass

    assert (await refused(call()))[1:] == expected


async def test_a_stream_has_an_end_and_a_number(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardrails, "MAX_STREAM_CHARACTERS", 10)
    monkeypatch.setattr(house.service._streams, "_limit", 1)
    async with house.stream() as call:
        await call.write(Request(chunk="x" * 9))
        # The open message is read before this one is refused.
        async with asyncio.timeout(10):
            while not house.service._streams._taken:  # noqa: ASYNC110
                await asyncio.sleep(0)
        async with house.stream() as second:
            assert (await refused(second.read()))[:2] == ("RESOURCE_EXHAUSTED", "TOO_MANY_CHECKS")
        await call.write(Request(chunk="xx"))
        assert (await refused(call.read()))[1] == "TEXT_TOO_LARGE"


async def test_a_revoked_key_ends_its_stream(house: House) -> None:
    async with house.stream() as call:
        house.keys.revoked = True
        await call.write(Request(chunk="x"))
        assert (await refused(call.read()))[:2] == ("UNAUTHENTICATED", "INVALID_KEY")


async def test_streams_at_once_do_not_mix(house: House) -> None:
    async def one(number: int) -> None:
        text = f"stream {number} has mail{number}@example.com and words " * 8
        async with house.stream(hold_back=32) as call:
            for at in range(0, len(text), 40):
                await call.write(Request(chunk=text[at : at + 40]))
            assert (await rest(call))[0] == text.replace(f"mail{number}@example.com", "[MAIL]")

    await asyncio.gather(*map(one, range(100)))
    assert not house.service._streams._taken


async def test_a_thousand_streams_are_open_at_once(house: House) -> None:
    opened, all_open = 0, asyncio.Event()

    async def one(number: int) -> str:
        nonlocal opened
        async with house.stream() as call:
            await call.write(Request(chunk=f"to mail{number}@exam"))
            opened += 1
            if opened == MANY:
                all_open.set()
            await all_open.wait()
            await call.write(Request(chunk="ple.com and on"))
            return (await rest(call))[0]

    said = await asyncio.gather(*map(one, range(MANY)))
    assert set(said) == {"to [MAIL] and on"}
    assert not house.service._streams._taken


async def test_who_stops_reading_holds_up_nobody_and_little(house: House) -> None:
    chunk = "nothing to find here, and it goes on and on. " * 1_000
    written = 0
    stuck = asyncio.Event()

    async def writes() -> None:
        nonlocal written
        while written < MAX_STREAM_CHARACTERS - len(chunk):
            writing = asyncio.ensure_future(call.write(Request(chunk=chunk)))
            # A neighbour comes and goes for every chunk, until a chunk is no longer taken.
            async with house.stream() as other:
                await other.write(Request(chunk="to a@b.com"))
                assert (await rest(other))[0] == "to [MAIL]"
            if not writing.done():
                stuck.set()
                writing.cancel()
                return
            written += len(chunk)

    async with house.stream() as call:
        await writes()
        assert stuck.is_set(), "what nobody reads is not taken in without end"
    assert (await house.check(message("to a@b.com"))).messages[0].redacted.content == "to [MAIL]"
