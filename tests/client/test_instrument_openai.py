"""OpenAI's library, as it is, against a server that speaks its wire format."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from tests.client.instrumenting import ERROR, OK, Seen, Watched, instrumented
from tests.support.llm_server.answers import Answer, Fault, ToolCall
from tests.support.llm_server.server import LlmServer

QUESTION = "Where is order A-1?"
ANSWER = "It is on its way."
CALL = ToolCall("find_order", '{"order_id": "A-1"}', "call_7")
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "find_order", "parameters": {"type": "object"}},
}


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer() as model:
        yield model


@pytest.fixture
def watched() -> Iterator[Watched]:
    with instrumented("openai", "threading") as watched:
        yield watched


@pytest.fixture
def client(model: LlmServer, watched: Watched) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{model.url}/v1", max_retries=1) as client:
        yield client


@pytest.fixture
async def async_client(model: LlmServer, watched: Watched) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key="k", base_url=f"{model.url}/v1") as client:
        yield client


def ask(client: openai.OpenAI) -> str | None:
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}]
    )
    return answer.choices[0].message.content


def check_call(span: Seen) -> None:
    """Checks all that makes a call of a model worth storing."""
    assert (span.library, span.status) == ("openinference.instrumentation.openai", OK)
    assert span["openinference.span.kind"] == "LLM"
    assert (span["llm.model_name"], span["llm.system"]) == ("loopback-1", "openai")
    assert (span["llm.token_count.prompt"], span["llm.token_count.completion"]) == (12, 6)
    assert span["llm.token_count.prompt_details.cache_read"] == 4
    assert span["llm.token_count.completion_details.reasoning"] == 2
    assert span["llm.input_messages.0.message.role"] == "user"
    assert span["llm.input_messages.0.message.content"] == QUESTION


def check_answer(span: Seen) -> None:
    check_call(span)
    assert span["llm.output_messages.0.message.role"] == "assistant"
    assert span["llm.output_messages.0.message.content"] == ANSWER


def test_a_completion(client: openai.OpenAI, watched: Watched) -> None:
    assert ask(client) == ANSWER
    check_answer(watched.one)


def test_a_streamed_completion(client: openai.OpenAI, watched: Watched) -> None:
    chunks = client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ANSWER
    check_answer(watched.one)
    assert [name for name, _ in watched.one.events] == ["First Token Stream Event"]


async def test_an_asynchronous_completion(
    async_client: openai.AsyncOpenAI, watched: Watched
) -> None:
    await async_client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}]
    )
    check_answer(watched.one)


async def test_an_asynchronous_stream(async_client: openai.AsyncOpenAI, watched: Watched) -> None:
    chunks = await async_client.chat.completions.create(
        model="gpt-4o",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    assert [chunk async for chunk in chunks]
    check_answer(watched.one)


def test_a_tool_call(client: openai.OpenAI, model: LlmServer, watched: Watched) -> None:
    model.script.append(Answer(calls=(CALL,)))
    client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": QUESTION}], tools=[TOOL]
    )
    check_call(watched.one)
    call = "llm.output_messages.0.message.tool_calls.0.tool_call"
    assert watched.one[f"{call}.id"] == "call_7"
    assert watched.one[f"{call}.function.name"] == "find_order"
    assert json.loads(watched.one[f"{call}.function.arguments"]) == {"order_id": "A-1"}
    assert "find_order" in watched.one["llm.tools.0.tool.json_schema"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_response(client: openai.OpenAI, watched: Watched, stream: bool) -> None:
    if stream:
        events = client.responses.create(model="gpt-4o", input=QUESTION, stream=True)
        assert list(events)[-1].type == "response.completed"
    else:
        assert client.responses.create(model="gpt-4o", input=QUESTION).output_text == ANSWER
    (span,) = watched.seen
    assert (span["llm.model_name"], span["llm.token_count.prompt"]) == ("loopback-1", 12)
    assert QUESTION in span.attributes.values()
    assert ANSWER in span.attributes.values()


def test_a_call_that_succeeds_at_the_second_try_is_one_span(
    client: openai.OpenAI, model: LlmServer, watched: Watched
) -> None:
    model.script.append(Fault(429))
    assert ask(client) == ANSWER
    assert len(model.requests) == 2
    check_answer(watched.one)


@pytest.mark.parametrize(
    ("status", "error"), [(429, openai.RateLimitError), (500, openai.InternalServerError)]
)
def test_a_call_that_fails_is_a_failed_span(
    client: openai.OpenAI,
    model: LlmServer,
    watched: Watched,
    status: int,
    error: type[Exception],
) -> None:
    model.script.extend([Fault(status)] * 2)
    with pytest.raises(error):
        ask(client)
    span = watched.one
    assert (span.status, span["llm.input_messages.0.message.content"]) == (ERROR, QUESTION)
    assert error.__name__ in span.message
    ((name, attributes),) = span.events
    assert (name, attributes["exception.type"]) == ("exception", f"openai.{error.__name__}")


def test_long_conversations_are_whole(client: openai.OpenAI, watched: Watched) -> None:
    client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": f"{n}"} for n in range(500)]
    )
    assert watched.one["llm.input_messages.499.message.content"] == "499"
    assert watched.one["llm.input_messages.0.message.content"] == "0"


def test_a_call_is_a_child_of_the_span_around(client: openai.OpenAI, watched: Watched) -> None:
    with watched.span("root"), watched.span("step"):
        ask(client)
    assert watched.tree() == {"root": "", "step": "root", "ChatCompletion": "step"}


def test_the_span_around_reaches_into_threads(client: openai.OpenAI, watched: Watched) -> None:
    def work(name: str) -> None:
        with watched.span(name):
            pass

    with ThreadPoolExecutor(1) as pool:
        with watched.span("root"):
            thread = threading.Thread(target=ask, args=(client,))
            thread.start()
            thread.join()
            pool.submit(work, "pooled").result()
        pool.submit(work, "later").result()
    assert watched.tree() == {
        "root": "",
        "ChatCompletion": "root",
        "pooled": "root",
        "later": "",
    }


async def test_the_span_around_reaches_into_tasks(
    async_client: openai.AsyncOpenAI, watched: Watched
) -> None:
    async def work(name: str) -> None:
        with watched.span(name):
            await async_client.chat.completions.create(
                model="gpt-4o", messages=[{"role": "user", "content": QUESTION}]
            )

    with watched.span("root"):
        await asyncio.gather(work("1"), work("2"))
    steps = {span.span_id: span.name for span in watched.seen}
    calls = [span for span in watched.seen if span.library]
    assert sorted(steps[span.parent_id] for span in calls) == ["1", "2"]
