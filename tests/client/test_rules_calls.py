"""Rules go to the server as dictionaries, and come back."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.fake_ingest import KEY
from tests.server.cli.fake_server import FakeServer

from bartizan.client import Aborted, Bartizan, InvalidArgument, NotFound, PermissionDenied
from bartizan.client._calls.documents import EXACT, as_document, as_struct
from bartizan.client._calls.query import finding_filter
from bartizan.v1 import common_pb2
from bartizan.v1 import guardrail_pb2 as pb

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CARDS = {"id": "cards", "plugin": "pii", "threshold": 0.5, "budget_ms": 500}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer().running() as server:
        yield server


@pytest.fixture
def client(server: FakeServer) -> Iterator[Bartizan]:
    with Bartizan(KEY, server.endpoint) as client:
        yield client


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_document_comes_back_as_it_was_sent(document: dict[str, Any]) -> None:
    assert as_document(as_struct(document)) == document


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"a": [1, date(2026, 1, 1)]}, r"'config.a\[1\]' is a date; put it in quotes"),
        ({"a": float("inf")}, "'config.a' is a number that cannot be sent exactly"),
        ({"a": EXACT + 1}, "'config.a' is a number that cannot be sent exactly"),
        ({5: "a"}, "The key 5 in 'config' is no text"),
        ({"a": b"x"}, "'config.a' is a bytes"),
    ],
)
def test_what_cannot_be_sent_as_it_is_is_refused(config: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=f"The rule 'x' cannot be sent: {sentence}"):
        as_struct({"id": "x", "config": config})


def test_a_document_that_is_nested_without_end_is_refused() -> None:
    deep: dict[str, Any] = {}
    deep["a"] = deep
    with pytest.raises(InvalidArgument, match="nested deeper than 50"):
        as_struct(deep)


def test_a_rule_s_life(client: Bartizan, server: FakeServer) -> None:
    made = client.rules.create(CARDS)
    assert client.rules.document_of(made) == CARDS
    changed = client.rules.update("cards", {**CARDS, "threshold": 1}, made.etag or "r1")
    assert client.rules.document_of(changed)["threshold"] == 1
    assert server.rules.requests[-1].rule.etag == "r1"
    assert [one.name[-5:] for one in client.rules.list()] == ["cards", "s/pii"]
    assert client.rules.get("cards", made.version).version == made.version
    assert len(list(client.rules.versions("cards"))) == 2
    assert len(list(client.rules.versions("cards", 1))) == 1
    assert client.rules.pause("cards").paused
    assert not client.rules.resume("cards").paused
    client.rules.delete("cards", "r2")
    assert server.rules.requests[-1] == pb.DeleteRuleRequest(name="cards", etag="r2")
    with pytest.raises(NotFound):
        client.rules.get("cards")


def test_what_is_applied_is_what_was_shown(client: Bartizan, server: FakeServer) -> None:
    client.rules.create({"id": "old", "plugin": "pii"})
    plan = client.rules.apply([CARDS], prune=True, dry_run=True)
    kinds = [pb.RULE_CHANGE_KIND_CREATED, pb.RULE_CHANGE_KIND_DELETED]
    assert [one.kind for one in plan.changes] == kinds
    assert set(server.rules.own) == {"old"}
    client.rules.apply([CARDS], prune=True, expected_state=plan.state)
    assert set(server.rules.own) == {"cards"}
    with pytest.raises(Aborted):
        client.rules.apply([], prune=True, expected_state=plan.state)


def test_a_text_is_tried_as_check_takes_it(client: Bartizan, server: FakeServer) -> None:
    server.rules.answer = pb.TestRuleResponse(warnings=["much"])
    answer = client.rules.test(CARDS, {"to": "ada"}, role="tool_call", agent="a", model="m")
    assert list(answer.warnings) == ["much"]
    [request] = server.rules.requests
    assert request.messages[0].role == common_pb2.ROLE_TOOL_CALL
    assert request.messages[0].content == '{"to": "ada"}'
    assert (request.context.agent, request.context.model) == ("a", "m")


def test_a_backtest_yields_its_states(client: Bartizan, server: FakeServer) -> None:
    server.rules.states = [pb.BacktestRuleResponse(spans_done=n, done=n == 2) for n in (1, 2)]
    states = client.rules.backtest(
        CARDS, since=datetime(2026, 1, 1, tzinfo=UTC), until=timedelta(days=1), max_spans=5
    )
    assert [state.spans_done for state in states] == [1, 2]
    [request] = server.rules.requests
    assert request.start_time.ToJsonString() == "2026-01-01T00:00:00Z"
    assert request.HasField("end_time")
    assert request.max_spans == 5
    list(client.rules.backtest(CARDS))
    assert not server.rules.requests[-1].HasField("start_time")


def test_findings_come_page_by_page_and_can_be_labelled(
    client: Bartizan, server: FakeServer
) -> None:
    for name in ("f-1", "f-2", "f-3"):
        server.rules.add_finding(name)
    assert len(list(client.rules.findings(2, rule="cards", shadow=True))) == 2
    assert len(server.rules.requests) == 2
    assert server.rules.requests[0].filter == pb.FindingFilter(rule="cards", shadow=True)
    assert client.rules.label("f-1", False).HasField("label")
    assert client.rules.label("f-1", True).label.right
    assert not client.rules.label("f-1", None).HasField("label")


def test_every_field_of_the_contract_has_a_filter() -> None:
    wanted = finding_filter(
        {
            "since": timedelta(hours=24), "until": NOW, "rule": "r", "category": "pii",
            "trace_id": "1" * 32, "action": "redact", "min_severity": "high", "shadow": False,
            "labelled": True,
        },
        NOW,
    )  # fmt: skip
    assert {field.name for field, _ in wanted.ListFields()} == set(wanted.DESCRIPTOR.fields_by_name)
    assert (wanted.action, wanted.min_severity) == (
        common_pb2.ACTION_REDACT,
        common_pb2.SEVERITY_HIGH,
    )


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"action": "deny"}, "action is one of flag, redact, block, not 'deny'"),
        ({"min_severity": "unspecified"}, "min_severity is one of info, low"),
        ({"agent": "a"}, "no filter 'agent'"),
    ],
)
def test_a_wrong_filter_is_told(query: Any, sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        finding_filter(query, NOW)


def test_errors_are_the_client_s_own(client: Bartizan, server: FakeServer) -> None:
    code = grpc.StatusCode.PERMISSION_DENIED
    server.rules.failures += [(code, "SCOPE", "The key lacks the scope rules.")] * 2
    with pytest.raises(PermissionDenied, match="lacks the scope"):
        client.rules.create(CARDS)
    with pytest.raises(PermissionDenied):
        list(client.rules.backtest(CARDS))
