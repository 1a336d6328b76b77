import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import json_format
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.server.rpc.doors import KEY, READER, SECRET, Answer, Details, ask, details_of
from tests.server.rpc.doors_http import Site, open_site

from bartizan.plugins.errors import InvalidArgument, Overloaded, Unavailable
from bartizan.server.web_body import PIECE_BYTES, BodyMemory, Gunzip

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MIB = 1024 * 1024

REQUEST = trace_service_pb2.ExportTraceServiceRequest()
REQUEST.resource_spans.add().scope_spans.add().spans.add(
    trace_id=b"\1" * 16, span_id=b"\2" * 8, name="chat"
)
BINARY = REQUEST.SerializeToString()
TEXT = json.dumps(
    {
        "resourceSpans": [
            {
                "scopeSpans": [
                    {"spans": [{"traceId": "01" * 16, "spanId": "02" * 8, "name": "chat"}]}
                ]
            }
        ]
    }
).encode()


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def site(running: Site) -> Site:
    running.reset()
    return running


async def export(site: Site, body: bytes, content: str = PROTOBUF, **headers: str) -> Answer:
    named = {"content_type": content, "x_api_key": KEY, **headers}
    return await ask(site.port, "POST", "/v1/traces", body, **named)


def told(answer: Answer) -> tuple[status_pb2.Status, Details]:
    status = status_pb2.Status()
    if answer.headers["content-type"].startswith(JSON):
        json_format.Parse(answer.body, status)
    else:
        status.ParseFromString(answer.body)
    return status, details_of(status.details)


@pytest.mark.parametrize(("content", "body"), [(PROTOBUF, BINARY), (JSON, TEXT)])
@pytest.mark.parametrize("packed", [False, True])
async def test_export(site: Site, content: str, body: bytes, packed: bool) -> None:
    extra = {"content_encoding": "gzip"} if packed else {}
    sent = gzip.compress(body) if packed else body
    answer = await export(site, sent, content, x_request_id="r-1", **extra)
    assert (answer.status, answer.headers["content-type"]) == (200, content)
    assert answer.body == (b"" if content == PROTOBUF else b"{}")
    assert answer.headers["x-request-id"] == "r-1"
    assert site.house.otlp.spans == 1


async def test_an_empty_export_succeeds(site: Site) -> None:
    assert (await export(site, b"")).status == 200


@pytest.mark.parametrize("content", [PROTOBUF, JSON])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidArgument("NO_IDS", "spans need ids", field="resource_spans"), 400),
        (Overloaded("QUEUE_FULL", "the queue is full", retry_delay_s=0.2), 429),
        (Unavailable("DATABASE_UNAVAILABLE", "the database is away"), 503),
        (OSError(SECRET), 500),
        (asyncio.CancelledError(), 503),
    ],
)
async def test_errors(site: Site, content: str, error: BaseException, status: int) -> None:
    site.house.otlp.error = error
    body = BINARY if content == PROTOBUF else TEXT
    answer = await export(site, body, content)
    said, details = told(answer)
    assert (answer.status, answer.headers["content-type"]) == (status, content)
    unnamed = "INTERNAL" if status == 500 else "WORK_CANCELLED"
    assert details.info.reason == getattr(error, "reason", unnamed)
    assert SECRET not in said.message
    assert answer.headers.get("retry-after") == ("1" if status in (429, 503) else None)


async def test_keys_and_scopes(site: Site) -> None:
    assert (await export(site, BINARY, x_api_key="wrong")).status == 401
    assert (await export(site, BINARY, x_api_key=READER)).status == 403


@pytest.mark.parametrize(
    ("content", "body", "reason"),
    [(PROTOBUF, b"\xff", "MALFORMED_MESSAGE"), (JSON, b"{", "MALFORMED_REQUEST")],
)
async def test_malformed(site: Site, content: str, body: bytes, reason: str) -> None:
    answer = await export(site, body, content)
    assert answer.status == 400
    assert told(answer)[1].info.reason == reason


async def test_other_content(site: Site) -> None:
    answer = await export(site, BINARY, "text/plain")
    assert (answer.status, told(answer)[1].info.reason) == (415, "UNKNOWN_CONTENT")
    answer = await export(site, BINARY, content_encoding="br")
    assert (answer.status, told(answer)[1].info.reason) == (415, "UNKNOWN_ENCODING")


@pytest.mark.parametrize(
    "body", [b"not gzip", gzip.compress(BINARY, mtime=0)[:-3]], ids=["none", "cut"]
)
async def test_broken_gzip(site: Site, body: bytes) -> None:
    answer = await export(site, body, content_encoding="gzip")
    assert (answer.status, told(answer)[1].info.reason) == (400, "MALFORMED_GZIP")


async def test_over_the_limit(site: Site) -> None:
    answer = await export(site, bytes(65 * MIB))
    assert answer.status == 413
    facts = dict(told(answer)[1].info.metadata)
    assert facts == {"limit_bytes": str(64 * MIB), "size_bytes": str(65 * MIB)}


async def test_a_gzip_bomb(site: Site) -> None:
    bomb = gzip.compress(bytes(8 * MIB), 9) * 64
    answer = await export(site, bomb, content_encoding="gzip")
    assert (answer.status, told(answer)[1].info.reason) == (413, "MESSAGE_TOO_LARGE")
    assert "retry-after" not in answer.headers


@pytest.mark.parametrize("signal", ["logs", "metrics"])
async def test_other_signals(site: Site, signal: str) -> None:
    answer = await ask(site.port, "POST", f"/v1/{signal}", b"{}", content_type=JSON)
    assert answer.status == 404
    assert "traces only" in told(answer)[0].message


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_bodies_share_their_memory() -> None:
    memory = BodyMemory(limit_bytes=10)
    async with memory.read({}, chunks(b"12345", b"678")):
        with pytest.raises(Overloaded):
            async with memory.read({}, chunks(b"123")):
                raise AssertionError
    async with memory.read({}, chunks(b"1234567890")) as body:
        assert body == b"1234567890"


@given(st.lists(st.binary(max_size=64), max_size=4), st.integers(min_value=1, max_value=9))
def test_gunzip_reads_members_in_any_cut(members: list[bytes], cut: int) -> None:
    packed = b"".join(gzip.compress(member) for member in members)
    gunzip = Gunzip()
    parts: list[Any] = []
    for start in range(0, len(packed), cut):
        parts += gunzip.feed(packed[start : start + cut])
    gunzip.close()
    assert b"".join(parts) == b"".join(members)


def test_gunzip_gives_small_pieces() -> None:
    sizes = [len(piece) for piece in Gunzip().feed(gzip.compress(bytes(10 * PIECE_BYTES)))]
    assert max(sizes) <= PIECE_BYTES
    assert sum(sizes) == 10 * PIECE_BYTES
