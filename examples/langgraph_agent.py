"""A LangGraph agent with a tool, traced by one line: `python examples/langgraph_agent.py`.

pip install "bartizan-client[instrument]" langgraph langchain-openai
The model runs on this machine (loopback_model.py), so no key is needed. With OPENAI_BASE_URL and
OPENAI_API_KEY the same agent runs on a real one.
"""

import os

from langchain_core.messages import SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from loopback_model import loopback_model

from bartizan.client import Bartizan

bz = Bartizan(agent="weather-agent")
bz.instrument()


@tool
def weather(city: str) -> str:
    """Tells the weather in a city."""
    return f"12 degrees and light rain in {city}"


def build(base_url: str):
    model = ChatOpenAI(
        model="gpt-4o-mini",
        base_url=os.environ.get("OPENAI_BASE_URL", base_url),
        api_key=os.environ.get("OPENAI_API_KEY", "not-needed"),
    ).bind_tools([weather])

    def think(state: MessagesState):
        return {"messages": [model.invoke([SystemMessage("Be brief."), *state["messages"]])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([weather]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    return graph.compile()


@bz.trace
def answer(question: str, base_url: str) -> str:
    result = build(base_url).invoke({"messages": [("user", question)]})
    return result["messages"][-1].content


with loopback_model() as url, bz.session(user="u-42"):
    print(answer("What is the weather in Oslo?", url))
bz.shutdown()
