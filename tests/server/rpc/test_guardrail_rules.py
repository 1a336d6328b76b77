"""Rules of a project over both doors: written, read, applied, paused and tried."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import MessageToDict
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.server.rpc.checking import rest
from tests.server.rpc.ruled import (
    NOW,
    House,
    apply,
    create,
    get,
    listed,
    refused,
    rule,
    served,
    struct,
    update,
)
from tests.support.database import Databases
from tests.support.ruling import Words

from bartizan.server.rules.probing import EVERYWHERE
from bartizan.server.store.engine import create_engine
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

PROJECT, SERVER = pb.RULE_ORIGIN_PROJECT, pb.RULE_ORIGIN_SERVER
USER = common_pb2.ROLE_USER


@pytest.fixture(scope="module")
async def engine(databases: Databases) -> AsyncIterator[AsyncEngine]:
    """A database whose rules are those of these tests."""
    url = await databases.create()
    engine = create_engine(url)
    yield engine
    await engine.dispose()
    await databases.drop(url)


@pytest.fixture
async def house(engine: AsyncEngine, tmp_path: Path) -> AsyncIterator[House]:
    async with served(engine, tmp_path) as house:
        yield house


async def test_a_rule_is_made_and_read(house: House) -> None:
    author = await house.make_key()
    document = rule(config={"words": ["odd"]}, threshold=0.5, budget_ms=7, mode="shadow")
    made = await create(house, document)
    assert made.name == house.name("mine")
    assert (made.origin, made.author, made.paused, made.problem) == (PROJECT, author, False, "")
    assert made.update_time.ToDatetime(NOW.tzinfo) == NOW
    assert MessageToDict(made.document) == document
    for name in ("mine", made.name):
        assert await get(house, name) == made
    assert (await listed(house))["mine"] == made
    assert await get(house, version=made.version) == made


async def test_defaults_are_left_out_and_integers_are_integers(house: House) -> None:
    made = await create(house, rule(threshold=0, severity="medium", budget_ms=2_000.0))
    assert MessageToDict(made.document) == rule()
    again = await update(house, "mine", rule(budget_ms=7.0))
    stored = (await house.keeper.own(house.project))["mine"]
    assert stored.document == rule(budget_ms=7)
    assert again.version == stored.version


async def test_rules_of_the_server_stand_beside_ones_own(house: House) -> None:
    await create(house, rule("house", config={"words": ["odd"]}))
    found = await listed(house)
    assert list(found) == ["house", "spare"]
    assert [one.origin for one in found.values()] == [PROJECT, SERVER]
    spare = await get(house, "spare")
    assert spare == found["spare"]
    assert (spare.etag, spare.author, spare.HasField("update_time")) == ("", "", False)
    assert await get(house, "spare", spare.version) == spare


async def test_a_rule_is_updated_by_who_knows_it(house: House) -> None:
    made = await create(house)
    changed = await update(house, "mine", {"plugin": "words", "threshold": 0.5}, made.etag)
    assert changed.etag != made.etag
    late = update(house, "mine", rule(threshold=0.6), made.etag)
    assert await refused(late) == ("ABORTED", "RULE_CHANGED", "")
    assert (await update(house, "mine", rule(threshold=0.5), changed.etag)) == changed
    missing = update(house, "other", rule("other"))
    assert await refused(missing) == ("NOT_FOUND", "RULE_NOT_FOUND", "name")
    assert await update(house, "other", rule("other"), allow_missing=True)
    with_etag = update(house, "third", rule("third"), "r1", allow_missing=True)
    assert (await refused(with_etag))[0] == "ABORTED"


@pytest.mark.parametrize(
    ("paths", "taken"), [([], True), (["*"], True), (["document"], True), (["paused"], False)]
)
async def test_what_an_update_may_name(house: House, paths: list[str], taken: bool) -> None:
    await create(house)
    call = update(house, "mine", rule(threshold=0.5), update_mask=FieldMask(paths=paths))
    if taken:
        await call
    else:
        assert await refused(call) == ("INVALID_ARGUMENT", "BAD_UPDATE_MASK", "update_mask")


@pytest.mark.parametrize("document", [rule("other"), rule(id=7), rule(id=None)])
async def test_a_document_is_of_the_rule_that_is_named(house: House, document: Any) -> None:
    await create(house)
    call = update(house, "mine", document)
    assert await refused(call) == ("INVALID_ARGUMENT", "BAD_ID", "rule.document")


async def test_a_rule_is_made_once(house: House) -> None:
    await create(house)
    assert await refused(create(house)) == ("ALREADY_EXISTS", "RULE_EXISTS", "")


async def test_only_checked(house: House) -> None:
    made = await create(house, validate_only=True)
    assert (made.etag, made.version != "") == ("", True)
    assert "mine" not in await listed(house)
    bad = create(house, rule(plugin="nope"), validate_only=True)
    assert (await refused(bad))[:2] == ("INVALID_ARGUMENT", "UNKNOWN_PLUGIN")


async def test_a_rule_is_deleted_and_what_it_was_is_kept(house: House) -> None:
    first = await create(house)
    second = await update(house, "mine", rule(threshold=0.5))
    stale = pb.DeleteRuleRequest(name="mine", etag=first.etag)
    assert (await refused(house.call("DeleteRule", stale)))[0] == "ABORTED"
    await house.call("DeleteRule", pb.DeleteRuleRequest(name=first.name, etag=second.etag))
    assert "mine" not in await listed(house)
    assert (await refused(get(house)))[0] == "NOT_FOUND"
    assert (await get(house, version=first.version)).version == first.version
    versions: list[pb.GuardrailRule] = []
    token = ""
    while True:
        request = pb.ListRuleVersionsRequest(parent="mine", page_size=2, page_token=token)
        page = await house.call("ListRuleVersions", request)
        versions += page.rules
        if not (token := page.next_page_token):
            break
        assert len(page.rules) == 2
    assert [one.version for one in versions] == ["", second.version, first.version]
    assert [one.deleted for one in versions] == [True, False, False]
    gone = house.call("DeleteRule", pb.DeleteRuleRequest(name="mine"))
    assert await refused(gone) == ("NOT_FOUND", "RULE_NOT_FOUND", "name")


async def test_a_page_token_is_for_one_rule(house: House) -> None:
    for name in ("one", "two"):
        await create(house, rule(name))
        await update(house, name, rule(name, threshold=0.5))
    request = pb.ListRuleVersionsRequest(parent="one", page_size=1)
    token = (await house.call("ListRuleVersions", request)).next_page_token
    for parent, sent in (("two", token), ("one", token + "x"), ("one", "x")):
        wrong = pb.ListRuleVersionsRequest(parent=parent, page_token=sent)
        told = await refused(house.call("ListRuleVersions", wrong))
        assert told == ("INVALID_ARGUMENT", "BAD_PAGE_TOKEN", "page_token")
    negative = pb.ListRuleVersionsRequest(parent="one", page_size=-1)
    assert (await refused(house.call("ListRuleVersions", negative)))[2] == "page_size"
    nobody = pb.ListRuleVersionsRequest(parent="nobody")
    assert (await refused(house.call("ListRuleVersions", nobody)))[0] == "NOT_FOUND"
    none = await house.call("ListRuleVersions", pb.ListRuleVersionsRequest(parent="house"))
    assert list(none.rules) == []


async def test_a_rule_is_paused_and_goes_on(house: House) -> None:
    made = await create(house)
    for paused in (True, True, False):
        answer = await house.call("PauseRule", pb.PauseRuleRequest(name="mine", paused=paused))
        assert answer.rule.paused is paused
        assert await get(house) == answer.rule
    assert answer.rule.version == made.version


async def test_a_rule_of_the_server_is_paused_for_one_project(house: House) -> None:
    for paused, origin in ((False, SERVER), (True, PROJECT), (False, SERVER)):
        answer = await house.call("PauseRule", pb.PauseRuleRequest(name="house", paused=paused))
        assert (answer.rule.paused, answer.rule.origin) == (paused, origin)
        assert (await listed(house))["house"] == answer.rule
    gone = house.call("DeleteRule", pb.DeleteRuleRequest(name="house"))
    assert (await refused(gone))[:2] == ("FAILED_PRECONDITION", "SERVER_RULE")


async def test_what_is_applied_is_what_was_shown(house: House) -> None:
    await create(house, rule("old"))
    shown = await apply(house, rule("new"), rule("house"), prune=True, validate_only=True)
    done = await apply(house, rule("new"), rule("house"), prune=True, expected_state=shown.state)
    for answer in (shown, done):
        kinds = [(one.kind, one.before.origin, one.after.origin) for one in answer.changes]
        assert kinds == [
            (pb.RULE_CHANGE_KIND_CREATED, SERVER, PROJECT),
            (pb.RULE_CHANGE_KIND_CREATED, 0, PROJECT),
            (pb.RULE_CHANGE_KIND_DELETED, PROJECT, 0),
        ]
    assert [one.after.etag != "" for one in shown.changes] == [False] * 3
    assert [one.after.etag != "" for one in done.changes] == [True, True, False]
    late = apply(house, rule("new"), expected_state=shown.state)
    assert await refused(late) == ("ABORTED", "RULES_CHANGED", "")
    same = await apply(house, rule("new"), rule("house"), prune=True)
    assert {one.kind for one in same.changes} == {pb.RULE_CHANGE_KIND_UNCHANGED}


async def test_a_rule_that_matches_everything_is_warned_of(house: House) -> None:
    every = rule(config={"everything": True})
    [change] = (await apply(house, every, validate_only=True)).changes
    assert list(change.warnings) == [EVERYWHERE.format(found=30, asked=30)]


async def test_the_same_over_http(house: House) -> None:
    document = rule(config={"words": ["odd"], "score": 0.5}, budget_ms=7)
    made = await house.post("CreateRule", {"rule": {"document": document}})
    assert made.status == 200
    assert json.loads(made.body)["rule"]["document"] == document
    read = json.loads((await house.post("GetRule", {"name": "mine"})).body)["rule"]
    assert read == json.loads(made.body)["rule"]
    assert MessageToDict((await get(house)).document) == document
    again = await house.post("CreateRule", {"rule": {"document": document}})
    assert (again.status, json.loads(again.body)["code"]) == (409, "already_exists")
    tested = await house.post("TestRule", {"document": document, "messages": [{"content": "odd"}]})
    assert json.loads(tested.body)["run"]["outcome"] == "RULE_OUTCOME_OK"


async def test_a_rule_is_tested_on_texts(house: House) -> None:
    document = rule(
        config={"words": ["odd"]}, action="redact", mode="shadow", sample=1,
        where={"roles": ["user"]},
    )  # fmt: skip
    messages = [
        common_pb2.Message(role=USER, content="an odd one"),
        common_pb2.Message(role=common_pb2.ROLE_ASSISTANT, content="an odd one"),
    ]
    request = pb.TestRuleRequest(document=struct(document), messages=messages)
    answer = await house.call("TestRule", request)
    assert answer.messages[0].redacted.content == "an [WORD] one"
    assert (answer.messages[0].verdict, answer.messages[1].verdict) == (
        common_pb2.VERDICT_MODIFY,
        common_pb2.VERDICT_ALLOW,
    )
    assert (answer.run.rule, answer.run.outcome) == ("mine", pb.RULE_OUTCOME_OK)
    assert list(answer.warnings) == []
    assert set(await listed(house)) == {"house", "spare"}


async def test_a_test_of_rules_that_are_late_combined_or_broken(house: House) -> None:
    def request(document: Any) -> pb.TestRuleRequest:
        return pb.TestRuleRequest(
            document=struct(document), messages=[common_pb2.Message(content="bad")]
        )

    late = rule(stage="deferred", after=["house"], sample=0.001)
    [told] = (await house.call("TestRule", request(late))).messages
    assert len(told.findings) == 1
    both = {"id": "both", "when": {"all": ["house", {"not": "spare"}]}}
    [told] = (await house.call("TestRule", request(both))).messages
    assert [one.rule for one in told.findings] == ["both"]
    gone = {"id": "both", "when": {"all": ["house", "gone"]}}
    assert (await refused(house.call("TestRule", request(gone))))[1] == "UNKNOWN_RULE"
    failing = rule(config={"how": "failing"}, action="block", on_error="deny")
    answer = await house.call("TestRule", request(failing))
    assert answer.run.outcome == pb.RULE_OUTCOME_FAILED
    assert len(answer.warnings) == 1


async def test_a_test_comes_in_time(house: House) -> None:
    request = pb.TestRuleRequest(
        document=struct(rule(config={"how": "hanging"}, budget_ms=600_000)),
        messages=[common_pb2.Message(content="bad")],
    )
    metadata = (("x-api-key", str(house.project)),)
    answer = await house.stub.TestRule(request, metadata=metadata, timeout=1)
    assert answer.run.outcome == pb.RULE_OUTCOME_TIMED_OUT


async def test_a_change_of_rules_while_a_stream_is_open(house: House) -> None:
    await create(house, rule(config={"words": ["odd"]}, action="redact"))
    call = house.stub.CheckStream(metadata=(("x-api-key", str(house.project)),))
    await call.write(pb.CheckStreamRequest(open=pb.CheckStreamOpen(hold_back=32)))
    await call.write(pb.CheckStreamRequest(chunk="an odd start " + "." * 200))
    first = await call.read()
    assert "[WORD]" in first.text
    await update(house, "mine", rule(config={"words": ["strange"]}, action="redact"))
    before = Words.open
    await call.write(pb.CheckStreamRequest(chunk="an odd and strange end"))
    text, _, end = await rest(call)
    assert "an odd and [WORD] end" in text
    assert end.complete
    assert Words.open == before, "the rules of before have let go of their plugin"


async def test_rules_are_swapped_under_many_checks(house: House) -> None:
    await create(house, rule(config={"words": ["odd"]}, action="redact"))
    over = asyncio.Event()
    request = pb.CheckRequest(messages=[common_pb2.Message(content="an odd one")])

    async def check() -> int:
        answers = 0
        while not over.is_set():
            answer = await house.call("Check", request)
            assert answer.complete
            assert answer.messages[0].redacted.content == "an [WORD] one"
            answers += 1
        return answers

    checks = [asyncio.create_task(check()) for _ in range(4)]
    for number in range(1, 8):
        document = rule(config={"words": ["odd", f"x{number}"]}, action="redact")
        await update(house, "mine", document)
    over.set()
    assert all(await asyncio.gather(*checks))
