"""Rows are what a reader of the COPY format and the database itself make of them."""

import hashlib
import json
import random
import struct
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.database import project_ids

from bartizan.server.ingest import encode
from bartizan.server.ingest.checks import MAX_COST, MAX_DURATION_NS, MAX_LENGTH, MAX_TOKENS
from bartizan.server.ingest.encode import Encoder
from bartizan.server.ingest.span import ROLE_NAMES, Dims, Event, Link, Message, SpanRecord
from bartizan.server.store import writing
from bartizan.server.store.clock import from_ns
from bartizan.server.store.engine import Connection, connect
from bartizan.server.store.partitions import Partitions, weeks_of

NS = 1_000_000_000
START_NS = 1_760_000_000 * NS
NOW_NS = START_NS + 77 * NS + 123_456
MAX_FIELD = 4_096

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ATTRIBUTES = st.dictionaries(TEXT, JSON, max_size=4)
TOKENS = st.integers(0, MAX_TOKENS)
TRACE_IDS = st.binary(min_size=16, max_size=16).filter(any)
SPAN_IDS = st.binary(min_size=8, max_size=8).filter(any)


def short(field: str) -> st.SearchStrategy[str]:
    return TEXT.map(lambda text: text[: MAX_LENGTH[field]])


DIMS = st.builds(
    Dims,
    kind=st.integers(0, 12),
    status=st.integers(0, 2),
    **{name: short(name) for name in Dims._fields[:8]},
)
MESSAGES = st.lists(
    st.builds(
        Message, role=st.sampled_from(sorted(ROLE_NAMES)), content=TEXT, name=TEXT,
        tool_call_id=TEXT, mime_type=TEXT, truncated=st.just(False),
    ),
    max_size=3,
)  # fmt: skip


@st.composite
def records(draw: st.DrawFn) -> SpanRecord:
    start_ns = draw(st.integers(START_NS, START_NS + 13 * 86_400 * NS))
    amount = draw(st.none() | st.floats(0, MAX_COST))
    currency = draw(st.sampled_from(["", "USD", "EUR"]))
    return SpanRecord(
        draw(TRACE_IDS),
        draw(SPAN_IDS),
        draw(st.just(b"") | SPAN_IDS),
        start_ns,
        start_ns + draw(st.integers(0, MAX_DURATION_NS)),
        draw(short("name")),
        draw(DIMS),
        draw(short("user_id")),
        draw(short("session_id")),
        draw(TEXT),
        draw(st.lists(short("tags"), max_size=4)),
        *draw(st.tuples(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)),
        round(amount * NS) if amount is not None and currency != "EUR" else 0,
        amount,
        currency,
        draw(st.integers(0, 2)),
        draw(TEXT),
        draw(st.integers(0, 2**62)),
        draw(MESSAGES),
        draw(MESSAGES),
        draw(ATTRIBUTES),
        draw(st.lists(st.builds(Event, TEXT, st.integers(0, 2**63 - 1), ATTRIBUTES), max_size=2)),
        draw(st.lists(st.builds(Link, TRACE_IDS, SPAN_IDS, ATTRIBUTES), max_size=2)),
    )


def record(**fields: Any) -> SpanRecord:
    """Returns a small record without a payload, changed by the fields."""
    rng = random.Random(str(fields))
    dims = Dims("", "", "", "", "", "", "", "", 0, 0)
    plain = SpanRecord(
        rng.randbytes(16), rng.randbytes(8), b"", START_NS, START_NS + 1, "", dims, "", "", "", [],
        0, 0, 0, 0, 0, 0, None, "", 0, "", 0, [], [], {}, [], [],
    )  # fmt: skip
    return plain._replace(**fields)


def fields_of(row: bytes) -> list[bytes | None]:
    """Reads one row of the COPY format by the letter of PostgreSQL's documentation."""
    (count,) = struct.unpack_from(">h", row)
    place, found = 2, []
    for _ in range(count):
        (size,) = struct.unpack_from(">i", row, place)
        place += 4
        assert size >= -1
        found.append(None if size < 0 else row[place : place + size])
        place += max(size, 0)
    assert place == len(row), "the row is as long as its fields say"
    return found


