import base64
import gzip
import json
import struct
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google.protobuf import any_pb2
from google.rpc import status_pb2
from tests.server.rpc.doors import (
    ERRORS,
    INGEST,
    KEY,
    READER,
    SECRET,
    TRACES,
    Answer,
    Details,
    ask,
    details_of,
)
from tests.server.rpc.doors_http import Site, open_site

from bartizan.v1 import common_pb2, trace_pb2

JSON = "application/json"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
async def running() -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def site(running: Site) -> Site:
    running.reset()
    return running


async def call(site: Site, path: str, body: Any = None, **headers: str) -> Answer:
    sent = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return await ask(
        site.port, "POST", path, sent, **{"content_type": JSON, "x_api_key": KEY, **headers}
    )


def connect_details(error: Any) -> Details:
    packed = [
        any_pb2.Any(
            type_url=f"type.googleapis.com/{detail['type']}",
            value=base64.b64decode(detail["value"] + "=="),
        )
        for detail in error["details"]
    ]
    return details_of(packed)


def envelopes(body: bytes) -> Iterator[tuple[int, bytes]]:
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        yield flags, body[5 : 5 + size]
        body = body[5 + size :]


def envelope(message: bytes) -> bytes:
    return struct.pack(">BI", 0, len(message)) + message


async def test_json(site: Site) -> None:
    answer = await call(site, f"{TRACES}/ListTraces", {"pageSize": 5})
    assert answer.status == 200
    assert b"\n" not in answer.body
    said = json.loads(answer.body)
    assert said["nextPageToken"] == ""
    assert (said["traces"][0]["traceId"], said["traces"][0]["spanCount"]) == ("t1", "3")
    assert site.house.traces.calls[0].request_bytes == 2
    assert site.house.calls(f"{TRACES}/ListTraces", "ok") == 1


async def test_protobuf(site: Site) -> None:
    request = trace_pb2.ExportTracesRequest(spans=[common_pb2.Span(name="a")])
    path = f"{INGEST}/ExportTraces"
    answer = await call(site, path, request.SerializeToString(), content_type="application/proto")
    assert trace_pb2.ExportTracesResponse.FromString(answer.body).ack.stored == 1


async def test_server_stream(site: Site) -> None:
    path, body = f"{TRACES}/GetTrace", envelope(b'{"name": "t9"}')
    answer = await call(site, path, body, content_type="application/connect+json")
    (_, first), (_, second), (flags, end) = envelopes(answer.body)
    assert json.loads(first)["trace"]["traceId"] == "t9"
    assert json.loads(second)["spans"] == []
    assert (flags, json.loads(end)) == (2, {})


async def test_an_error_in_mid_stream_ends_it(site: Site) -> None:
    path, body = f"{TRACES}/GetTrace", envelope(b'{"name": "full"}')
    answer = await call(site, path, body, content_type="application/connect+json")
    *_, (flags, end) = envelopes(answer.body)
    assert flags == 2
    assert connect_details(json.loads(end)["error"]).info.reason == "QUEUE_FULL"


async def test_grpc_web(site: Site) -> None:
    path = f"{TRACES}/ListTraces"
    request = trace_pb2.ListTracesRequest(page_token="missing").SerializeToString()
    answer = await call(site, path, envelope(request), content_type="application/grpc-web+proto")
    trailers = answer.headers if "grpc-status" in answer.headers else _trailers(answer.body)
    assert trailers["grpc-status"] == "5"
    packed = base64.b64decode(trailers["grpc-status-details-bin"] + "==")
    status = status_pb2.Status.FromString(packed)
    assert details_of(status.details).info.reason == "TRACE_NOT_FOUND"


def _trailers(body: bytes) -> dict[str, str]:
    *_, (_, block) = envelopes(body)
    return dict(line.split(": ", 1) for line in block.decode().split("\r\n") if line)


@pytest.mark.parametrize(
    ("token", "status", "code", "reason"),
    [
        ("invalid", 400, "invalid_argument", "BAD_TOKEN"),
        ("missing", 404, "not_found", "TRACE_NOT_FOUND"),
        ("full", 429, "resource_exhausted", "QUEUE_FULL"),
        ("away", 503, "unavailable", "DATABASE_UNAVAILABLE"),
        ("disk", 503, "unavailable", "DATABASE_UNAVAILABLE"),
        ("bug", 500, "internal", "INTERNAL"),
    ],
)
async def test_errors_carry_their_details(
    site: Site, token: str, status: int, code: str, reason: str
) -> None:
    answer = await call(site, f"{TRACES}/ListTraces", {"pageToken": token})
    error = json.loads(answer.body)
    assert (answer.status, error["code"]) == (status, code)
    details = connect_details(error)
    assert (details.info.reason, details.info.domain) == (reason, "bartizan.dev")
    assert SECRET.encode() not in answer.body
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert site.house.calls(f"{TRACES}/ListTraces", code) == 1
    assert token in ERRORS


