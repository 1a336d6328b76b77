"""An unmodified OpenTelemetry SDK sends traces that come back whole."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link, SpanKind, StatusCode, TracerProvider
from opentelemetry.util.types import AttributeValue
from tests.support.otel import expected, in_order, messages, provider
from tests.support.servers import unjudged
from tests.support.serving import Serving

from bartizan.client import Bartizan
from bartizan.v1 import common_pb2

EXAMPLE = Path(__file__).parents[2] / "examples" / "opentelemetry_sdk.py"

CHAT: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 6,
    "gen_ai.usage.cache_read.input_tokens": 4,
    "gen_ai.usage.reasoning.output_tokens": 2,
    "gen_ai.input.messages": messages("user", "Where is my order?"),
    "gen_ai.output.messages": messages("assistant", "It is on its way."),
}
CHAT_KEPT = (
    "gen_ai.request.model",
    "gen_ai.request.temperature",
    "gen_ai.response.finish_reasons",
)
AGENT: dict[str, AttributeValue] = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.agent.name": "support-bot",
    "gen_ai.conversation.id": "chat-1",
    "user.id": "user-7",
    "shop.attempt": 3,
    "shop.discount": 0.25,
    "shop.vip": True,
    "shop.baskets": ["red", "grün"],
}
AGENT_KEPT = tuple(key for key in AGENT if key.startswith("shop."))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("otel")) as serving:
        yield serving


def record(tracer_provider: TracerProvider) -> list[ReadableSpan]:
    """Records a trace of three spans, one of which fails; returns them by start."""
    tracer = tracer_provider.get_tracer("shop.agent", "3.1", attributes={"flavour": "plain"})
    earlier = tracer.start_span("earlier")
    earlier.end()
    with tracer.start_as_current_span("invoke_agent support-bot", kind=SpanKind.SERVER) as root:
        root.set_attributes(AGENT)
        why = Link(earlier.get_span_context(), {"why": "retry", "attempt": 2})
        with tracer.start_as_current_span("chat gpt-4o", links=[why]) as chat:
            chat.set_attributes(CHAT)
            chat.add_event("first token", {"index": 0})
        with tracer.start_as_current_span("execute_tool find_order") as tool:
            tool.set_attributes(
                {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "find_order"}
            )
            tool.record_exception(TimeoutError("no answer from the store"))
            tool.set_status(StatusCode.ERROR, "no answer from the store")
        root.set_status(StatusCode.OK)
    spans = [root, chat, tool]
    assert all(isinstance(span, ReadableSpan) for span in spans)
    return spans  # type: ignore[return-value]


def contract(spans: list[ReadableSpan]) -> list[common_pb2.Span]:
    """Returns what the server ought to have made of them."""
    root, chat, tool = spans
    text = common_pb2.Message
    return [
        expected(
            root,
            AGENT_KEPT,
            attributes={"otel.span.kind": "server"},
            kind=common_pb2.SPAN_KIND_AGENT,
            status=common_pb2.STATUS_CODE_OK,
            agent="support-bot",
            session_id="chat-1",
            user_id="user-7",
        ),
        expected(
            chat,
            CHAT_KEPT,
            kind=common_pb2.SPAN_KIND_LLM,
            agent="shop",
            model="gpt-4o-2024-08-06",
            provider="openai",
            usage=common_pb2.TokenUsage(input=12, output=6, cache_read=4, reasoning=2),
            input=[text(role=common_pb2.ROLE_USER, content="Where is my order?")],
            output=[text(role=common_pb2.ROLE_ASSISTANT, content="It is on its way.")],
        ),
        expected(
            tool,
            (),
            kind=common_pb2.SPAN_KIND_TOOL,
            status=common_pb2.STATUS_CODE_ERROR,
            status_message="no answer from the store",
            error_type="TimeoutError",
            agent="shop",
            tool_name="find_order",
        ),
    ]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_trace_of_the_sdk_comes_back_whole(
    serving: Serving, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk = provider(serving, protocol, monkeypatch)
    spans = record(sdk)
    sdk.shutdown()
    wanted = contract(spans)
    with Bartizan(api_key=serving.key, endpoint=serving.grpc) as client:
        view = client.get_trace(wanted[0].trace_id)
    for found, span in zip(view.spans, wanted, strict=True):
        assert str(in_order(found)) == str(span)
    assert not view.findings
    trace = view.trace
    assert (trace.display_name, trace.span_count, trace.error_count) == (spans[0].name, 3, 1)
    assert trace.status == common_pb2.STATUS_CODE_OK
    assert trace.usage == wanted[1].usage
    assert [*trace.agents, *trace.models] == ["shop", "support-bot", "gpt-4o-2024-08-06"]
    assert (trace.user_id, trace.session_id) == ("user-7", "chat-1")
    assert (trace.environment, trace.machine, trace.root_seen) == ("staging", "till-4", True)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_many_packed_requests_arrive(
    serving: Serving, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    sdk = provider(serving, protocol, monkeypatch)
    tracer = sdk.get_tracer("many")
    with tracer.start_as_current_span("root") as root:
        for number in range(1_500):
            tracer.start_span(f"step {number % 10}").end()
    sdk.shutdown()
    with Bartizan(api_key=serving.key, endpoint=serving.grpc) as client:
        view = client.get_trace(f"{root.get_span_context().trace_id:032x}")
    assert (view.trace.span_count, len({span.span_id for span in view.spans})) == (1_501, 1_501)


def test_the_example_works_as_the_readme_says(serving: Serving) -> None:
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{serving.grpc}",
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{serving.key}",
    }
    subprocess.run([sys.executable, str(EXAMPLE)], check=True, env=environment, timeout=60)
    with Bartizan(api_key=serving.key, endpoint=serving.grpc) as client:
        (trace,) = client.list_traces(environment="example")
    assert (trace.span_count, trace.session_id) == (2, "chat-1")
    assert "support-bot" in trace.agents
