import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.notifiers.http_peer import (
    Peer,
    Request,
    answering,
    close,
    hang,
    http_peer,
    raw,
)

from bartizan.alerts.notifiers.dialing import Dialer
from bartizan.alerts.notifiers.http import (
    MAX_ANSWER_BYTES,
    Answer,
    HttpClient,
    reached,
    seconds_of,
    target_of,
)
from bartizan.plugins.notification import Cause, NotifyError, Permanent, Retryable

NOW = datetime(2026, 11, 20, 3, 12, tzinfo=UTC)
SECRET = "planted-5c02"


def client(timeout_s: float = 30.0, **options: object) -> HttpClient:
    options = {"allow_private": True, **options}
    return HttpClient(Dialer(**options), timeout_s, clock=lambda: NOW)  # type: ignore[arg-type]


async def post(url: str, sender: HttpClient | None = None, body: bytes = b"{}") -> Answer:
    target = target_of(f"{url}/{SECRET}?a=b", allow_plain=True)
    return await (sender or client()).post(target, {"X-Token": SECRET}, body)


async def failed(url: str, sender: HttpClient | None = None) -> NotifyError:
    with pytest.raises(NotifyError) as raised:
        await post(url, sender)
    error = raised.value
    assert error.__cause__ is None
    assert error.__context__ is None
    assert SECRET not in repr(error)
    return error


async def test_what_is_sent(peer: Peer) -> None:
    await post(peer.url, body=b'{"a": 1}')
    [request] = peer.requests
    assert (request.method, request.path) == ("POST", f"/{SECRET}?a=b")
    assert request.headers["host"] == f"127.0.0.1:{peer.port}"
    assert request.headers["connection"] == "close"
    assert request.body == b'{"a": 1}'


async def test_an_answer(peer: Peer) -> None:
    peer.handle = answering(418, b"teapot", Retry_After="12")
    assert await post(peer.url) == Answer(418, b"teapot", 12.0)


async def test_a_redirect_is_an_answer_and_is_not_followed(peer: Peer) -> None:
    peer.handle = answering(302, Location=f"{peer.url}/elsewhere")
    assert (await post(peer.url)).status == 302
    assert len(peer.requests) == 1


async def test_a_chunked_answer_after_another_one(peer: Peer) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await raw(writer, b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
        await raw(writer, b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

    peer.handle = handle
    assert await post(peer.url) == Answer(200, b"ok")


async def test_a_huge_answer_is_not_kept(peer: Peer) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await raw(writer, b"HTTP/1.1 500 Oh\r\n\r\n")
        while True:
            await raw(writer, b"x" * MAX_ANSWER_BYTES)

    peer.handle = handle
    assert await post(peer.url) == Answer(500, b"")


async def test_endless_headers(peer: Peer) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await raw(writer, b"HTTP/1.1 200 OK\r\n")
        while True:
            await raw(writer, b"a: " + b"b" * 1_000 + b"\r\n")

    peer.handle = handle
    assert (await failed(peer.url)).cause is Cause.SERVER


async def test_an_answer_that_quotes_and_is_none(peer: Peer) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await raw(writer, f"{SECRET} is not HTTP\r\n\r\n".encode())

    peer.handle = handle
    error = await failed(peer.url)
    assert isinstance(error, Retryable)
    assert error.reason == "an answer that is no HTTP"


async def test_an_answer_that_is_cut_short(peer: Peer) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await raw(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok")
        writer.write_eof()
        await asyncio.Event().wait()

    peer.handle = handle
    assert isinstance(await failed(peer.url), Retryable)


async def test_a_drip_is_cut_off(peer: Peer) -> None:
    async def handle(_: Request, writer: asyncio.StreamWriter) -> None:
        await raw(writer, b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            await raw(writer, b"x")
            await asyncio.sleep(0.02)

    peer.handle = handle
    error = await failed(peer.url, client(0.3))
    assert isinstance(error, Retryable)
    assert error.cause is Cause.DEADLINE


async def test_no_answer_at_all(peer: Peer) -> None:
    peer.handle = hang
    assert (await failed(peer.url, client(0.2))).cause is Cause.DEADLINE


async def test_a_connection_that_ends(peer: Peer) -> None:
    peer.handle = close
    assert isinstance(await failed(peer.url), Retryable)


async def test_nobody_listens() -> None:
    async with http_peer(hang) as gone:
        url = gone.url
    assert isinstance(await failed(url), Retryable)


async def test_a_refusal_before_the_body_was_read(peer: Peer) -> None:
    async def answer_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        await raw(writer, b"HTTP/1.1 413 Large\r\nContent-Length: 0\r\n\r\n")
        while await reader.read(1_000_000):
            pass
        writer.close()

    async with await asyncio.start_server(answer_first, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await post(f"http://127.0.0.1:{port}", body=b"x" * 3_000_000)).status == 413


async def test_tls_is_verified(server_context: ssl.SSLContext, certificates: Path) -> None:
    async with http_peer(answering(200, b"ok"), server_context) as peer:
        trusting = client(ca_file=certificates / "ca.pem")
        assert await post(peer.url, trusting) == Answer(200, b"ok")
        error = await failed(peer.url)
        assert isinstance(error, Permanent)
        assert "certificate" in error.reason


async def test_the_name_must_be_that_of_the_certificate(
    server_context: ssl.SSLContext, certificates: Path
) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with http_peer(answering(200), server_context) as peer:
        trusting = client(ca_file=certificates / "ca.pem", resolve=resolve)
        url = f"https://elsewhere.example:{peer.port}"
        assert isinstance(await failed(url, trusting), Permanent)
        assert (await post(f"https://localhost:{peer.port}", trusting)).status == 200


async def test_tls_to_who_speaks_none(peer: Peer, certificates: Path) -> None:
    url = peer.url.replace("http:", "https:")
    assert isinstance(await failed(url, client(0.5, ca_file=certificates / "ca.pem")), Retryable)


async def test_authorities_that_are_none(tmp_path: Path) -> None:
    for content in (None, "no certificate"):
        file = tmp_path / "ca.pem"
        if content is not None:
            file.write_text(content)
        error = await failed("https://127.0.0.1:1", client(ca_file=file))
        assert isinstance(error, Permanent)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "file:///etc/passwd",
        f"https://user:{SECRET}@example.com",
        f"https://example.com:{SECRET}",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://ex\u0430mple.com",
        "https://[::1",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(Permanent) as raised:
        reached(url, "url", allow_plain=True)
    assert SECRET not in repr(raised.value)
    assert raised.value.__context__ is None


def test_plain_http_must_be_allowed() -> None:
    with pytest.raises(ValueError, match="https"):
        target_of("http://example.com", allow_plain=False)
    assert target_of("http://example.com", allow_plain=True).port == 80


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (None, None),
        (b"", None),
        (b"soon", None),
        (b"-1", None),
        (b"7", 7.0),
        (b" 7 ", 7.0),
        (b"9" * 500, 3_600.0),
        (b"Fri, 20 Nov 2026 03:12:30 GMT", 30.0),
        (b"Fri, 20 Nov 2020 03:12:30 GMT", 0.0),
        (b"Fri, 20 Nov 2999 03:12:30 GMT", 3_600.0),
    ],
)
def test_retry_after(said: bytes | None, seconds: float | None) -> None:
    assert seconds_of(said, NOW) == seconds


@given(st.binary(max_size=60))
def test_retry_after_of_anything(said: bytes) -> None:
    seconds = seconds_of(said, NOW)
    assert seconds is None or 0 <= seconds <= 3_600