def payload_of(row: bytes | None) -> dict[str, Any]:
    """Reads the JSON columns of a payload row."""
    assert row is not None
    texts = dict(zip(encode.PAYLOAD_COLUMNS, fields_of(row), strict=True))
    return {
        name: value and json.loads(value)
        for name, value in texts.items()
        if name in encode.PAYLOAD_COLUMNS[4:]
    }


def array_of(body: bytes) -> list[str]:
    """Reads a text[]."""
    dimensions, has_nulls, oid = struct.unpack_from(">iii", body)
    assert (has_nulls, oid) == (0, 25)
    if not dimensions:
        assert len(body) == 12
        return []
    count, lower = struct.unpack_from(">ii", body, 12)
    assert (dimensions, lower) == (1, 1)
    place, texts = 20, []
    for _ in range(count):
        (size,) = struct.unpack_from(">i", body, place)
        texts.append(body[place + 4 : place + 4 + size].decode())
        place += 4 + size
    assert place == len(body)
    return texts


_INT2 = ("start_nanos", "finding_count", "kind", "status")
_INT4 = ("project_id", *(name for name in encode.SPAN_COLUMNS if name.endswith("_tokens")))
_SIZES = dict.fromkeys(_INT2, 2) | dict.fromkeys(_INT4, 4)


@settings(max_examples=50)
@given(records(), st.integers(1, 2**31 - 1), st.integers(0, 2**15 - 1))
def test_every_field_of_a_row_has_the_width_of_its_type(
    span: SpanRecord, project_id: int, findings: int
) -> None:
    row, payload = Encoder(MAX_FIELD).rows(span, project_id, findings, encode.timestamp(NOW_NS))
    columns = dict(zip(encode.SPAN_COLUMNS, fields_of(row), strict=True))
    for name in encode.SPAN_COLUMNS[: encode.SPAN_COLUMNS.index("agent")]:
        value = columns[name]
        if value is None:
            assert name == "cost_nano_usd"
        else:
            assert len(value) == (16 if name == "trace_id" else _SIZES.get(name, 8))
    assert array_of(columns["tags"] or b"") == span.tags
    if payload is not None:
        assert len(fields_of(payload)) == len(encode.PAYLOAD_COLUMNS)


@pytest.fixture(scope="module")
async def connection(database_url: str) -> AsyncIterator[Connection]:
    connection = await connect(database_url)
    week_ns = 7 * 86_400 * NS
    weeks = weeks_of([START_NS, START_NS + week_ns, START_NS + 2 * week_ns])
    await Partitions().ensure(connection, weeks)
    yield connection
    await connection.close()


async def copied(
    connection: Connection, spans: list[SpanRecord], findings: int = 0, max_field: int = MAX_FIELD
) -> list[tuple[asyncpg.Record, asyncpg.Record | None]]:
    """Sends spans through COPY; returns their rows of both tables, as the database has them."""
    project_id, encoder = next(project_ids), Encoder(max_field)
    rows = [encoder.rows(span, project_id, findings, encode.timestamp(NOW_NS)) for span in spans]
    async with connection.transaction():
        await writing.copy_spans(
            connection, [row for row, _ in rows], [row for _, row in rows if row is not None]
        )
    found = []
    for table in ("spans", "span_payloads"):
        by_key = {
            (row["trace_id"].bytes, row["span_id"].to_bytes(8, "big", signed=True)): row
            for row in await connection.fetch(
                f"SELECT * FROM {table} WHERE project_id = $1", project_id
            )
        }
        found.append([by_key.get((span.trace_id, span.span_id)) for span in spans])
    assert None not in found[0]
    return list(zip(*found, strict=True))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(records(), min_size=1, max_size=3, unique_by=lambda span: span.span_id),
    st.integers(0, 2**15 - 1),
)
async def test_what_goes_through_copy_is_in_the_columns(
    connection: Connection, spans: list[SpanRecord], findings: int
) -> None:
    stored = await copied(connection, spans, findings, max_field=65_536)
    for span, (row, payload) in zip(spans, stored, strict=True):
        expected = expected_row(span, findings)
        assert {name: row[name] for name in expected} == expected
        assert set(expected) | {"project_id"} == set(encode.SPAN_COLUMNS) == set(row.keys())
        check_payload(span, payload)


