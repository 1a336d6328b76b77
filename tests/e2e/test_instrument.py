"""Libraries that `Bartizan.instrument` instruments, stored and read back."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from tests.support.llm_server.answers import Answer, ToolCall
from tests.support.llm_server.server import LlmServer
from tests.support.servers import unjudged
from tests.support.serving import Serving

from bartizan.client import Bartizan, TraceView
from bartizan.v1 import common_pb2

QUESTION = "Where is order A-1?"
ANSWER = "It is on its way."
SECRET = "sk-abc123"
CALL = Answer(calls=(ToolCall("find_order", '{"order_id":"A-1"}', "call_7"),))
FLUSH_S = 30.0

ROLE = common_pb2.Role


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with unjudged(tmp_path_factory.mktemp("instrument")) as serving:
        yield serving


@pytest.fixture
def bz(serving: Serving) -> Iterator[Bartizan]:
    with Bartizan(serving.key, serving.grpc, agent="support-bot", redact=["sk-[a-z0-9]+"]) as bz:
        yield bz


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer() as model:
        yield model


def stored(bz: Bartizan, trace_id: str) -> tuple[TraceView, dict[str, common_pb2.Span]]:
    """Returns a trace and its spans by their names."""
    assert bz.flush(FLUSH_S)
    view = bz.get_trace(trace_id)
    spans = {span.name: span for span in view.spans}
    assert len(spans) == len(view.spans)
    return view, spans


def texts(messages: Any) -> list[tuple[int, str]]:
    return [(message.role, message.content) for message in messages]


def check_model_call(span: common_pb2.Span) -> None:
    assert (span.kind, span.status) == (
        common_pb2.SPAN_KIND_LLM,
        common_pb2.STATUS_CODE_OK,
    )
    assert (span.model, span.provider) == ("loopback-1", "openai")
    usage = common_pb2.TokenUsage(input=12, output=6, cache_read=4, reasoning=2)
    assert span.usage == usage


def test_a_call_of_openai_comes_back_whole(bz: Bartizan, model: LlmServer) -> None:
    assert "openai" in bz.instrument()
    client = openai.OpenAI(api_key="k", base_url=f"{model.url}/v1")
    with client, bz.session("s-1", user="u-1", tags=["beta"]), bz.span("root") as root:
        client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"{QUESTION} {SECRET}"}]
        )
    view, spans = stored(bz, root.trace_id)
    call = spans["ChatCompletion"]
    check_model_call(call)
    assert texts(call.input) == [(ROLE.ROLE_USER, f"{QUESTION} [REDACTED]")]
    assert texts(call.output) == [(ROLE.ROLE_ASSISTANT, ANSWER)]
    assert call.parent_span_id == root.span_id
    assert (call.agent, call.session_id, call.user_id) == ("support-bot", "s-1", "u-1")
    assert SECRET not in str(view)
    assert view.trace.usage == call.usage


def test_an_agent_of_langgraph_comes_back_as_a_tree(bz: Bartizan, model: LlmServer) -> None:
    model.script.append(CALL)

    @tool
    def find_order(order_id: str) -> str:
        """Finds an order."""
        with bz.span("look up", kind="retriever"):
            return "shipped"

    chat = ChatOpenAI(
        model="gpt-4o",
        api_key="k",
        base_url=f"{model.url}/v1",
    ).bind_tools([find_order])

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [chat.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([find_order]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    bz.instrument()
    with bz.span("root") as root:
        result = graph.compile().invoke({"messages": [HumanMessage(QUESTION)]})
    assert result["messages"][-1].content == ANSWER

    assert bz.flush(FLUSH_S)
    view = bz.get_trace(root.trace_id)
    names = {span.span_id: span.name for span in view.spans} | {"": ""}
    edges = {(names[span.parent_span_id], span.name) for span in view.spans}
    assert edges >= {
        *{("", "root"), ("root", "LangGraph"), ("LangGraph", "think"), ("LangGraph", "tools")},
        *{("think", "ChatOpenAI"), ("tools", "find_order"), ("find_order", "look up")},
    }
    first, second = (span for span in view.spans if span.kind == common_pb2.SPAN_KIND_LLM)
    check_model_call(first)
    check_model_call(second)
    assert (ROLE.ROLE_TOOL_CALL, '{"order_id": "A-1"}') in texts(first.output)
    assert (ROLE.ROLE_TOOL_RESULT, "shipped") in texts(second.input)
    assert texts(second.output) == [(ROLE.ROLE_ASSISTANT, ANSWER)]
    (found,) = (span for span in view.spans if span.name == "find_order")
    assert (found.kind, found.tool_name) == (common_pb2.SPAN_KIND_TOOL, "find_order")
    assert view.trace.usage.input == 24
    assert not view.trace.error_count


def test_spans_of_opentelemetry_go_the_same_way(bz: Bartizan) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(bz.span_exporter()))
    tracer = provider.get_tracer("shop")
    with bz.span("root") as root, tracer.start_as_current_span("theirs") as theirs:
        theirs.set_attribute("input.value", f"my key is {SECRET}")
        with bz.span("ours"):
            pass
    assert provider.force_flush()
    provider.shutdown()
    view, spans = stored(bz, root.trace_id)
    assert spans["theirs"].parent_span_id == root.span_id
    assert spans["ours"].parent_span_id == spans["theirs"].span_id
    assert texts(spans["theirs"].input) == [(ROLE.ROLE_USER, "my key is [REDACTED]")]
    assert SECRET not in str(view)
