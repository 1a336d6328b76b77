"""Turns span records into rows of PostgreSQL's binary COPY format.

Written by hand because it is the hottest loop: a driver that encodes column by column takes 3 µs a
row, this 1. The order of the columns is SPAN_COLUMNS and PAYLOAD_COLUMNS. Format: PostgreSQL
documentation, "COPY", section "Binary Format".
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import Any

import orjson

from bartizan.server.ingest.span import ROLE_NAMES, Dims, Event, Json, Link, Message, SpanRecord
from bartizan.server.ingest.summary import TOTALS, TraceDelta, TraceKey

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
PG_EPOCH_US = 946_684_800_000_000
"""2000-01-01 in microseconds since 1970: where PostgreSQL's timestamps begin."""

SPAN_COLUMNS = (
    "project_id", "trace_id", "span_id", "parent_span_id", "start_time", "start_nanos",
    "duration_ns", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "reasoning_tokens", "first_token_ns", "finding_count", "ingest_time", "cost_nano_usd",
    "kind", "status", "agent", "environment", "model", "provider", "machine", "workspace",
    "tool_name", "error_type", "name", "user_id", "session_id", "tags",
)  # fmt: skip
PAYLOAD_COLUMNS = (
    "project_id", "trace_id", "span_id", "start_time",
    "input", "output", "attributes", "events", "links", "extra",
)  # fmt: skip

MAX_KNOWN = 10_000
"""Blocks kept encoded: a few hundred bytes each."""
KEPT_PART = 16 * 1024
"""How much of a text that is too long is kept at each end, in characters."""

_span_start = struct.Struct(">hii i16s i8s i8s iq ih iq ii ii ii ii ii iq ih iq".replace(" ", ""))
_cost = struct.Struct(">iq")
_payload_start = struct.Struct(">hii i16s i8s iq".replace(" ", ""))
_trace_start = struct.Struct(">hii i16s iq iq i? ih".replace(" ", ""))
_trace_totals = struct.Struct(">" + "iq" * len(TOTALS))
_int2_pair = struct.Struct(">ihih")
_int4 = struct.Struct(">i").pack
_NULL = _int4(-1)
_NO_PARENT = bytes(8)
NO_TEXTS = _int4(12) + struct.pack(">iii", 0, 0, 25)
_NULL_PARTS = _NULL * 6
_TEXT_OID = 25


class Encoder:
    """Encodes rows. Keeps what repeats (dimensions, names) encoded from before."""

    def __init__(self, max_field_chars: int) -> None:
        self._max_field = max_field_chars
        self._dims: dict[Dims, bytes] = {}
        self._texts: dict[str, bytes] = {}

    def span_row(self, record: SpanRecord, project_id: int, findings: int, ingest_us: int) -> bytes:
        """Returns one row of `spans`; `ingest_us` is microseconds since 2000."""
        start_us, start_nanos = divmod(record.start_ns, 1000)
        dims = self._dims.get(record.dims) or self._encode_dims(record.dims)
        name = self._texts.get(record.name) or self._encode_text(record.name)
        user = record.user_id.encode()
        session = record.session_id.encode()
        known_cost = record.cost_amount is not None and record.cost_currency in ("", "USD")
        return b"".join(
            (
                _span_start.pack(
                    30,
                    4, project_id,
                    16, record.trace_id,
                    8, record.span_id,
                    8, record.parent_span_id or _NO_PARENT,
                    8, start_us - PG_EPOCH_US,
                    2, start_nanos,
                    8, record.end_ns - record.start_ns,
                    4, record.input_tokens,
                    4, record.output_tokens,
                    4, record.cache_read_tokens,
                    4, record.cache_write_tokens,
                    4, record.reasoning_tokens,
                    8, record.first_token_ns,
                    2, findings,
                    8, ingest_us,
                ),
                _cost.pack(8, record.cost_nano_usd) if known_cost else _NULL,
                dims,
                name,
                _int4(len(user)),
                user,
                _int4(len(session)),
                session,
                text_array(record.tags) if record.tags else NO_TEXTS,
            )
        )  # fmt: skip

    def payload_row(self, record: SpanRecord, project_id: int) -> bytes | None:
        """Returns one row of `span_payloads`, or None for a span that has no payload."""
        extra = _extra(record)
        parts = (
            self._messages(record.input) if record.input else _NULL,
            self._messages(record.output) if record.output else _NULL,
            self._json(record.attributes) if record.attributes else _NULL,
            self._json([_event(event) for event in record.events]) if record.events else _NULL,
            self._json([_link(link) for link in record.links]) if record.links else _NULL,
            self._json(extra) if extra else _NULL,
        )
        body = b"".join(parts)
        if body == _NULL_PARTS:
            return None
        start = _payload_start.pack(
            10,
            4, project_id,
            16, record.trace_id,
            8, record.span_id,
            8, record.start_ns // 1000 - PG_EPOCH_US,
        )  # fmt: skip
        return start + body

    def _encode_dims(self, dims: Dims) -> bytes:
        texts = (dims.agent, dims.environment, dims.model, dims.provider, dims.machine,
                 dims.workspace, dims.tool_name, dims.error_type)  # fmt: skip
        block = _int2_pair.pack(2, dims.kind, 2, dims.status) + b"".join(map(field, texts))
        return _keep(self._dims, dims, block)

    def _encode_text(self, text: str) -> bytes:
        return _keep(self._texts, text, field(text))

    def _messages(self, messages: list[Message]) -> bytes:
        return _sized(orjson.dumps([self._message(message) for message in messages]))

    def _message(self, message: Message) -> dict[str, Json]:
        role, content, name, call_id, mime_type, _ = message
        truncated = len(content) > self._max_field
        document: dict[str, Json] = {
            "role": ROLE_NAMES[role],
            "content": shorten(content) if truncated else content,
        }
        if name:
            document["name"] = name
        if call_id:
            document["tool_call_id"] = call_id
        if mime_type:
            document["mime_type"] = mime_type
        if truncated:
            document["truncated"] = True
        return document

    def _json(self, value: Any) -> bytes:
        body = orjson.dumps(value)
        if len(body) > self._max_field:
            body = orjson.dumps(_shorten_leaves(value, self._max_field))
        return _sized(body)


