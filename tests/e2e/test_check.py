"""Verdicts of a running server with the default rules, through its doors and the command line."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from tests.support.servers import bartizan, bearer, post
from tests.support.serving import Serving

from bartizan.client import Bartizan
from bartizan.v1 import common_pb2, guardrail_pb2, guardrail_pb2_grpc

SERVICE = "bartizan.v1.GuardrailService"
EMAIL = "josephine.checked@example.com"
CARD = "4111 1111 1111 1111"
TEXT = f"It told {EMAIL} to pay with {CARD}."
REDACTED = "It told [EMAIL_ADDRESS] to pay with [CREDIT_CARD]."
TIMEOUT_S = 30
DENY_ALL = """
rules:
  - {id: cards, plugin: pii, action: block}
"""


@pytest.fixture
def stub(guarded: Serving) -> Iterator[Any]:
    with grpc.insecure_channel(guarded.grpc) as channel:
        yield guardrail_pb2_grpc.GuardrailServiceStub(channel)


def asked(content: str) -> guardrail_pb2.CheckRequest:
    message = common_pb2.Message(role=common_pb2.ROLE_USER, content=content)
    return guardrail_pb2.CheckRequest(messages=[message])


def streamed(content: str) -> Iterator[guardrail_pb2.CheckStreamRequest]:
    yield guardrail_pb2.CheckStreamRequest(open=guardrail_pb2.CheckStreamOpen())
    for at in range(0, len(content), 4):
        yield guardrail_pb2.CheckStreamRequest(chunk=content[at : at + 4])


async def test_it_says_what_it_would_store_and_stores_nothing(guarded: Serving, stub: Any) -> None:
    answer = stub.Check(asked(TEXT), metadata=bearer(guarded.key), timeout=TIMEOUT_S)
    [message] = answer.messages
    assert (answer.verdict, message.redacted.content) == (common_pb2.VERDICT_MODIFY, REDACTED)
    found = {TEXT[one.start : one.end]: one.category for one in message.findings}
    assert found == {EMAIL: "pii.email_address", CARD: "pii.credit_card"}
    connection = await asyncpg.connect(guarded.database_url)
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    said = [
        str(await connection.fetch(f'SELECT t::text FROM "{table["tablename"]}" AS t'))
        for table in tables
    ]
    await connection.close()
    said += [str(answer.rules), guarded.log_file.read_text(), guarded.get("/metrics")[1]]
    assert not [text for text in said for secret in (EMAIL, CARD) if secret in text]
    assert f'bartizan_rpc_requests_total{{code="ok",method="{SERVICE}/Check"}}' in said[-1]
    assert 'bartizan_rule_seconds_count{rule="pii"}' in said[-1]


def test_a_stream_is_redacted(guarded: Serving, stub: Any) -> None:
    text = f"{'so many words. ' * 20}{TEXT} {'and more words. ' * 20}"
    parts = list(stub.CheckStream(streamed(text), metadata=bearer(guarded.key), timeout=TIMEOUT_S))
    assert "".join(part.text for part in parts) == text.replace(TEXT, REDACTED)
    found = [text[one.start : one.end] for part in parts for one in part.findings]
    assert sorted(found) == sorted([EMAIL, CARD])
    assert len(parts) > 5
    assert parts[-1].end.verdict == common_pb2.VERDICT_MODIFY


def test_the_example_of_the_documentation_works(guarded: Serving) -> None:
    page = (Path(__file__).parents[2] / "docs" / "check.md").read_text()
    body = page.partition("-d '")[2].partition("'")[0]
    request = urllib.request.Request(
        f"http://{guarded.http}/{SERVICE}/Check",
        body.encode(),
        {
            "content-type": "application/json",
            "x-api-key": guarded.key,
            "connect-timeout-ms": "30000",
        },
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        answer = json.load(response)
    assert answer["verdict"] == "VERDICT_MODIFY"
    assert answer["messages"][0]["redacted"]["content"] == "Write to [EMAIL_ADDRESS], please."


def test_streams_need_native_grpc(guarded: Serving) -> None:
    status, _, body = post(guarded, f"/{SERVICE}/CheckStream", b"{}", "application/json")
    assert status == 501
    assert "Check here" in json.loads(body)["message"]


def test_a_key_needs_the_scope(guarded: Serving, stub: Any) -> None:
    with Bartizan(guarded.key, guarded.grpc) as client:
        keys = {scope: client.admin.create_key([scope]).secret for scope in ("check", "ingest")}
    assert stub.Check(asked("x"), metadata=bearer(keys["check"]), timeout=TIMEOUT_S).complete
    with pytest.raises(grpc.RpcError) as raised:
        stub.Check(asked("x"), metadata=bearer(keys["ingest"]), timeout=TIMEOUT_S)
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_the_command(guarded: Serving, tmp_path: Path) -> None:
    where = {"BARTIZAN_ENDPOINT": guarded.grpc, "BARTIZAN_API_KEY": guarded.key}
    done = bartizan("check", TEXT, **where)
    assert (done.returncode, done.stderr) == (0, "")
    verdict, titles, *findings, redacted = done.stdout.splitlines()
    assert verdict.startswith("modify  (pii ")
    assert titles.split() == ["category", "score", "from", "to", "rule", "action"]
    assert [line.split()[0] for line in findings] == ["pii.email_address", "pii.credit_card"]
    assert redacted == REDACTED
    file = tmp_path / "answer.txt"
    file.write_bytes(b"nothing here \xff\x00")
    done = bartizan("check", str(file), "--role", "assistant", "--json", **where)
    assert done.returncode == 0
    assert json.loads(done.stdout)["verdict"] == "VERDICT_ALLOW"
    done = bartizan("check", "x", "--rule", "gone", **where)
    assert (done.returncode, done.stdout) == (2, "")
    assert "not in force" in done.stderr


def test_the_command_ends_with_another_code_when_a_rule_denies(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(DENY_ALL)
    with Serving(tmp_path / "data", ["--rules", str(rules)]) as serving:
        where = {"BARTIZAN_ENDPOINT": serving.grpc, "BARTIZAN_API_KEY": serving.key}
        done = bartizan("check", TEXT, **where)
        assert done.returncode == 3
        assert done.stdout.startswith("deny ")
        assert bartizan("check", "all is well", **where).returncode == 0