def expected_row(span: SpanRecord, findings: int) -> dict[str, Any]:
    in_dollars = span.cost_amount is not None and span.cost_currency in ("", "USD")
    same = (*encode.SPAN_COLUMNS[7:12], "first_token_ns", "name", "user_id", "session_id", "tags")
    return {
        "trace_id": UUID(bytes=span.trace_id),
        "span_id": int.from_bytes(span.span_id, "big", signed=True),
        "parent_span_id": int.from_bytes(span.parent_span_id or bytes(8), "big", signed=True),
        "start_time": from_ns(span.start_ns),
        "start_nanos": span.start_ns % 1000,
        "duration_ns": span.end_ns - span.start_ns,
        "finding_count": findings,
        "ingest_time": from_ns(NOW_NS),
        "cost_nano_usd": span.cost_nano_usd if in_dollars else None,
        **{name: getattr(span, name) for name in same},
        **span.dims._asdict(),
    }


def check_payload(span: SpanRecord, payload: asyncpg.Record | None) -> None:
    has_cost_details = span.cost_source or span.price_table or span.cost_currency == "EUR"
    parts = (span.input, span.output, span.attributes, span.events, span.links)
    if not any((*parts, span.status_message, has_cost_details)):
        assert payload is None
        return
    assert payload is not None
    read = {
        name: payload[name] and json.loads(payload[name]) for name in encode.PAYLOAD_COLUMNS[4:]
    }
    assert payload["start_time"] == from_ns(span.start_ns)
    for name, messages in (("input", span.input), ("output", span.output)):
        assert (read[name] or []) == list(map(plain, messages))
    assert (read["attributes"] or {}) == span.attributes
    assert (read["events"] or []) == [event._asdict() for event in span.events]
    assert (read["links"] or []) == [
        {
            "trace_id": link.trace_id.hex(),
            "span_id": link.span_id.hex(),
            "attributes": link.attributes,
        }
        for link in span.links
    ]
    extra = read["extra"] or {}
    assert extra.get("status_message", "") == span.status_message
    assert ("cost" in extra) == bool(has_cost_details)


def plain(message: Message) -> dict[str, Any]:
    found = {"role": ROLE_NAMES[message.role], "content": message.content}
    named = {name: getattr(message, name) for name in ("name", "tool_call_id", "mime_type")}
    return found | {name: value for name, value in named.items() if value}


async def test_a_span_of_nothing_has_no_payload(connection: Connection) -> None:
    ((row, payload),) = await copied(connection, [record()])
    assert payload is None
    assert (row["name"], row["tags"], row["cost_nano_usd"], row["agent"]) == ("", [], None, "")


async def test_what_is_free_is_not_what_has_no_price(connection: Connection) -> None:
    free, unknown = record(cost_amount=0.0), record(cost_amount=None, cost_currency="USD")
    euros = record(cost_amount=3.5, cost_currency="EUR")
    stored = await copied(connection, [free, unknown, euros])
    assert [row["cost_nano_usd"] for row, _ in stored] == [0, None, None]
    extra = json.loads(stored[2][1]["extra"])  # type: ignore[index]
    assert extra["cost"] == {"amount": 3.5, "currency": "EUR", "source": 0, "price_table": ""}


async def test_the_longest_values_fit(connection: Connection) -> None:
    wide = "\U0001f9ff"
    dims = Dims._make([*(wide * MAX_LENGTH[name] for name in Dims._fields[:8]), 12, 2])
    span = record(
        dims=dims,
        name=wide * 256,
        user_id=wide * 256,
        session_id=wide * 256,
        tags=[f"{number:03}{wide * 125}" for number in range(32)],
        end_ns=START_NS + MAX_DURATION_NS,
        cost_amount=MAX_COST,
        cost_nano_usd=int(MAX_COST) * NS,
        input_tokens=MAX_TOKENS,
        first_token_ns=2**63 - 1,
    )
    ((row, _),) = await copied(connection, [span], findings=2**15 - 1)
    assert (row["agent"], row["session_id"]) == (wide * 128, wide * 256)
    assert row["tags"] == span.tags
    assert row["cost_nano_usd"] == Decimal(MAX_COST) * NS