def trace_row(key: TraceKey, delta: TraceDelta) -> bytes:
    """Returns one row of `trace_deltas`, in the order of `writing_sql.TRACE_COLUMNS`."""
    project_id, trace_id = key
    totals = delta.values()
    start = _trace_start.pack(
        25,
        4, project_id,
        16, trace_id,
        8, timestamp(delta.start_ns),
        8, timestamp(delta.end_ns),
        1, delta.root_status >= 0,
        2, max(delta.root_status, 0),
    )  # fmt: skip
    dims = delta.dims
    texts = (delta.display_name, delta.user_id, delta.session_id, dims.environment, dims.machine,
             dims.workspace)  # fmt: skip
    lists = (delta.agents, delta.models, delta.tags, delta.categories)
    return b"".join(
        (
            start,
            _trace_totals.pack(*(part for total in totals for part in (8, total))),
            *map(field, texts),
            *(text_array(sorted(values)) for values in lists),
        )
    )


def shorten(text: str) -> str:
    """Returns the head and the tail of a long text, with its length and hash between them."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    marker = f"\n[truncated: {len(text)} characters, sha256 {digest}]\n"
    return text[:KEPT_PART] + marker + text[-KEPT_PART:]


def timestamp(ns: int) -> int:
    """Returns nanoseconds since 1970 as PostgreSQL's binary timestamptz."""
    return ns // 1000 - PG_EPOCH_US


def _shorten_leaves(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return shorten(value) if len(value) > limit else value
    if isinstance(value, dict):
        return {key: _shorten_leaves(item, limit) for key, item in value.items()}
    if isinstance(value, list):
        return [_shorten_leaves(item, limit) for item in value]
    return value


def _extra(record: SpanRecord) -> dict[str, Json]:
    """Returns what has no column: rare, so it costs nothing where it is absent."""
    extra: dict[str, Json] = {}
    if record.status_message:
        extra["status_message"] = record.status_message
    if record.cost_source or record.price_table or record.cost_currency not in ("", "USD"):
        extra["cost"] = {
            "amount": record.cost_amount,
            "currency": record.cost_currency,
            "source": record.cost_source,
            "price_table": record.price_table,
        }
    return extra


def _event(event: Event) -> dict[str, Json]:
    return {"name": event.name, "time_ns": event.time_ns, "attributes": event.attributes}


def _link(link: Link) -> dict[str, Json]:
    return {
        "trace_id": link.trace_id.hex(),
        "span_id": link.span_id.hex(),
        "attributes": link.attributes,
    }


def text_array(texts: Sequence[str]) -> bytes:
    """Returns a field of type text[]."""
    if not texts:
        return NO_TEXTS
    items = b"".join(map(field, texts))
    return _sized(struct.pack(">iiiii", 1, 0, _TEXT_OID, len(texts), 1) + items)


def field(text: str) -> bytes:
    """Returns a field of type text."""
    return _sized(text.encode())


def _sized(body: bytes) -> bytes:
    return _int4(len(body)) + body


def _keep(known: dict[Any, bytes], key: object, block: bytes) -> bytes:
    if len(known) >= MAX_KNOWN:
        known.clear()
    known[key] = block
    return block
