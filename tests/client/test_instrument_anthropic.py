"""Anthropic's library, as it is, against a server that speaks its wire format."""

import json
from collections.abc import Iterator

import anthropic
import pytest
from tests.client.instrumenting import ERROR, OK, Seen, Watched, instrumented
from tests.support.llm_server.answers import Answer, Fault, ToolCall
from tests.support.llm_server.server import LlmServer

QUESTION = "Where is order A-1?"
ANSWER = "It is on its way."
CALL = ToolCall("find_order", '{"order_id": "A-1"}', "call_7")


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer() as model:
        yield model


@pytest.fixture
def watched() -> Iterator[Watched]:
    with instrumented("anthropic") as watched:
        yield watched


@pytest.fixture
def client(model: LlmServer, watched: Watched) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="k", base_url=model.url, max_retries=1) as client:
        yield client


def ask(client: anthropic.Anthropic) -> anthropic.types.Message:
    return client.messages.create(
        model="claude-x", max_tokens=64, messages=[{"role": "user", "content": QUESTION}]
    )


def check(span: Seen) -> None:
    assert (span.library, span.status) == ("openinference.instrumentation.anthropic", OK)
    assert (span["openinference.span.kind"], span["llm.provider"]) == ("LLM", "anthropic")
    assert span["llm.model_name"] == "loopback-1"
    assert (span["llm.token_count.prompt"], span["llm.token_count.completion"]) == (12, 6)
    assert span["llm.token_count.prompt_details.cache_read"] == 4
    assert span["llm.input_messages.0.message.content"] == QUESTION


def check_answer(span: Seen) -> None:
    check(span)
    assert ANSWER in span.attributes.values()


def test_a_message(client: anthropic.Anthropic, watched: Watched) -> None:
    with watched.span("root"):
        ask(client)
    assert watched.tree() == {"messages.create": "root", "root": ""}
    check_answer(watched.named("messages.create"))


def test_a_streamed_message(client: anthropic.Anthropic, watched: Watched) -> None:
    with client.messages.stream(
        model="claude-x", max_tokens=64, messages=[{"role": "user", "content": QUESTION}]
    ) as stream:
        assert "".join(stream.text_stream) == ANSWER
    check_answer(watched.one)


def test_streamed_events(client: anthropic.Anthropic, watched: Watched) -> None:
    events = client.messages.create(
        model="claude-x",
        max_tokens=64,
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
    )
    assert [event.type for event in events][-1] == "message_stop"
    check_answer(watched.one)


async def test_an_asynchronous_message(model: LlmServer, watched: Watched) -> None:
    async with anthropic.AsyncAnthropic(api_key="k", base_url=model.url) as client:
        await client.messages.create(
            model="claude-x", max_tokens=64, messages=[{"role": "user", "content": QUESTION}]
        )
    check_answer(watched.one)


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_call(
    client: anthropic.Anthropic, model: LlmServer, watched: Watched, stream: bool
) -> None:
    model.script.append(Answer(calls=(CALL,)))
    if stream:
        with client.messages.stream(
            model="claude-x", max_tokens=64, messages=[{"role": "user", "content": QUESTION}]
        ) as events:
            assert events.get_final_message().stop_reason == "tool_use"
    else:
        ask(client)
    check(watched.one)
    found = [v for key, v in watched.one.attributes.items() if key.endswith("function.arguments")]
    assert found
    assert all(json.loads(arguments) == {"order_id": "A-1"} for arguments in found)
    assert {"find_order", "call_7"} <= set(filter(_is_text, watched.one.attributes.values()))


def test_a_call_that_succeeds_at_the_second_try_is_one_span(
    client: anthropic.Anthropic, model: LlmServer, watched: Watched
) -> None:
    model.script.append(Fault(429))
    ask(client)
    assert len(model.requests) == 2
    check_answer(watched.one)


def test_a_call_that_fails_is_a_failed_span(
    client: anthropic.Anthropic, model: LlmServer, watched: Watched
) -> None:
    model.script.extend([Fault(500)] * 2)
    with pytest.raises(anthropic.InternalServerError):
        ask(client)
    assert (watched.one.status, watched.one.events[0][0]) == (ERROR, "exception")


def _is_text(value: object) -> bool:
    return isinstance(value, str)
