"""Feedback on a running server: through both doors, redacted, and safe from whatever happens."""

import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from tests.support.feedback import make_feedback
from tests.support.servers import bearer, post, unjudged
from tests.support.serving import Serving

from bartizan.client import Bartizan
from bartizan.server.store.embedded import EmbeddedPostgres
from bartizan.v1 import evaluation_pb2, evaluation_pb2_grpc

SERVICE = "bartizan.v1.EvaluationService"
EMAIL = "josephine.planted@example.com"
CARD = "4111 1111 1111 1111"
TEXT = f"It told {EMAIL} to pay with {CARD}."
TIMEOUT_S = 30


def fresh(number: int, **fields: Any) -> evaluation_pb2.Feedback:
    """Returns feedback that was given now, so that it does not expire while it is looked for."""
    return make_feedback(number, create_s=int(time.time()), **fields)


class Door:
    """The gRPC door of a server, with a key."""

    def __init__(self, serving: Serving, channel: grpc.Channel, key: str = "") -> None:
        self._stub = evaluation_pb2_grpc.EvaluationServiceStub(channel)
        self._metadata = bearer(key or serving.key)

    def record(self, *items: evaluation_pb2.Feedback) -> evaluation_pb2.RecordFeedbackResponse:
        request = evaluation_pb2.RecordFeedbackRequest(feedback=items)
        return self._stub.RecordFeedback(request, metadata=self._metadata, timeout=TIMEOUT_S)

    def list(self, **wanted: Any) -> list[evaluation_pb2.Feedback]:
        request = evaluation_pb2.ListFeedbackRequest(filter=evaluation_pb2.FeedbackFilter(**wanted))
        response = self._stub.ListFeedback(request, metadata=self._metadata, timeout=TIMEOUT_S)
        return list(response.feedback)


@pytest.fixture
def channel(guarded: Serving) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(guarded.grpc) as channel:
        yield channel


def over_http(serving: Serving, method: str, document: object) -> Any:
    body = json.dumps(document).encode()
    status, _, answer = post(serving, f"/{SERVICE}/{method}", body, "application/json")
    assert status == 200, answer
    return json.loads(answer)


def refusal(call: Any, *arguments: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments)
    code: grpc.StatusCode = raised.value.code()
    return code


async def test_planted_personal_data_is_in_no_table(
    guarded: Serving, channel: grpc.Channel
) -> None:
    item = fresh(
        1, label=EMAIL, name=f"mail {EMAIL}", session_id=EMAIL, user_id=EMAIL, comment=TEXT,
        correction=TEXT,
    )  # fmt: skip
    refused = fresh(2, trace_id=EMAIL, correction=TEXT * 500)
    door = Door(guarded, channel)
    answer = door.record(item, refused)
    assert (answer.stored, len(answer.rejected)) == (1, 1)
    [stored] = door.list(trace_id=item.trace_id)
    assert stored.comment.startswith("It told [EMAIL_ADDRESS")
    connection = await asyncpg.connect(guarded.database_url)
    rows = await connection.fetch("SELECT f::text FROM feedback AS f")
    await connection.close()
    said = [str(rows), str(answer), str(stored), guarded.log_file.read_text()]
    said.append(guarded.get("/metrics")[1])
    assert not [text for text in said for secret in (EMAIL, CARD) if secret in text]
    assert 'bartizan_feedback_total{outcome="stored"} 1.0' in said[-1]
    assert 'bartizan_findings_total{action="redact"' in said[-1]


def test_json_over_http(guarded: Serving) -> None:
    item = {"feedbackId": "5" * 32, "traceId": "6" * 32, "rating": 80, "comment": "good"}
    counts = [over_http(guarded, "RecordFeedback", {"feedback": [item]}) for _ in range(2)]
    assert [(count["stored"], count["duplicate"]) for count in counts] == [(1, 0), (0, 1)]
    page = over_http(guarded, "ListFeedback", {"filter": {"traceId": "6" * 32}})
    [found] = page["feedback"]
    assert found["createTime"].endswith("Z")
    expected = {**item, "name": "user", "source": "FEEDBACK_SOURCE_USER"}
    assert {key: found[key] for key in expected} == expected
    assert "thumbsUp" not in found


def test_it_is_described(guarded: Serving, channel: grpc.Channel) -> None:
    assert f"/{SERVICE}/RecordFeedback" in json.loads(guarded.get("/openapi.json")[1])["paths"]
    assert SERVICE in ProtoReflectionDescriptorDatabase(channel).get_services()


def test_a_key_needs_the_scope_and_sees_its_own_project(
    guarded: Serving, channel: grpc.Channel
) -> None:
    item = fresh(0xBEEF)
    assert Door(guarded, channel).record(item).stored == 1
    with Bartizan(guarded.key, guarded.grpc) as client:
        keys = {scope: client.admin.create_key([scope]).secret for scope in ("ingest", "read")}
    doors = {scope: Door(guarded, channel, key) for scope, key in keys.items()}
    assert refusal(doors["read"].record, item) is grpc.StatusCode.PERMISSION_DENIED
    assert refusal(doors["ingest"].list) is grpc.StatusCode.PERMISSION_DENIED
    assert refusal(Door(guarded, channel, "no key").list) is grpc.StatusCode.UNAUTHENTICATED
    assert doors["ingest"].record(item).duplicate == 1
    assert len(doors["read"].list(trace_id=item.trace_id)) == 1


async def test_an_answer_survives_a_kill_and_an_outage_is_unavailable(tmp_path: Path) -> None:
    database = EmbeddedPostgres(tmp_path / "database")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database)
        serving = stack.enter_context(unjudged(tmp_path, "--database-url", database.url))
        door = Door(serving, stack.enter_context(grpc.insecure_channel(serving.grpc)))
        assert door.record(fresh(1)).stored == 1
        serving.kill()
        serving.start()
        door = Door(serving, stack.enter_context(grpc.insecure_channel(serving.grpc)))
        assert door.record(fresh(1), fresh(2)).duplicate == 1
        await database.__aexit__()
        assert refusal(door.record, fresh(3)) is grpc.StatusCode.UNAVAILABLE
        assert refusal(door.list) is grpc.StatusCode.UNAVAILABLE
        await database.__aenter__()
        serving.wait_for(200)
        assert door.record(fresh(3)).stored == 1
        assert len(door.list()) == 3


def test_the_example_of_the_documentation_works(guarded: Serving) -> None:
    page = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text()
    body = page.partition("EvaluationService/RecordFeedback \\\n")[2].partition("-d '")[2]
    document = body.partition("'")[0]
    request = urllib.request.Request(
        f"http://{guarded.http}/{SERVICE}/RecordFeedback",
        document.encode(),
        {"content-type": "application/json", "x-api-key": guarded.key},
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        assert json.load(response)["stored"] == 1