async def test_retry_after_is_in_whole_seconds(site: Site) -> None:
    answer = await call(site, f"{TRACES}/ListTraces", {"pageToken": "full"})
    assert answer.headers["retry-after"] == "3"
    assert connect_details(json.loads(answer.body)).retry.retry_delay.ToMilliseconds() == 2500


async def test_keys_and_scopes(site: Site) -> None:
    nobody = await call(site, f"{TRACES}/ListTraces", x_api_key="wrong")
    assert nobody.status == 401
    assert connect_details(json.loads(nobody.body)).info.reason == "INVALID_KEY"
    bearer = {"x_api_key": "", "authorization": f"Bearer {KEY}"}
    assert (await call(site, f"{TRACES}/ListTraces", **bearer)).status == 200
    reader = await call(site, f"{INGEST}/ExportTraces", x_api_key=READER)
    assert reader.status == 403
    assert connect_details(json.loads(reader.body)).info.reason == "MISSING_SCOPE"


async def test_a_body_is_not_read_before_the_key_is_known(site: Site) -> None:
    answer = await call(site, f"{TRACES}/ListTraces", b"not json", x_api_key="wrong")
    assert answer.status == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", ""),
        (b"[" * 100_000, ""),
        (f'{{"pageSize": "{SECRET}"}}'.encode(), "page_size"),
        (f'{{"filter": {{"minCostUsd": "{SECRET}"}}}}'.encode(), "filter.min_cost_usd"),
        (b'{"filter": {"status": "NOPE"}}', "filter.status"),
        (b'{"filtre": {}}', "filtre"),
        (b'{"pageToken": "\xff"}', ""),
    ],
)
async def test_malformed_json_names_the_field_and_quotes_nothing(
    site: Site, body: bytes, field: str
) -> None:
    answer = await call(site, f"{TRACES}/ListTraces", body)
    assert answer.status == 400
    assert SECRET.encode() not in answer.body
    details = connect_details(json.loads(answer.body))
    named = details.bad_request.field_violations[0].field if details.bad_request else ""
    assert named == field


async def test_a_malformed_message(site: Site) -> None:
    path = f"{TRACES}/ListTraces"
    for extra in ({}, {"content_encoding": "gzip"}):
        answer = await call(site, path, b"\xff", content_type="application/proto", **extra)
        assert answer.status == 400
        assert connect_details(json.loads(answer.body)).info.reason == "MALFORMED_MESSAGE"


async def test_a_message_over_the_limit_is_refused(site: Site) -> None:
    answer = await call(site, f"{INGEST}/ExportTraces", bytes(65 * MIB))
    error = json.loads(answer.body)
    assert error["code"] == "resource_exhausted"
    facts = dict(connect_details(error).info.metadata)
    assert facts == {"limit_bytes": str(64 * MIB), "size_bytes": str(65 * MIB)}
    assert "retry-after" not in answer.headers


async def test_a_gzip_bomb_is_refused(site: Site) -> None:
    bomb = gzip.compress(bytes(65 * MIB), 1)
    answer = await call(site, f"{INGEST}/ExportTraces", bomb, content_encoding="gzip")
    error = json.loads(answer.body)
    assert error["code"] == "resource_exhausted"
    assert connect_details(error).info.reason == "MESSAGE_TOO_LARGE"
    assert not site.house.ingest.sizes


@pytest.mark.parametrize("content", [JSON, "application/connect+json", "application/proto"])
async def test_a_client_stream_is_refused_with_what_to_use(site: Site, content: str) -> None:
    answer = await call(site, f"{INGEST}/StreamTraces", content_type=content)
    assert b"ExportTraces" in answer.body
    assert b"unimplemented" in answer.body


async def test_an_unknown_encoding(site: Site) -> None:
    answer = await call(site, f"{TRACES}/ListTraces", content_encoding="br")
    assert answer.status == 501
    assert connect_details(json.loads(answer.body)).info.reason == "UNKNOWN_ENCODING"


async def test_the_request_id_comes_back(site: Site) -> None:
    for token in ("", "missing"):
        path, body = f"{TRACES}/ListTraces", {"pageToken": token}
        answer = await call(site, path, body, x_request_id="r-7")
        assert answer.headers["x-request-id"] == "r-7"


async def test_a_timeout_ends_the_handler(site: Site) -> None:
    path, body = f"{TRACES}/ListTraces", {"pageToken": "never"}
    answer = await call(site, path, body, connect_timeout_ms="100")
    assert json.loads(answer.body)["code"] == "deadline_exceeded"
    assert connect_details(json.loads(answer.body)).info.reason == "DEADLINE_EXCEEDED"
    await site.house.traces.closed.wait()
