"""Rules that cannot be, names of nothing, and rules of others."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.struct_pb2 import Struct, Value
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from tests.server.rpc.doors import grpc_details
from tests.server.rpc.ruled import (
    GONE,
    House,
    apply,
    create,
    get,
    listed,
    refused,
    rule,
    served,
    struct,
)
from tests.support.database import Databases
from tests.support.ruling import SECRET, add_project

from bartizan.server.rpc.call import Scope
from bartizan.server.rpc.guardrails import GuardrailService
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


async def test_how_many_documents_a_request_may_have(house: House) -> None:
    many = [rule(f"r{number}") for number in range(1_025)]
    told = await refused(apply(house, *many))
    assert told == ("RESOURCE_EXHAUSTED", "TOO_MANY_RULES", "documents")
    twice = await refused(apply(house, rule(), rule()))
    assert twice[:2] == ("INVALID_ARGUMENT", "DUPLICATE_RULE")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (rule(description="x" * 300_000), ("RESOURCE_EXHAUSTED", "RULE_TOO_LARGE", "document")),
        (rule(description="\0"), ("INVALID_ARGUMENT", "INVALID_CONFIG", "document")),
        (rule(config={"words": ["\0"]}), ("INVALID_ARGUMENT", "INVALID_CONFIG", "document")),
        (rule(config={"w\0": 1}), ("INVALID_ARGUMENT", "INVALID_CONFIG", "document")),
        (rule(config={"score": 1e300}), ("INVALID_ARGUMENT", "INVALID_CONFIG", "score")),
        (rule(budget_ms=1e300), ("INVALID_ARGUMENT", "INVALID_CONFIG", "budget_ms")),
        (rule(budget_ms=7.5), ("INVALID_ARGUMENT", "INVALID_CONFIG", "budget_ms")),
        (rule(plugin=None), ("INVALID_ARGUMENT", "INVALID_CONFIG", "plugin")),
        (rule("A"), ("INVALID_ARGUMENT", "INVALID_CONFIG", "id")),
        ({"plugin": "words"}, ("INVALID_ARGUMENT", "INVALID_CONFIG", "id")),
        (rule(where={"agent": ["x"]}), ("INVALID_ARGUMENT", "INVALID_CONFIG", "where.agent")),
    ],
)
async def test_a_wrong_document_is_refused_by_every_method(
    house: House, document: Any, told: tuple[str, str, str]
) -> None:
    sent = struct(document)
    message = common_pb2.Message(role=USER, content="x")
    assert await refused(create(house, document)) == told
    tried = pb.TestRuleRequest(document=sent, messages=[message])
    assert await refused(house.call("TestRule", tried)) == told
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.stream("BacktestRule", pb.BacktestRuleRequest(document=sent)).read()
    assert grpc_details(caught.value).info.reason == told[1]
    code, reason, field = await refused(apply(house, rule("good"), document))
    assert (code, reason) == told[:2]
    assert field == told[2].replace("document", "documents[1]")
    assert set(await listed(house)) == {"house", "spare"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
async def test_a_number_that_is_none_is_refused(house: House, number: float) -> None:
    sent = struct(rule())
    sent.fields["config"].CopyFrom(Value(struct_value=Struct()))
    sent.fields["config"].struct_value.fields["score"].number_value = number
    told = await refused(create(house, sent))
    assert told == ("INVALID_ARGUMENT", "INVALID_CONFIG", "document")
    raw = json.dumps({"rule": {"document": rule(config={"score": number})}}).encode()
    assert (await house.post("CreateRule", raw)).status == 400


async def test_a_value_that_is_nothing_is_null(house: House) -> None:
    sent = struct(rule())
    sent.fields["threshold"].CopyFrom(Value())
    told = await refused(create(house, sent))
    assert told == ("INVALID_ARGUMENT", "INVALID_CONFIG", "threshold")


@pytest.mark.parametrize("depth", [20, 40, 90, 2_000])
async def test_a_deep_document_is_refused(house: House, depth: int) -> None:
    document = '{"not": ' * depth + '"house"' + "}" * depth
    body = f'{{"rule": {{"document": {{"id": "deep", "when": {document}}}}}}}'
    answer = await house.post("CreateRule", body.encode())
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_argument")
    assert set(await listed(house)) == {"house", "spare"}


@pytest.mark.parametrize("depth", [10, 30])
async def test_a_deep_message_is_refused(house: House, depth: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await house.call("CreateRule", _deep(depth))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def _deep(depth: int) -> pb.CreateRuleRequest:
    value = Value(string_value="house")
    for _ in range(depth):
        outer = Value(struct_value=Struct())
        outer.struct_value.fields["not"].CopyFrom(value)
        value = outer
    made = struct({"id": "deep"})
    made.fields["when"].CopyFrom(value)
    return pb.CreateRuleRequest(rule=pb.GuardrailRule(document=made))


@pytest.mark.parametrize("content", [rb'"\ud800"', rb'"\u0000"', rb"1e999", rb'["\udfff"]'])
async def test_what_json_can_say_and_rules_cannot(house: House, content: bytes) -> None:
    body = b'{"rule": {"document": {"id": "mine", "plugin": "words", "description": %s}}}'
    answer = await house.post("CreateRule", body % content)
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize(
    "name",
    ["", "A", "mine/", "a//b", "organizations/acme/projects/x", "x" * 64, "mine\0", "mine\n", "é"],
)
async def test_bad_names(house: House, name: str) -> None:
    calls = {
        "GetRule": pb.GetRuleRequest(name=name),
        "DeleteRule": pb.DeleteRuleRequest(name=name),
        "PauseRule": pb.PauseRuleRequest(name=name),
        "ListRuleVersions": pb.ListRuleVersionsRequest(parent=name),
        "UpdateRule": pb.UpdateRuleRequest(rule=pb.GuardrailRule(name=name)),
    }
    for method, request in calls.items():
        code, reason, field = await refused(house.call(method, request))
        assert (code, reason) == ("INVALID_ARGUMENT", "BAD_NAME")
        assert field in ("name", "parent", "rule.name")


async def test_names_of_others_are_names_of_nothing(house: House) -> None:
    other = await add_project(house.engine)
    request = pb.CreateRuleRequest(rule=pb.GuardrailRule(document=struct(rule("theirs"))))
    await house.call("CreateRule", request, key=str(other))
    for project in (house.name("theirs", other), f"{GONE}/guardrailRules/theirs", "theirs"):
        calls = {
            "GetRule": pb.GetRuleRequest(name=project),
            "DeleteRule": pb.DeleteRuleRequest(name=project),
            "PauseRule": pb.PauseRuleRequest(name=project, paused=True),
            "ListRuleVersions": pb.ListRuleVersionsRequest(parent=project),
            "UpdateRule": pb.UpdateRuleRequest(
                rule=pb.GuardrailRule(name=project, document=struct(rule("theirs")))
            ),
        }
        for method, sent in calls.items():
            assert (await refused(house.call(method, sent)))[0] == "NOT_FOUND", method
    for parent in (house.name(project=other), GONE, "projects/x"):
        for method, sent in {
            "ListRules": pb.ListRulesRequest(parent=parent),
            "CreateRule": pb.CreateRuleRequest(parent=parent),
            "ApplyRules": pb.ApplyRulesRequest(parent=parent),
            "TestRule": pb.TestRuleRequest(
                parent=parent, messages=[common_pb2.Message(content="x")]
            ),
        }.items():
            assert (await refused(house.call(method, sent)))[0] == "NOT_FOUND", method
    assert "theirs" not in await listed(house)


@pytest.mark.parametrize("version", ["x", "\0", "a" * 13, "é" * 12])
async def test_bad_versions(house: House, version: str) -> None:
    await create(house)
    told = await refused(get(house, version=version))
    assert told == ("INVALID_ARGUMENT", "BAD_VERSION", "version")
    assert (await refused(get(house, version="0" * 12)))[0] == "NOT_FOUND"
    assert (await refused(get(house, "house", version="0" * 12)))[0] == "NOT_FOUND"


async def test_who_may_do_what(house: House) -> None:
    reading = {"ListRules", "GetRule", "ListRuleVersions", "ListFindings"}
    checking = {"Check", "CheckStream"}
    other = {"RevealPseudonyms"}
    for name, scope in GuardrailService.SCOPES.items():
        expected = (
            Scope.SCOPE_READ if name in reading
            else Scope.SCOPE_CHECK if name in checking
            else Scope.SCOPE_REVEAL if name in other
            else Scope.SCOPE_RULES
        )  # fmt: skip
        assert scope == expected, name
    request = pb.CreateRuleRequest(rule=pb.GuardrailRule(document=struct(rule())))
    reader = f"{house.project}/read"
    told = await refused(house.call("CreateRule", request, key=reader))
    assert told[:2] == ("PERMISSION_DENIED", "MISSING_SCOPE")
    await house.call("ListRules", pb.ListRulesRequest(), key=reader)
    writer = house.call("ListRules", pb.ListRulesRequest(), key=f"{house.project}/rules")
    assert (await refused(writer))[0] == "PERMISSION_DENIED"


async def test_nothing_that_is_told_holds_a_value_of_a_document(house: House) -> None:
    told: list[Any] = []
    with capture_logs() as logs:
        for document in (
            rule(config={"how": "failing", "words": [SECRET]}),
            rule(config={"how": SECRET, "score": SECRET}),
            rule(config={"how": "unmakeable"}),
            rule(config={"how": "no start"}),
            rule(action=SECRET),
            rule(where={"roles": [SECRET]}),
            rule(description=SECRET + "\0"),
        ):
            with contextlib.suppress(grpc.aio.AioRpcError):
                told.append(await apply(house, document, validate_only=True))
                continue
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await create(house, document)
            told.append(refusal.value)
    assert SECRET not in str(logs)
    [shown, *errors] = told
    assert SECRET in str(shown), "who may read a rule may read it"
    assert len(errors) == 6
    assert SECRET not in str(errors)
