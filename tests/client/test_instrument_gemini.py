"""Google's library, as it is, against a server that speaks the wire format of Gemini."""

from collections.abc import Iterator

import pytest
from google import genai
from google.genai import errors, types
from tests.client.instrumenting import ERROR, OK, Seen, Watched, instrumented
from tests.support.llm_server.answers import Answer, Fault, ToolCall
from tests.support.llm_server.server import LlmServer

QUESTION = "Where is order A-1?"
ANSWER = "It is on its way."
CALL = ToolCall("find_order", '{"order_id": "A-1"}', "call_7")
RETRY = types.HttpRetryOptions(attempts=2, initial_delay=0.001, max_delay=0.001, jitter=0.001)


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer() as model:
        yield model


@pytest.fixture
def watched() -> Iterator[Watched]:
    with instrumented("google-genai") as watched:
        yield watched


@pytest.fixture
def client(model: LlmServer, watched: Watched) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=model.url, retry_options=RETRY)
    with genai.Client(api_key="k", http_options=options) as client:
        yield client


def check(span: Seen) -> None:
    assert (span.library, span.status) == ("openinference.instrumentation.google_genai", OK)
    assert (span["openinference.span.kind"], span["llm.provider"]) == ("LLM", "google")
    assert span["llm.model_name"] == "loopback-1"
    assert (span["llm.token_count.prompt"], span["llm.token_count.completion"]) == (12, 6)
    assert span["llm.token_count.prompt_details.cache_read"] == 4
    assert span["llm.input_messages.0.message.content"] == QUESTION


def check_answer(span: Seen) -> None:
    check(span)
    assert span["llm.output_messages.0.message.content"] == ANSWER


def test_content(client: genai.Client, watched: Watched) -> None:
    with watched.span("root"):
        client.models.generate_content(model="gemini-x", contents=QUESTION)
    assert watched.tree() == {"GenerateContent": "root", "root": ""}
    check_answer(watched.named("GenerateContent"))


def test_streamed_content(client: genai.Client, watched: Watched) -> None:
    pieces = client.models.generate_content_stream(model="gemini-x", contents=QUESTION)
    assert "".join(piece.text or "" for piece in pieces) == ANSWER
    check_answer(watched.one)


async def test_asynchronous_content(client: genai.Client, watched: Watched) -> None:
    async with client.aio as aio:
        await aio.models.generate_content(model="gemini-x", contents=QUESTION)
        pieces = await aio.models.generate_content_stream(model="gemini-x", contents=QUESTION)
        assert [piece async for piece in pieces]
    for span in watched.seen:
        check_answer(span)


def test_a_tool_call(client: genai.Client, model: LlmServer, watched: Watched) -> None:
    model.script.append(Answer(calls=(CALL,)))
    client.models.generate_content(model="gemini-x", contents=QUESTION)
    check(watched.one)
    assert "find_order" in watched.one.attributes.values()


def test_a_call_that_succeeds_at_the_second_try_is_one_span(
    client: genai.Client, model: LlmServer, watched: Watched
) -> None:
    model.script.append(Fault(429))
    client.models.generate_content(model="gemini-x", contents=QUESTION)
    assert len(model.requests) == 2
    check_answer(watched.one)


def test_a_call_that_fails_is_a_failed_span(
    client: genai.Client, model: LlmServer, watched: Watched
) -> None:
    model.script.extend([Fault(500)] * 2)
    with pytest.raises(errors.ServerError):
        client.models.generate_content(model="gemini-x", contents=QUESTION)
    assert (watched.one.status, watched.one.events[0][0]) == (ERROR, "exception")