@pytest.mark.parametrize("unit", ["a", "\u00e9", "\u4e2d", "\U0001f9ff", '"\\\n\x01'])
async def test_a_long_text_keeps_head_tail_length_and_hash(
    connection: Connection, unit: str
) -> None:
    text = "HEAD" + unit * MAX_FIELD + "TAIL"
    span = record(input=[Message(1, text, name="n"), Message(1, "short")])
    ((_, payload),) = await copied(connection, [span])
    assert payload is not None
    long, short_one = json.loads(payload["input"])
    assert short_one == {"role": "system", "content": "short"}
    assert (long["truncated"], long["name"]) == (True, "n")
    head, marker, tail = long["content"].rpartition("\n[truncated: ")
    length, _, rest = tail.partition(" characters, sha256 ")
    digest, _, end = rest.partition("]\n")
    assert marker
    assert (int(length), digest) == (len(text), hashlib.sha256(text.encode()).hexdigest())
    assert head.startswith("HEAD")
    assert end.endswith("TAIL")
    assert text.startswith(head)
    assert text.endswith(end)
    assert len(head) == len(end) == MAX_FIELD // 8


@pytest.mark.parametrize("unit", ["a", "\u00e9", "\u4e2d", "\U0001f9ff"])
def test_texts_up_to_the_limit_in_bytes_stay_whole(unit: str) -> None:
    encoder, most = Encoder(MAX_FIELD), MAX_FIELD // len(unit.encode())
    whole, cut = (
        payload_of(encoder.rows(record(input=[Message(2, unit * size)]), 1, 0, 0)[1])["input"][0]
        for size in (most, most + 1)
    )
    assert whole == {"role": "user", "content": unit * most}
    assert cut["truncated"] is True


def test_long_leaves_of_json_are_cut_and_their_neighbours_are_not() -> None:
    long = "x" * (MAX_FIELD + 1)
    tree: dict[str, Any] = {"a": [1, {"b": long}], "c": "near", "d": long}
    span = record(
        attributes=tree,
        events=[Event("e", 5, {"long": long, "n": 1})],
        links=[Link(b"\1" * 16, b"\2" * 8, {"long": long})],
    )
    read = payload_of(Encoder(MAX_FIELD).rows(span, 1, 0, 0)[1])
    cut = encode.shorten(long, MAX_FIELD // 8)
    assert read["attributes"] == {"a": [1, {"b": cut}], "c": "near", "d": cut}
    assert read["events"] == [{"name": "e", "time_ns": 5, "attributes": {"long": cut, "n": 1}}]
    assert read["links"][0]["attributes"] == {"long": cut}


def test_a_status_message_is_cut() -> None:
    span = record(status_message="\U0001f9ff" * 8_193)
    read = payload_of(Encoder(65_536).rows(span, 1, 0, 0)[1])
    assert read["extra"] == {"status_message": "\U0001f9ff" * 8_192}


def test_what_is_remembered_is_bounded_and_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encode, "MAX_KNOWN", 3)
    encoder = Encoder(MAX_FIELD)
    for number in (*range(10), *range(10)):
        dims = Dims(f"agent-{number}", "", "", "", "", "", "", "", number % 3, number % 2)
        row = encoder.rows(record(dims=dims, name=f"name-{number}"), 1, 0, 0)[0]
        columns = dict(zip(encode.SPAN_COLUMNS, fields_of(row), strict=True))
        assert columns["agent"] == f"agent-{number}".encode()
        assert columns["name"] == f"name-{number}".encode()
        assert columns["kind"] == struct.pack(">h", number % 3)
    assert len(encoder._dims) <= 3
    assert len(encoder._texts) <= 3


def test_the_texts_of_a_payload_row_can_be_read_back() -> None:
    span = record(input=[Message(2, "\u00e9")], status_message="broken")
    row = Encoder(MAX_FIELD).rows(span, 1, 0, 0)[1]
    assert row is not None
    texts = encode.payload_texts(row)
    assert {name: json.loads(text) for name, text in texts.items()} == {
        "input": [{"role": "user", "content": "\u00e9"}],
        "extra": {"status_message": "broken"},
    }


@given(st.lists(TEXT, max_size=5))
def test_arrays(texts: list[str]) -> None:
    field = encode.text_array(texts)
    assert array_of(field[4:]) == texts
    assert struct.unpack(">i", field[:4])[0] == len(field) - 4
