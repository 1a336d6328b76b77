"""Spans as OpenInference's instrumentations send them come back whole.

The attributes are those that openinference-instrumentation 0.1.72 sets by its decorators and
helpers, written out.
"""

from collections.abc import Iterator, Mapping

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AttributeValue
from tests.support.otel import expected, in_order, provider
from tests.support.servers import unjudged
from tests.support.serving import Serving

from bartizan.client import Bartizan
from bartizan.v1 import common_pb2

Text = common_pb2.Message
QUESTION = "Where is order A-1?"
ANSWER = "It is on its way."
CALL = '{"order_id": "A-1"}'
RESULT = '{"state": "shipped"}'

CONTEXT: dict[str, AttributeValue] = {
    "session.id": "chat-1",
    "user.id": "user-7",
    "metadata": '{"plan": "pro"}',
    "tag.tags": ["vip", "beta"],
    "llm.prompt_template.template": "Find {order}",
    "llm.prompt_template.version": "v3",
    "llm.prompt_template.variables": '{"order": "A-1"}',
}
CONTEXT_KEPT = tuple(key for key in CONTEXT if key == "metadata" or key.startswith("llm."))

AGENT: dict[str, AttributeValue] = {
    "openinference.span.kind": "AGENT",
    "input.value": QUESTION,
    "input.mime_type": "text/plain",
    "output.value": ANSWER,
    "output.mime_type": "text/plain",
}

LLM: dict[str, AttributeValue] = {
    "openinference.span.kind": "LLM",
    "llm.provider": "openai",
    "llm.system": "openai",
    "llm.model_name": "gpt-4o",
    "llm.invocation_parameters": '{"temperature": 0.2}',
    "llm.input_messages.0.message.role": "system",
    "llm.input_messages.0.message.content": "Be kind.",
    "llm.input_messages.1.message.role": "user",
    "llm.input_messages.1.message.content": QUESTION,
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Let me look.",
    "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_1",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "find_order",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": CALL,
    "llm.token_count.prompt": 20,
    "llm.token_count.completion": 5,
    "llm.token_count.total": 25,
    "llm.token_count.prompt_details.cache_read": 8,
    "llm.cost.total": 0.0125,
    "llm.tools.0.tool.json_schema": '{"name": "find_order"}',
}
LLM_KEPT = ("llm.invocation_parameters", "llm.tools.0.tool.json_schema")

TOOL: dict[str, AttributeValue] = {
    "openinference.span.kind": "TOOL",
    "tool.name": "find_order",
    "tool.description": "Finds an order.",
    "tool.parameters": '{"type": "object"}',
    "input.value": CALL,
    "input.mime_type": "application/json",
    "output.value": RESULT,
    "output.mime_type": "application/json",
}
TOOL_KEPT = ("tool.description", "tool.parameters")

RETRIEVER: dict[str, AttributeValue] = {
    "openinference.span.kind": "RETRIEVER",
    "input.value": QUESTION,
    "retrieval.documents.0.document.id": "doc-1",
    "retrieval.documents.0.document.content": "Orders leave on Mondays.",
    "retrieval.documents.0.document.score": 0.9,
    "retrieval.documents.0.document.metadata": '{"shelf": 4}',
}
RETRIEVER_KEPT = tuple(key for key in RETRIEVER if key.endswith(("score", "metadata")))


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("openinference")) as serving:
        yield serving


def record(sdk: TracerProvider) -> list[ReadableSpan]:
    """Records an agent that asks a model, a tool and a store."""
    tracer = sdk.get_tracer("openinference.instrumentation.shop", "0.1")
    spans = []

    def step(name: str, attributes: Mapping[str, AttributeValue]) -> None:
        with tracer.start_as_current_span(name, attributes={**CONTEXT, **attributes}) as span:
            span.set_status(StatusCode.OK)
        spans.append(span)

    with tracer.start_as_current_span("bot", attributes={**CONTEXT, **AGENT}) as root:
        spans.append(root)
        step("ChatCompletion", LLM)
        step("find_order", TOOL)
        step("retrieve", RETRIEVER)
    assert all(isinstance(span, ReadableSpan) for span in spans)
    return spans  # type: ignore[return-value]


def of_tool(
    role: "common_pb2.Role.ValueType", content: str, tool_call_id: str = ""
) -> common_pb2.Message:
    return common_pb2.Message(
        role=role,
        content=content,
        name="find_order",
        tool_call_id=tool_call_id,
        mime_type="application/json",
    )


def contract(spans: list[ReadableSpan]) -> list[common_pb2.Span]:
    """Returns what the server ought to have made of them."""
    root, llm, tool, retriever = spans
    common = {
        "agent": "shop",
        "session_id": "chat-1",
        "user_id": "user-7",
        "tags": ["beta", "vip"],
    }
    ok = {**common, "status": common_pb2.STATUS_CODE_OK}
    return [
        expected(
            root,
            CONTEXT_KEPT,
            **common,
            kind=common_pb2.SPAN_KIND_AGENT,
            input=[Text(role=common_pb2.ROLE_USER, content=QUESTION)],
            output=[Text(role=common_pb2.ROLE_ASSISTANT, content=ANSWER)],
        ),
        expected(
            llm,
            (*CONTEXT_KEPT, *LLM_KEPT),
            **ok,
            kind=common_pb2.SPAN_KIND_LLM,
            model="gpt-4o",
            provider="openai",
            usage=common_pb2.TokenUsage(input=20, output=5, cache_read=8),
            cost=common_pb2.Cost(amount=0.0125, currency="USD"),
            input=[
                Text(role=common_pb2.ROLE_SYSTEM, content="Be kind."),
                Text(role=common_pb2.ROLE_USER, content=QUESTION),
            ],
            output=[
                Text(role=common_pb2.ROLE_ASSISTANT, content="Let me look."),
                of_tool(common_pb2.ROLE_TOOL_CALL, CALL, "call_1"),
            ],
        ),
        expected(
            tool,
            (*CONTEXT_KEPT, *TOOL_KEPT),
            **ok,
            kind=common_pb2.SPAN_KIND_TOOL,
            tool_name="find_order",
            input=[of_tool(common_pb2.ROLE_TOOL_CALL, CALL)],
            output=[of_tool(common_pb2.ROLE_TOOL_RESULT, RESULT)],
        ),
        expected(
            retriever,
            (*CONTEXT_KEPT, *RETRIEVER_KEPT),
            **ok,
            kind=common_pb2.SPAN_KIND_RETRIEVER,
            input=[Text(role=common_pb2.ROLE_USER, content=QUESTION)],
            output=[
                Text(
                    role=common_pb2.ROLE_RETRIEVED,
                    content="Orders leave on Mondays.",
                    name="doc-1",
                )
            ],
        ),
    ]


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_a_trace_of_openinference_comes_back_whole(
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
    assert view.trace.session_id == "chat-1"
    assert view.trace.cost_usd == pytest.approx(0.0125)
