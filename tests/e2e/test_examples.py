"""Every example runs as its docstring says, and its trace arrives."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.serving import Serving

from bartizan.client import Bartizan, TraceView
from bartizan.v1 import common_pb2

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def client(guarded: Serving) -> Iterator[Bartizan]:
    with Bartizan(guarded.key, guarded.grpc) as client:
        yield client


@pytest.fixture
def environment(guarded: Serving, tmp_path: Path) -> dict[str, str]:
    keys = {"BARTIZAN_API_KEY": guarded.key, "BARTIZAN_ENDPOINT": guarded.grpc}
    return {**os.environ, **keys, "TMPDIR": str(tmp_path)}


def run(name: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def only_trace(client: Bartizan, agent: str) -> TraceView:
    (trace,) = client.list_traces(agent=agent)
    return client.get_trace(trace.trace_id)


def by_name(view: TraceView) -> dict[str, common_pb2.Span]:
    return {span.name: span for span in view.spans}


def test_first_trace_and_support_bot(client: Bartizan, environment: dict[str, str]) -> None:
    assert run("first_trace.py", environment) == ""
    (first,) = client.list_traces(agent="support-bot")
    assert (first.display_name, first.span_count) == ("answer", 1)
    assert run("support_bot.py", environment) == "It is in Oslo.\n"
    second, _ = client.list_traces(agent="support-bot")
    view = client.get_trace(second.trace_id)
    assert (view.trace.user_id, list(view.trace.tags)) == ("u-17", ["beta"])
    spans = by_name(view)
    root = spans["answer"]
    assert {spans[name].parent_span_id for name in ("find_order", "chat")} == {root.span_id}
    assert root.input[0].content == "Where is order A-1042? Write to [EMAIL_ADDRESS]."
    assert (spans["chat"].usage.input, spans["chat"].cost.amount) == (120, 0.00036)


def test_async_agent(client: Bartizan, environment: dict[str, str]) -> None:
    assert run("async_agent.py", environment) == "Oslo\n"
    view = only_trace(client, "planner")
    assert sorted(span.name for span in view.spans) == [
        "chat", "distance", "distance", "distance", "plan", "weather", "weather", "weather",
    ]  # fmt: skip
    root = by_name(view)["plan"]
    assert {span.parent_span_id for span in view.spans} == {"", root.span_id}
    assert [span.error_type for span in view.spans if span.error_type] == ["LookupError"]
    assert [one.role for one in by_name(view)["chat"].input] == [
        common_pb2.ROLE_SYSTEM, common_pb2.ROLE_USER, common_pb2.ROLE_TOOL_RESULT,
    ]  # fmt: skip


def test_streaming(client: Bartizan, environment: dict[str, str]) -> None:
    text = "Once upon a time there was a turret that overhung a wall."
    assert run("streaming.py", environment) == f"{text} \n"
    (span,) = only_trace(client, "storyteller").spans
    assert span.output[0].content == f"{text} "
    assert span.input[0].content == "A story for customer [CUSTOMER], please."
    assert 0 < span.time_to_first_token_ns < span.end_time.ToNanoseconds()


def test_langgraph_agent(client: Bartizan, environment: dict[str, str]) -> None:
    answer = run("langgraph_agent.py", environment)
    assert answer == "I found: 12 degrees and light rain in Oslo\n"
    view = only_trace(client, "weather-agent")
    models = [span for span in view.spans if span.model]
    assert {span.model for span in models} == {"gpt-4o-mini"}
    assert view.trace.usage.output == 9 * len(models)
    assert view.trace.user_id == "u-42"
    assert [span.tool_name for span in view.spans if span.tool_name] == ["weather"]
    assert [span.name for span in view.spans if not span.parent_span_id] == ["answer"]


@contextmanager
def web(environment: dict[str, str]) -> Iterator[str]:
    """Yields the address of the web service, and ends it as Ctrl-C does."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--log-level",
                "warning", "--fd", str(listening.fileno()), "fastapi_app:app",
            ],
            env=environment, pass_fds=[listening.fileno()],
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(TIMEOUT_S) in (0, -signal.SIGINT)


def test_fastapi(client: Bartizan, environment: dict[str, str]) -> None:
    caller = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"x-user": "u-99", "traceparent": f"00-{caller}-00f067aa0ba902b7-01"}
    with web(environment) as address:
        for path in ("/ask?question=Why", "/stream?question=Why"):
            asked = urllib.request.Request(address + path, headers=headers)
            with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
                assert answer.headers["x-trace-id"] == caller
                assert b"Because" in answer.read()
    view = client.get_trace(caller)
    assert sorted(span.name for span in view.spans) == ["GET /ask", "GET /stream", "speak", "think"]
    assert {span.user_id for span in view.spans} == {"u-99"}
    assert by_name(view)["speak"].output[0].content == "Because it is."
