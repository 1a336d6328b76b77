"""LangChain and LangGraph, as they are, with models and tools, against a loopback model."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from tests.client.instrumenting import ERROR, Watched, instrumented
from tests.support.llm_server.answers import Answer, Fault, ToolCall
from tests.support.llm_server.server import LlmServer

QUESTION = "Where is order A-1?"
ANSWER = "It is on its way."
CALL = Answer(calls=(ToolCall("find_order", '{"order_id": "A-1"}', "call_7"),))
State = dict[str, Any]


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with LlmServer() as server:
        yield server


@pytest.fixture
def watched() -> Iterator[Watched]:
    with instrumented() as watched:
        yield watched


@pytest.fixture
def raw(server: LlmServer, watched: Watched) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def chat(server: LlmServer, watched: Watched) -> ChatOpenAI:
    return chat_with(server)


def chat_with(server: LlmServer) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o",
        api_key="k",
        base_url=f"{server.url}/v1",
        max_retries=0,
        stream_usage=True,
    )


def ask(client: openai.OpenAI) -> None:
    client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": QUESTION}])


def graph(**nodes: Any) -> Any:
    """Returns a graph that goes through these nodes in their order."""
    made = StateGraph(MessagesState)
    names = [START, *nodes, END]
    for name, work in nodes.items():
        made.add_node(name, work)
    for before, after in itertools.pairwise(names):
        made.add_edge(before, after)
    return made.compile()


def test_a_call_of_a_model_is_one_span_though_two_libraries_are_instrumented(
    chat: ChatOpenAI, watched: Watched
) -> None:
    chat.invoke(QUESTION)
    span = watched.one
    assert span.library == "openinference.instrumentation.langchain"
    assert (span["openinference.span.kind"], span["llm.model_name"]) == ("LLM", "loopback-1")
    assert (span["llm.token_count.prompt"], span["llm.token_count.completion"]) == (12, 6)
    assert span["llm.input_messages.0.message.content"] == QUESTION
    assert span["llm.output_messages.0.message.content"] == ANSWER


async def test_every_way_to_call_a_model_is_one_span_each(
    chat: ChatOpenAI, watched: Watched
) -> None:
    assert [chunk.content for chunk in chat.stream(QUESTION)]
    await chat.ainvoke(QUESTION)
    assert [chunk.content async for chunk in chat.astream(QUESTION)]
    chat.batch([QUESTION, QUESTION])
    await asyncio.gather(chat.ainvoke(QUESTION), chat.ainvoke(QUESTION))
    assert [span["llm.token_count.prompt"] for span in watched.seen] == [12] * 7
    assert {span.name for span in watched.seen} == {"ChatOpenAI"}


def test_a_call_beside_langchain_is_recorded_all_the_same(
    chat: ChatOpenAI, raw: openai.OpenAI, watched: Watched
) -> None:
    for _ in chat.stream(QUESTION):
        ask(raw)
        break
    chat.invoke(QUESTION)
    ask(raw)
    names = sorted(span.name for span in watched.seen)
    assert names == ["ChatCompletion", "ChatCompletion", "ChatOpenAI", "ChatOpenAI"]


def test_without_langchain_its_calls_are_those_of_the_library_below(server: LlmServer) -> None:
    with instrumented("openai", "langchain"):
        chat_with(server).invoke(QUESTION)
    with instrumented("openai") as watched:
        chat_with(server).invoke(QUESTION)
    assert watched.one.name == "ChatCompletion"


def test_a_graph_is_a_tree_with_our_spans_in_it(
    server: LlmServer, chat: ChatOpenAI, raw: openai.OpenAI, watched: Watched
) -> None:
    server.script.append(CALL)

    @tool
    def find_order(order_id: str) -> str:
        """Finds an order."""
        with watched.span("look up"):
            ask(raw)
        return "shipped"

    def think(state: State) -> State:
        with watched.span("prepare"):
            return {"messages": [chat.bind_tools([find_order]).invoke(state["messages"])]}

    def act(state: State) -> State:
        return {"messages": [find_order.invoke(state["messages"][-1].tool_calls[0])]}

    with watched.span("root"):
        graph(think=think, act=act).invoke({"messages": [("user", QUESTION)]})
    assert watched.tree() == {
        "root": "",
        "LangGraph": "root",
        "think": "LangGraph",
        "act": "LangGraph",
        "prepare": "think",
        "ChatOpenAI": "prepare",
        "find_order": "act",
        "look up": "find_order",
        "ChatCompletion": "look up",
    }
    assert len({span.trace_id for span in watched.seen}) == 1
    found = watched.named("find_order")
    assert (found["openinference.span.kind"], found["tool.name"]) == ("TOOL", "find_order")
    assert "shipped" in found["output.value"]


async def test_an_asynchronous_graph_is_the_same_tree(
    chat: ChatOpenAI, raw: openai.OpenAI, watched: Watched
) -> None:
    async def think(state: State) -> State:
        with watched.span("prepare"):
            return {"messages": [await chat.ainvoke(state["messages"])]}

    async def more(state: State) -> State:
        await asyncio.to_thread(ask, raw)
        return {}

    with watched.span("root"):
        steps = graph(think=think, more=more).astream({"messages": [("user", QUESTION)]})
        assert [step async for step in steps]
    assert watched.tree() == {
        "root": "",
        "LangGraph": "root",
        "think": "LangGraph",
        "more": "LangGraph",
        "prepare": "think",
        "ChatOpenAI": "prepare",
        "ChatCompletion": "more",
    }


def test_threads_that_a_node_starts_belong_to_it(watched: Watched) -> None:
    def work() -> None:
        with watched.span("in thread"):
            pass

    def think(state: State) -> State:
        with watched.span("in node"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return {}

    graph(think=think).invoke({"messages": [("user", QUESTION)]})
    assert watched.tree() == {
        "LangGraph": "",
        "think": "LangGraph",
        "in node": "think",
        "in thread": "in node",
    }


def test_a_chain_that_fails_is_failed_spans(
    server: LlmServer, chat: ChatOpenAI, watched: Watched
) -> None:
    server.script.append(Fault(500))
    with pytest.raises(openai.InternalServerError), watched.span("root"):
        (RunnableLambda(lambda text: text) | chat).invoke(QUESTION)
    assert {span.name: span.status for span in watched.seen} == {
        "RunnableLambda": 1,
        "ChatOpenAI": ERROR,
        "RunnableSequence": ERROR,
        "root": ERROR,
    }


def test_a_graph_in_a_trace_that_is_not_sampled_is_not_recorded(server: LlmServer) -> None:
    with instrumented(sample_rate=0.0) as watched:
        chat = chat_with(server)

        def think(state: State) -> State:
            with watched.span("prepare"):
                return {"messages": [chat.invoke(state["messages"])]}

        graph(think=think).invoke({"messages": [("user", QUESTION)]})
        with watched.span("root"):
            graph(think=think).invoke({"messages": [("user", QUESTION)]})
    assert watched.records == []


def test_no_content_is_left_in_a_graph_without_content(server: LlmServer) -> None:
    with instrumented(capture_content=False) as watched:
        chat = chat_with(server)
        server.script.append(CALL)

        def think(state: State) -> State:
            return {"messages": [chat.invoke(state["messages"])]}

        graph(think=think).invoke({"messages": [("user", QUESTION)]})
    sent = watched.raw
    assert b"A-1" not in sent
    assert b"Where is" not in sent
