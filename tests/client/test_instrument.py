"""Which libraries are instrumented, for whom, and what happens when one cannot be."""

import logging
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from tests.client.instrumenting import ERROR, Watched, instrumented
from tests.support.llm_server.server import LlmServer

from bartizan.client import FailedPrecondition, InvalidArgument
from bartizan.client._otel.instrument import NAMES, process

SECRET = "sk-abc123"


@pytest.fixture
def model() -> Iterator[LlmServer]:
    with LlmServer() as model:
        yield model


@pytest.fixture
def client(model: LlmServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=f"{model.url}/v1", max_retries=0) as client:
        yield client


def ask(client: openai.OpenAI, text: str = "Where is my order?") -> str | None:
    answer = client.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": text}]
    )
    return answer.choices[0].message.content


def test_without_names_all_that_is_installed_is_instrumented(client: openai.OpenAI) -> None:
    recorder = Watched().recorder
    assert process.switch_on((), recorder) == NAMES
    assert process.switch_on((), recorder) == NAMES
    process.switch_off(recorder)
    assert not OpenAIInstrumentor().is_instrumented_by_opentelemetry


def test_with_names_only_these_are(client: openai.OpenAI) -> None:
    with instrumented("openai") as watched:
        assert process.switch_on((), watched.recorder) == NAMES
        assert process.switch_on(["openai"], watched.recorder) == NAMES
    with instrumented("langgraph", "google_genai") as watched:
        assert process.switch_on(["langchain"], watched.recorder) == ("google-genai", "langchain")


def test_each_call_is_recorded_once_and_none_after_switching_off(client: openai.OpenAI) -> None:
    request = openai.OpenAI.request
    with instrumented("openai") as watched:
        process.switch_on((), watched.recorder)
        ask(client)
        assert len(watched.seen) == 1
    ask(client)
    assert len(watched.seen) == 1
    assert openai.OpenAI.request is request


def test_what_is_on_goes_over_to_the_client_that_asks_last(client: openai.OpenAI) -> None:
    with instrumented("openai") as first, instrumented("openai") as second:
        ask(client)
        process.switch_off(first.recorder)
        ask(client)
    assert (len(first.seen), len(second.seen)) == (0, 2)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match="'opneai' to instrument; there is openai, anthropic"):
        process.switch_on(["opneai"], Watched().recorder)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    with pytest.raises(ImportError, match="anthropic is not installed"):
        process.switch_on(["anthropic"], Watched().recorder)
    with instrumented() as watched:
        assert "anthropic" not in process.switch_on((), watched.recorder)


def test_a_missing_instrumentation_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "openinference.instrumentation.openai", None)
    with pytest.raises(ImportError, match=r'pip install "bartizan-client\[instrument\]"'):
        process.switch_on(["openai"], Watched().recorder)
    with instrumented() as watched:
        assert "openai" not in process.switch_on((), watched.recorder)
    assert (
        "openai is not instrumented: No instrumentation of openai is installed: pip" in caplog.text
    )


def test_an_instrumentation_that_breaks_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise AttributeError(SECRET)

    monkeypatch.setattr(OpenAIInstrumentor, "_instrument", broken)
    with instrumented() as watched:
        assert process.switch_on((), watched.recorder) == NAMES[1:]
    assert "openai is not instrumented: AttributeError" in caplog.text
    assert SECRET not in caplog.text


def test_what_the_application_instruments_itself_stays_its_own(client: openai.OpenAI) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    OpenAIInstrumentor().instrument(tracer_provider=provider)
    try:
        with pytest.raises(FailedPrecondition, match="span_exporter"):
            process.switch_on(["openai"], Watched().recorder)
        with instrumented() as watched:
            ask(client)
        assert watched.records == []
        assert OpenAIInstrumentor().is_instrumented_by_opentelemetry
    finally:
        OpenAIInstrumentor().uninstrument()
        provider.shutdown()


def test_spans_have_what_the_code_around_says(client: openai.OpenAI) -> None:
    shared = {"agent": "bot", "environment": "staging", "machine": "m", "workspace": "w"}
    with instrumented("openai", shared=shared, tags=("all",)) as watched:
        ask(client)
        with watched.session("s-1", user="u-1", tags=["beta"], metadata={"plan": {"pro": 1}}):
            ask(client)
            with watched.span("inside", agent="other"):
                ask(client)
    alone, in_session, inside, _ = watched.seen
    common = {"deployment.environment.name": "staging", "host.name": "m", "bartizan.workspace": "w"}
    session = {**common, "session.id": "s-1", "user.id": "u-1"}
    assert alone.attributes.items() >= {**common, "agent.name": "bot"}.items()
    assert (alone["tag.tags"], "session.id" in alone.attributes) == (["all"], False)
    assert in_session.attributes.items() >= {**session, "metadata.plan": '{"pro": 1}'}.items()
    assert in_session["tag.tags"] == ["beta", "all"]
    assert inside.attributes.items() >= {**session, "agent.name": "other"}.items()
    assert "tag.tags" not in inside.attributes


def test_sampling_holds_for_whole_traces(client: openai.OpenAI) -> None:
    with instrumented("openai", sample_rate=0.0) as watched:
        assert ask(client) == "It is on its way."
        with watched.span("root"):
            ask(client)
    assert watched.records == []


def test_content_can_be_left_out(client: openai.OpenAI) -> None:
    with instrumented("openai", capture_content=False) as watched:
        ask(client, f"my key is {SECRET}")
    assert SECRET.encode() not in watched.raw
    assert b"on its way" not in watched.raw
    assert (watched.one["llm.model_name"], watched.one["llm.token_count.prompt"]) == (
        "loopback-1",
        12,
    )


def test_content_is_redacted(client: openai.OpenAI) -> None:
    with instrumented("openai", redact=["sk-[a-z0-9]+"]) as watched:
        ask(client, f"my key is {SECRET}")
    assert SECRET.encode() not in watched.raw
    assert watched.one["llm.input_messages.0.message.content"] == "my key is [REDACTED]"


def test_a_failure_of_sending_never_reaches_the_application(
    client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    with instrumented("openai") as watched:
        monkeypatch.setattr(watched.recorder, "put", fail)
        assert ask(client) == "It is on its way."
        monkeypatch.setattr(watched.recorder, "shared", None)
        assert ask(client) == "It is on its way."
    assert watched.records == []


def test_errors_of_the_application_go_on_unchanged(model: LlmServer) -> None:
    with instrumented("openai") as watched:
        client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:1/v1", max_retries=0)
        with client, pytest.raises(openai.APIConnectionError):
            ask(client)
    assert watched.one.status == ERROR


def test_nothing_is_logged_of_what_is_said(
    client: openai.OpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, "bartizan"), instrumented("openai"):
        ask(client, SECRET)
    assert SECRET not in "".join(r.getMessage() for r in caplog.records if "bartizan" in r.name)
