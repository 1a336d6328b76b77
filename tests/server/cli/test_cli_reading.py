"""What was stored is shown to programs and to people."""

from datetime import timedelta

import pytest
from tests.server.cli.conftest import Command
from tests.server.cli.fake_server import FakeServer

from bartizan.v1 import common_pb2

START = 1_700_000_000
SHOWN = "[EMAIL_ADDRESS]\x1b[2J"


@pytest.fixture
def stored(server: FakeServer) -> None:
    for trace in range(1, 6):
        for number in range(1, 4):
            span = common_pb2.Span(
                trace_id=f"{trace:032x}",
                span_id=f"{number:016x}",
                parent_span_id=f"{number - 1:016x}" if number > 1 else "",
                name=f"step {number}",
                kind=common_pb2.SPAN_KIND_LLM,
                agent="support-bot",
                model="gpt-4o",
                input=[common_pb2.Message(role=common_pb2.ROLE_USER, content=SHOWN)],
            )
            span.start_time.FromSeconds(START + number)
            span.end_time.FromSeconds(START + 10 - number)
            server.ingest.spans[(span.trace_id, span.span_id)] = span
    span.status = common_pb2.STATUS_CODE_ERROR
    span.error_type = "TimeoutError"
    span.usage.input, span.usage.output, span.cost.amount = 1_200, 34, 0.0042


@pytest.mark.usefixtures("stored")
def test_traces_are_ndjson_for_programs(online: Command) -> None:
    done = online("traces", "--json", "--limit", 4)
    assert done.code == 0
    assert [one["trace_id"] for one in done.lines] == [
        f"{number:032x}" for number in range(5, 1, -1)
    ]
    first = done.lines[0]
    assert first["start_time"] == "2023-11-14T22:13:21Z"
    assert (first["span_count"], first["error_count"], first["tags"]) == ("3", "0", [])


@pytest.mark.usefixtures("stored")
def test_filters_reach_the_server(online: Command, server: FakeServer) -> None:
    done = online(
        "traces", "--json", "--agent", "a", "--user", "u", "--session", "s", "--model", "m",
        "--status", "error", "--env", "e", "--machine", "c", "--workspace", "w", "--tag", "x",
        "--tag", "y", "--since", "24h", "--until", "2026-03-01T12:00:00Z", "--min-duration", "2s",
        "--min-cost", "0.5", "--finding", "*", "--text", "hello",
    )  # fmt: skip
    assert done.code == 0
    wanted = server.traces.requests[0].filter
    assert {field.name for field, _ in wanted.ListFields()} == set(wanted.DESCRIPTOR.fields_by_name)
    assert list(wanted.tags) == ["x", "y"]
    assert wanted.min_duration.ToTimedelta() == timedelta(seconds=2)


@pytest.mark.usefixtures("stored")
def test_traces_are_a_table_for_people(online: Command) -> None:
    done = online("traces")
    head, *rows = done.out.splitlines()
    assert head.split() == [
        "Started", "Trace", "Name", "Agents", "Status", "Time", "Spans", "Tokens", "Cost",
        "Findings",
    ]  # fmt: skip
    assert len(rows) == 5
    assert "support-bot" in rows[0]


def test_no_traces_is_a_sentence(online: Command) -> None:
    assert online("traces").out == "No traces match.\n"
    assert online("traces", "--json").out == ""


@pytest.mark.usefixtures("stored")
def test_a_trace_is_one_document_for_programs(online: Command) -> None:
    (document,) = online("trace", f"{1:032x}", "--json").lines
    assert set(document) == {"trace", "spans", "findings", "feedback"}
    assert [span["name"] for span in document["spans"]] == ["step 1", "step 2", "step 3"]
    assert document["findings"][0]["category"] == "pii.email_address"
    assert document["spans"][0]["input"][0]["role"] == "ROLE_USER"


@pytest.mark.usefixtures("stored")
def test_a_trace_is_a_tree_for_people(online: Command) -> None:
    done = online("trace", f"{5:032x}", "-v")
    assert "└── step 1  llm  +0 ms  8.0 s  gpt-4o" in done.out
    assert "        └── step 3" in done.out
    assert "1,200 → 34 tokens  $0.0042" in done.out
    assert "error TimeoutError" in done.out
    assert "! pii.email_address in input[0].content, score 0.95: redact by pii" in done.out
    assert "← user: [EMAIL_ADDRESS]·[2J" in done.out
    assert "EMAIL_ADDRESS" not in online("trace", f"{5:032x}").out


@pytest.mark.usefixtures("stored")
def test_spans_whose_parents_are_away_are_shown_all_the_same(
    online: Command, server: FakeServer
) -> None:
    del server.ingest.spans[(f"{1:032x}", f"{1:016x}")]
    done = online("trace", f"{1:032x}")
    assert "└── step 2" in done.out
    assert "    └── step 3" in done.out


def test_an_unknown_trace_is_told(online: Command) -> None:
    done = online("trace", "f" * 32)
    assert (done.code, done.out, done.err) == (1, "", "bartizan: There is no such trace.\n")


@pytest.mark.usefixtures("stored")
def test_sessions(online: Command, server: FakeServer) -> None:
    (session,) = online("sessions", "--json", "--since", "1h").lines
    assert session["session_id"] == "chat-1"
    assert "chat-1" in online("sessions").out
    shown = online("sessions", "chat-7", "--json").lines
    assert (shown[0]["session_id"], len(shown)) == ("chat-7", 6)
    assert server.traces.requests[0].filter.session_id == "chat-7"
    assert "chat-7" in online("sessions", "chat-7").out
