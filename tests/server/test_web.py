import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.server.rpc.doors import KEY, SECRET, TRACES, ask
from tests.server.rpc.doors_http import Site, open_site

from bartizan.plugins.errors import ConfigError
from bartizan.server.web_guard import Guard
from bartizan.server.web_serve import bind, serve_http


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def site(running: Site) -> Site:
    running.reset()
    return running


async def test_healthz(site: Site) -> None:
    answer = await ask(site.port, "GET", "/healthz")
    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


async def test_readyz_says_what_is_wrong(site: Site) -> None:
    assert (await ask(site.port, "GET", "/readyz")).status == 200
    site.problems.append("the disk of the database is full")
    answer = await ask(site.port, "GET", "/readyz")
    said = {"status": "unavailable", "problems": ["the disk of the database is full"]}
    assert (answer.status, json.loads(answer.body)) == (503, said)


async def test_metrics(site: Site) -> None:
    await ask(site.port, "POST", f"{TRACES}/ListTraces", b"{}", x_api_key=KEY)
    answer = await ask(site.port, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    assert 'bartizan_spans_total{outcome="quarantined"} 0.0' in lines


async def test_metrics_of_several_processes(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    answer = await ask(site.port, "GET", "/metrics")
    # Nobody has written there: the figures of this process alone would be wrong.
    assert (answer.status, answer.body) == (200, b"")


async def test_openapi(site: Site) -> None:
    answer = await ask(site.port, "GET", "/openapi.json")
    assert json.loads(answer.body)["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", ["/", "/nothing", "/bartizan.v1.TraceService/Nope"])
async def test_an_unknown_path(site: Site, path: str) -> None:
    answer = await ask(site.port, "POST", path)
    assert (answer.status, json.loads(answer.body)) == (404, {"error": "Not Found"})


async def test_a_wrong_method(site: Site) -> None:
    answer = await ask(site.port, "GET", "/v1/traces")
    assert answer.status == 405


async def test_a_taken_port_is_refused(site: Site) -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        bind("127.0.0.1", site.port)
    with bind("127.0.0.1", 0, reuse_port=True) as first:
        bind("127.0.0.1", first.getsockname()[1], reuse_port=True).close()


async def test_an_address_of_elsewhere_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        bind("192.0.2.1", 0)


async def test_stop_lets_open_requests_finish() -> None:
    began, go = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        began.set()
        await go.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serve_http(slow, bind("127.0.0.1", 0)) as running:
        asking = asyncio.create_task(ask(running.port, "GET", "/"))
        await began.wait()
        stopping = asyncio.create_task(running.stop(30))
        go.set()
        assert (await asking).status == 204
        await stopping
        await running.stop(30)


async def test_the_text_of_an_error_stays_inside(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.problems.append(RuntimeError(SECRET))
    answer = await ask(site.port, "GET", "/readyz")
    assert (answer.status, SECRET.encode() in answer.body) == (500, False)
    assert SECRET not in caplog.text


async def test_a_body_that_never_comes_is_given_up() -> None:
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def reads(scope: Any, receive: Any, send: Any) -> None:
        try:
            while True:
                await receive()
        except Exception as error:
            outcome.set_result(error)

    async with serve_http(Guard(reads, read_timeout_s=0.05), bind("127.0.0.1", 0)) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc")
        assert getattr(await outcome, "reason", "") == "BODY_TOO_SLOW"
        writer.close()


async def test_a_client_that_never_reads_is_given_up() -> None:
    outcome: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def writes(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send(
                    {"type": "http.response.body", "body": bytes(1 << 20), "more_body": True}
                )
        except Exception as error:
            outcome.set_result(error)

    async with serve_http(Guard(writes, write_timeout_s=0.05), bind("127.0.0.1", 0)) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert getattr(await outcome, "reason", "") == "CLIENT_NOT_READING"
        writer.transport.abort()
