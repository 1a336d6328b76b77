"""Plants personal data wherever a sender can, and then looks for it wherever the server writes."""

import json
import random
import urllib.request
from pathlib import Path

import asyncpg
import pytest
from tests.support.serving import Serving
from tests.support.spans import make_span

from bartizan.client import Bartizan
from bartizan.v1 import common_pb2

EMAIL = "josephine.planted@example.com"
CARD = "4111 1111 1111 1111"
CARD_NUMBER = 4111111111111111
IBAN = "GB82 WEST 1234 5698 7654 32"
SSN = "536-22-8190"
PHONE = "+1 415-555-2671"
SECRETS = (EMAIL, "josephine.planted", CARD, str(CARD_NUMBER), IBAN, SSN, PHONE)
TEXT = f"Write to {EMAIL}, charge {CARD}, from {IBAN}, my SSN is {SSN}, call {PHONE}."


def planted(rng: random.Random) -> common_pb2.Span:
    """Returns a valid span with personal data in every text it has."""
    span = make_span(
        rng, name=f"mail {EMAIL}", agent=EMAIL, model=EMAIL, user_id=EMAIL, session_id=EMAIL,
        environment=EMAIL, machine=EMAIL, workspace=EMAIL, tool_name=EMAIL, error_type=EMAIL,
        provider=EMAIL, status_message=TEXT, status=common_pb2.STATUS_CODE_ERROR, tags=[EMAIL],
    )  # fmt: skip
    for messages in (span.input, span.output):
        messages.add(role=common_pb2.ROLE_SYSTEM, content=TEXT)
        messages.add(
            role=common_pb2.ROLE_TOOL_CALL,
            content=json.dumps({"to": EMAIL, "card": CARD}),
            name=EMAIL,
            tool_call_id=EMAIL,
            mime_type="application/json",
        )
    span.attributes.add(key=EMAIL, string_value=TEXT)
    span.attributes.add(key="number", int_value=CARD_NUMBER)
    span.attributes.add(key="nested", json_value=json.dumps({"a": [{EMAIL: TEXT}, CARD_NUMBER]}))
    event = span.events.add(name=f"mail {EMAIL}")
    event.time.CopyFrom(span.start_time)
    event.attributes.add(key="exception.message", string_value=TEXT)
    link = span.links.add(trace_id=span.trace_id, span_id=span.span_id)
    link.attributes.add(key="why", string_value=TEXT)
    return span


def refused(rng: random.Random) -> common_pb2.Span:
    """Returns a span that is rejected, with personal data where it is wrong."""
    span = make_span(rng, name=TEXT * 20)
    span.parent_span_id = EMAIL
    return span


def otlp_json(span: common_pb2.Span) -> bytes:
    """Returns one OTLP span with personal data."""
    attributes = {
        "gen_ai.input.messages": json.dumps(
            [{"role": "user", "parts": [{"type": "text", "content": TEXT}]}]
        ),
        "output.value": TEXT,
        "user.id": EMAIL,
        EMAIL: EMAIL,
    }
    return json.dumps(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": [text_attribute("service.name", EMAIL)]},
                    "scopeSpans": [
                        {
                            "scope": {"name": EMAIL},
                            "spans": [
                                {
                                    "traceId": span.trace_id,
                                    "spanId": span.span_id,
                                    "name": f"mail {EMAIL}",
                                    "startTimeUnixNano": str(span.start_time.ToNanoseconds()),
                                    "endTimeUnixNano": str(span.end_time.ToNanoseconds()),
                                    "status": {"code": 2, "message": TEXT},
                                    "attributes": [
                                        text_attribute(k, v) for k, v in attributes.items()
                                    ],
                                }
                            ],
                        }
                    ],
                }
            ]
        }
    ).encode()


def text_attribute(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


async def everything_in_tables(url: str) -> str:
    """Returns all rows of all tables as text."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT quote_ident(table_name) AS name FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        rows = [
            str(row[0])
            for table in tables
            for row in await connection.fetch(f"SELECT t::text FROM {table['name']} AS t")
        ]
    finally:
        await connection.close()
    return "\n".join(rows)


def post(serving: Serving, body: bytes) -> str:
    request = urllib.request.Request(
        f"http://{serving.http}/v1/traces",
        body,
        {"content-type": "application/json", "authorization": f"Bearer {serving.key}"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return str(response.read().decode())


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


QUARANTINE = """
ALTER TABLE traces ADD CONSTRAINT planted CHECK (machine <> 'quarantine-me')
"""


@pytest.mark.timeout(300)
async def test_planted_personal_data_is_nowhere(guarded: Serving) -> None:
    rng = random.Random(5)
    seen: list[str] = []
    connection = await asyncpg.connect(guarded.database_url)
    await connection.execute(QUARANTINE)
    await connection.close()
    with Bartizan(api_key=guarded.key, endpoint=guarded.grpc) as client:
        span, other = planted(rng), planted(rng)
        aside = planted(rng)
        aside.machine = "quarantine-me"
        ack = client.export([span, refused(rng), other, aside], want_verdicts=True)
        assert (ack.stored, len(ack.rejected), ack.quarantined) == (2, 1, 1)
        seen.append(str(ack))
        seen.append(post(guarded, otlp_json(make_span(rng))))
        with client.stream(EMAIL, want_verdicts=True) as stream:
            seen.append(str(stream.send([planted(rng)]).result(30)))
        traces = list(client.list_traces())
        assert len(traces) == 4
        seen.extend(str(client.get_trace(trace.trace_id)) for trace in traces)
        seen.extend(str(session) for session in client.list_sessions())
    seen.append(guarded.get("/metrics")[1])
    seen.append(guarded.log_file.read_text())
    tables = await everything_in_tables(guarded.database_url)
    assert "EMAIL_ADDRESS" in tables, "something was redacted"
    seen.append(tables)
    assert guarded.stop() == 0
    for secret in SECRETS:
        assert not [text for text in seen if secret in text], secret
        raw = secret.encode()
        assert not [path for path in files_under(guarded.data_dir) if raw in path.read_bytes()]
