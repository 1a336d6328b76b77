"""The Python SDK against the real server."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.serving import Serving

from bartizan.client import Bartizan, Source
from bartizan.v1 import common_pb2

HOURS_NS = 3_600 * 10**9
TIMEOUT_S = 30


@pytest.fixture
def bz(guarded: Serving) -> Iterator[Bartizan]:
    with Bartizan(guarded.key, guarded.grpc) as client:
        yield client


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_that_is_hours_off(guarded: Serving, hours: int) -> None:
    source = Source(now_ns=lambda: time.time_ns() + hours * HOURS_NS)
    with Bartizan(guarded.key, guarded.grpc, source=source) as bz:
        with bz.span("work", agent=f"clock {hours}") as span:
            pass
        assert bz.flush(TIMEOUT_S)
        assert (bz.stats.stored, bz.stats.rejected) == (1, 0)
        view = bz.get_trace(span.trace_id)
        begun = view.trace.start_time.ToNanoseconds()
        assert abs(begun - time.time_ns() - hours * HOURS_NS) < HOURS_NS


def test_a_trace_comes_back_as_it_was_recorded(bz: Bartizan) -> None:
    @bz.trace(agent="support-bot")
    def answer(question: str) -> str:
        with bz.span("find", kind="retriever") as search:
            search.set_output([{"content": "Ships in two days.", "id": "doc-1"}])
        with bz.span("chat", model="gpt-4o", provider="openai") as chat:
            chat.set_input([{"role": "user", "content": question}]).set_output("In two days.")
            chat.set_usage(120, 40, cache_read=64).set_cost(0.0023, price_table="2026-11")
            chat.first_token().add_event("retry", attempt=1).set_attribute("score", 0.5)
        return "In two days."

    with bz.session("chat-7", user="u-17", tags=["beta"], metadata={"plan": "pro"}):
        answer("When? Write to ada@example.com.")
    assert bz.flush(TIMEOUT_S)
    (trace,) = bz.list_traces(session_id="chat-7", since=timedelta(minutes=5))
    view = bz.get_trace(trace.trace_id)
    spans = {span.name.rpartition(".")[2]: span for span in view.spans}
    assert (trace.user_id, list(trace.tags), list(trace.agents)) == (
        "u-17", ["beta"], ["support-bot"],
    )  # fmt: skip
    assert spans["answer"].input[0].content == "When? Write to [EMAIL_ADDRESS]."
    assert spans["find"].output[0].role == common_pb2.ROLE_RETRIEVED
    chat = spans["chat"]
    assert (chat.usage.input, chat.usage.cache_read, chat.cost.price_table) == (120, 64, "2026-11")
    assert chat.time_to_first_token_ns > 0
    assert {span.trace_id for span in view.spans} == {trace.trace_id}


def test_feedback_comes_back_redacted(bz: Bartizan) -> None:
    with bz.span("work") as span:
        pass
    ids = {
        bz.feedback(span.trace_id, thumbs_up=True, user_id="u-17"),
        bz.feedback(span.trace_id, rating=80, comment="Mail me: ada@example.com"),
        bz.feedback(span.trace_id, label="wrong", correction="Oslo", source="expert"),
    }
    assert bz.flush(TIMEOUT_S)
    stored = list(bz.list_feedback(trace_id=span.trace_id))
    assert {one.feedback_id for one in stored} == ids
    assert {one.comment for one in stored} == {"", "Mail me: [EMAIL_ADDRESS]"}
    assert {one.WhichOneof("value") for one in stored} == {"thumbs_up", "rating", "label"}


def test_values_of_every_kind_are_stored(bz: Bartizan) -> None:
    cycle: dict[str, object] = {"text": "\ud800\0 lone", "nan": float("nan"), "huge": 10**500}
    cycle["self"] = cycle
    with bz.span("\0odd\ud800", user_id="u\0") as span:
        span.set_input(cycle).set_output("x" * 50_000_000)
        span.set_attribute("\ud800", object()).add_tags("\0", "a" * 500)
    assert bz.flush(TIMEOUT_S)
    assert (bz.stats.stored, bz.stats.rejected, bz.stats.dropped) == (1, 0, {})
    (stored,) = bz.get_trace(span.trace_id).spans
    assert "characters cut" in stored.output[0].content


@pytest.mark.parametrize(
    ("key", "port", "why"),
    [
        ("bz_wrong", "grpc", "does not accept the API key"),
        (None, "http", "4317"),
        (None, "nobody", "nothing listens"),
    ],
)
def test_debug_says_why_nothing_arrives(
    guarded: Serving, capfd: pytest.CaptureFixture[str], key: str | None, port: str, why: str
) -> None:
    where = {"grpc": guarded.grpc, "http": guarded.http, "nobody": "127.0.0.1:1"}[port]
    with Bartizan(key or guarded.key, where, debug=True) as bz:
        with bz.span("work"):
            pass
        assert not bz.flush(2)
        bz.shutdown(0)
    said = capfd.readouterr().err.splitlines()
    assert any("nothing arrives" in line and why in line for line in said), said
    assert guarded.key not in "".join(said)


def test_what_the_server_refuses_is_told(
    guarded: Serving, capfd: pytest.CaptureFixture[str]
) -> None:
    with Bartizan(guarded.key, guarded.grpc, debug=True) as bz:
        assert bz.feedback("short", rating=500)
        assert bz.flush(TIMEOUT_S)
        assert (bz.stats.rejected, "trace_id" in bz.stats.last_error) == (1, True)
    assert "refused 1 of what was sent for good: trace_id" in capfd.readouterr().err


def test_the_command_line_shows_feedback(bz: Bartizan, guarded: Serving) -> None:
    with bz.span("work") as span:
        pass
    bz.feedback(span.trace_id, thumbs_up=False, comment="Too long.", user_id="u-17")
    assert bz.flush(TIMEOUT_S)
    options = ["--endpoint", guarded.grpc, "--api-key", guarded.key]
    script = Path(sys.executable).with_name("bartizan")
    shown = subprocess.run(
        [script, "trace", span.trace_id, *options], capture_output=True, text=True, check=True
    )
    assert "* user by u-17: thumbs down, Too long." in shown.stdout
