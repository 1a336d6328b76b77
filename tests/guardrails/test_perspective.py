import asyncio
import json
import logging
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.guardrails.asked import anything, asked, refused
from tests.guardrails.perspective_server import KEY, Answer, Server, failed, judged, serving

from bartizan.guardrails.engine.perspective_client import (
    PerspectiveBusy,
    PerspectiveDown,
    PerspectiveError,
    PerspectiveGarbled,
    PerspectiveRefused,
)
from bartizan.guardrails.perspective import PIECE_BYTES, UNJUDGED, Perspective, pieces
from bartizan.guardrails.perspective_config import PerspectiveConfig
from bartizan.plugins.chain import Chain
from bartizan.plugins.config import parse_config
from bartizan.plugins.contract import Finding, Guardrail, Role, Text
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.judgement import Failure
from bartizan.plugins.rules import Rule, RuleSet
from bartizan.plugins.testing import GuardrailConformance

SECRET = "my own words"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


class Slept:
    """Waits for nothing, and remembers for how long it should have waited."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def perspective(server: Server, slept: Slept | None = None, **document: Any) -> Perspective:
    given = {"endpoint": server.endpoint, "budget_ms": 60_000, "request_timeout_ms": 30_000}
    config = parse_config(PerspectiveConfig, {**given, **document}, "rule")
    return Perspective(
        config,
        sleep=slept or Slept(),
        chance=lambda: 1.0,
        environ={"PERSPECTIVE_API_KEY": f"{KEY}\n"},
    )


def error_of(guardrail: Perspective, value: str = SECRET) -> PerspectiveError:
    with pytest.raises(PerspectiveError) as raised:
        asked(guardrail, value)
    shown = f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"
    assert KEY not in shown
    assert SECRET not in shown
    return raised.value


class TestPerspective(GuardrailConformance):
    @pytest.fixture(autouse=True)
    def with_server(self, server: Server) -> None:
        self.server = server

    def make(self) -> Guardrail:
        return perspective(self.server)


def test_what_is_asked_and_found(server: Server) -> None:
    attributes = {
        "TOXICITY": {"category": "toxicity.abuse"},
        "THREAT": {"category": "toxicity.threat", "threshold": 0.95},
    }
    guardrail = perspective(server, attributes=attributes, languages=["en"])
    found = asked(guardrail, "you fool")
    assert found == [Finding("toxicity.abuse", 0.9, 0, 8, "PERSPECTIVE_TOXICITY")]
    assert server.asked == [
        {
            "comment": {"text": "you fool", "type": "PLAIN_TEXT"},
            "requestedAttributes": {"TOXICITY": {}, "THREAT": {}},
            "doNotStore": True,
            "languages": ["en"],
        }
    ]
    assert asked(guardrail, "fine") == []


async def test_nothing_is_asked_twice_or_for_nothing(server: Server) -> None:
    values = ["a fool", "", " \n", "fine", "a fool"]
    found = await perspective(server).check([Text(Role.USER, value) for value in values])
    assert [len(one) for one in found] == [1, 0, 0, 0, 1]
    assert sorted(server.texts) == ["a fool", "fine"]


def test_a_long_text_goes_in_pieces(server: Server) -> None:
    text = "fine weather " * 400 + "you fool " + "fine weather " * 400
    [found] = asked(perspective(server), text)
    assert "fool" in text[found.start : found.end]
    assert found.end - found.start <= PIECE_BYTES
    assert len(server.texts) == 4


def test_what_is_too_long_is_said(server: Server) -> None:
    text = "fine " * 200_000
    [found] = asked(perspective(server, max_pieces=2), text)
    assert found == Finding(UNJUDGED, 1.0, found.start, len(text), "TOO_LONG")
    assert len(server.texts) == 2
    assert asked(perspective(server, max_pieces=2, report_unjudged=False), text) == []


@given(text=anything, times=st.integers(1, 200), most=st.integers(1, 20))
def test_pieces(text: str, times: int, most: int) -> None:
    value = text * times or "a"
    cut = list(pieces(value, most))
    assert cut[0].start == 0
    assert cut[-1].end == len(value) or len(cut) == most
    for before, after in pairwise(cut):
        assert before.start < after.start < before.end < after.end
    for start, end in cut:
        assert 0 < len(value[start:end].encode("utf-8", "replace")) <= PIECE_BYTES


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Attribute TOXICITY does not support request languages: is", ""),
        ("", "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"),
        ("Unable to detect language", ""),
    ],
)
def test_a_language_that_is_not_judged(server: Server, message: str, kind: str) -> None:
    kind = kind or "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE" * message.startswith("Attribute")
    server.answer = lambda _: failed(400, message, kind)
    assert asked(perspective(server), "takk") == [Finding(UNJUDGED, 1.0, 0, 4, "LANGUAGE")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_what_stays_wrong_is_not_tried_again(server: Server, status: int) -> None:
    server.answer = lambda _: failed(status, SECRET, Location=f"{server.endpoint}/elsewhere")
    error = error_of(perspective(server))
    assert isinstance(error, PerspectiveRefused)
    assert str(error) == f"the service answered with status {status}"
    assert len(server.asked) == 1


def test_a_wrong_key(server: Server) -> None:
    config = PerspectiveConfig(endpoint=server.endpoint)
    guardrail = Perspective(config, environ={"PERSPECTIVE_API_KEY": "another"})
    with pytest.raises(PerspectiveRefused, match="status 403"):
        asked(guardrail, "fine")


@pytest.mark.parametrize("status", [500, 503])
def test_it_tries_again_and_waits_longer_each_time(server: Server, status: int) -> None:
    slept = Slept()
    server.answer = lambda one: failed(status) if len(server.asked) < 3 else judged(one)
    assert len(asked(perspective(server, slept), "fool")) == 1
    assert slept.seconds == [0.1, 0.2]


def test_it_gives_up(server: Server) -> None:
    slept = Slept()
    server.answer = lambda _: failed(503, SECRET)
    assert isinstance(error_of(perspective(server, slept, max_retries=3)), PerspectiveDown)
    assert slept.seconds == [0.1, 0.2, 0.4]
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("after", "waited"), [("7", 7.0), ("0", 0.1), ("-1", 0.1), ("soon", 0.1), ("\u00b2", 0.1)]
)
def test_it_waits_as_long_as_it_is_told(server: Server, after: str, waited: float) -> None:
    slept = Slept()
    busy = failed(429, Retry_After=after)
    server.answer = lambda one: busy if len(server.asked) < 2 else judged(one)
    assert len(asked(perspective(server, slept), "fool")) == 1
    assert slept.seconds == [waited]


def test_it_does_not_wait_for_longer_than_its_budget(server: Server) -> None:
    slept = Slept()
    server.answer = lambda _: failed(429, Retry_After="9" * 400)
    assert isinstance(error_of(perspective(server, slept)), PerspectiveBusy)
    assert slept.seconds == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b" " * 300_000,
        b'{"attributeScores": []}',
        b'{"attributeScores": {}}',
        b'{"attributeScores": {"TOXICITY": {"summaryScore": {}}}}',
        b'{"attributeScores": {"TOXICITY": {"summaryScore": {"value": "0.5"}}}}',
        b'{"attributeScores": {"TOXICITY": {"summaryScore": {"value": NaN}}}}',
        b'{"attributeScores": {"TOXICITY": {"summaryScore": {"value": 1.5}}}}',
    ],
)
def test_answers_that_are_none(server: Server, body: bytes) -> None:
    server.answer = lambda _: Answer(200, body)
    assert isinstance(error_of(perspective(server)), PerspectiveGarbled)


def test_connections_that_end(server: Server) -> None:
    server.answer = lambda _: None
    assert isinstance(error_of(perspective(server, max_retries=1)), PerspectiveDown)
    assert len(server.asked) == 2


def test_an_answer_that_is_cut_short(server: Server) -> None:
    server.answer = lambda _: Answer(200, b"{}", {"Content-Length": "100", "Connection": "close"})
    assert isinstance(error_of(perspective(server, max_retries=0)), PerspectiveDown)


def test_nobody_listens() -> None:
    with serving() as gone:
        guardrail = perspective(gone, max_retries=0)
    assert isinstance(error_of(guardrail), PerspectiveDown)


def hang(server: Server) -> None:
    def wait(document: dict[str, Any]) -> Answer:
        server.let_go.wait(60)
        return judged(document)

    server.answer = wait


def test_a_service_that_hangs(server: Server) -> None:
    hang(server)
    error = error_of(perspective(server, request_timeout_ms=50, max_retries=1))
    assert isinstance(error, PerspectiveDown)
    assert len(server.asked) == 2


def test_the_budget_ends_all_tries(server: Server) -> None:
    hang(server)
    error = error_of(perspective(server, budget_ms=50))
    assert str(error) == "the budget is spent"


async def test_the_thread_of_a_request_is_free_again(server: Server) -> None:
    hang(server)
    guardrail = perspective(server, request_timeout_ms=50, max_retries=0, max_requests=1)
    with pytest.raises(PerspectiveDown):
        await guardrail.check([Text(Role.USER, "fine")])
    server.answer = judged
    [[found]] = await guardrail.check([Text(Role.USER, "fool")])
    assert found.category == "toxicity.abuse"


async def test_cancelled_it_is_still_of_use(server: Server) -> None:
    hang(server)
    guardrail = perspective(server, max_requests=1)
    call = asyncio.ensure_future(guardrail.check([Text(Role.USER, "fine")]))
    assert await asyncio.to_thread(server.heard.wait, 30)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    server.answer = judged
    assert len((await guardrail.check([Text(Role.USER, "fool")]))[0]) == 1


async def test_no_more_requests_at_once_than_allowed(server: Server) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def counted(document: dict[str, Any]) -> Answer:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        answer = judged(document)
        with lock:
            running -= 1
        return answer

    server.answer = counted
    texts = [Text(Role.USER, f"text {n}") for n in range(40)]
    guardrail = perspective(server, max_requests=3)
    await asyncio.gather(*(guardrail.check(texts[n::4]) for n in range(4)))
    assert most <= 3
    assert len(server.asked) == 40


async def test_a_rule_says_that_it_failed_and_nothing_else(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = lambda _: failed(403, SECRET)
    rule = Rule(id="remote", plugin="perspective")
    chain = Chain(RuleSet((rule,)), {"remote": perspective(server)}, hash_key=b"")
    await chain.start()
    with caplog.at_level(logging.DEBUG):
        judgement = await chain.judge([Text(Role.USER, SECRET)])
    await chain.aclose()
    assert [report.failure for report in judgement.reports] == [Failure.ERROR]
    assert "PerspectiveRefused" in caplog.text
    assert KEY not in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("key", ["", " ", "a\nb", "schl\u00fcssel"])
async def test_a_key_is_required(server: Server, key: str) -> None:
    config = PerspectiveConfig(endpoint=server.endpoint)
    rule = Rule(id="remote", plugin="perspective")
    guardrail = Perspective(config, environ={"PERSPECTIVE_API_KEY": key})
    chain = Chain(RuleSet((rule,)), {"remote": guardrail}, hash_key=b"")
    with pytest.raises(ConfigError, match="PERSPECTIVE_API_KEY must hold the key") as raised:
        await chain.start()
    assert not key.strip() or key not in str(raised.value)
    await chain.aclose()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"key_env": "DATABASE_URL"}, "'key_env'"),
        ({"endpoint": "http://example.com"}, "begins with https://"),
        ({"endpoint": "http://10.0.0.1"}, "begins with https://"),
        ({"endpoint": "https://user:pw@example.com"}, "https:// and a host"),
        ({"endpoint": "https://example.com/a?key=b"}, "https:// and a host"),
        ({"endpoint": "file:///etc/passwd"}, "https:// and a host"),
        ({"attributes": {}}, "'attributes'"),
        ({"attributes": {"toxicity": {"category": "a"}}}, "named in capitals"),
        ({"key": "x"}, "'key' is not a known key"),
    ],
)
def test_what_is_refused(document: dict[str, Any], said: str) -> None:
    told = refused(PerspectiveConfig, **document)
    assert said in told
    assert "pw@" not in told


def test_the_default_is_the_service_itself() -> None:
    assert PerspectiveConfig().endpoint.startswith("https://")
    assert json.loads(PerspectiveConfig().model_dump_json())["attributes"] == {
        "TOXICITY": {"category": "toxicity.abuse", "threshold": 0.7}
    }
