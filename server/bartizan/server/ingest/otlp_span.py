"""Turns spans of OTLP into span records. The hot path of the OpenTelemetry doors."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from bartizan.server.ingest import checks
from bartizan.server.ingest.checks import (
    MAX_ATTRIBUTES,
    MAX_LENGTH,
    MAX_PART_ATTRIBUTES,
    MAX_STATUS_MESSAGE,
    MIN_START_NS,
    Reason,
    Rejection,
)
from bartizan.server.ingest.otlp_origin import Origin, place
from bartizan.server.ingest.semconv.attributes import (
    IN_CONTENT,
    MAX_KNOWN_BYTES,
    OTHER,
    Read,
    filed,
    known,
    read,
    route_to,
)
from bartizan.server.ingest.semconv.content import Chooser, choose_plain
from bartizan.server.ingest.semconv.decode import decoded, located, pairs
from bartizan.server.ingest.semconv.framed import Framed, framed, unframed
from bartizan.server.ingest.semconv.table import (
    AGENT,
    DIMS,
    ENTITY_NAME,
    ENTITY_RANK,
    ERROR_TYPE,
    FIRST_CHUNK_EVENT,
    FIRST_TOKEN,
    KIND,
    MODEL,
    SESSION_ID,
    STATUS,
    TAGS,
    TOOL_NAME,
    USER_ID,
)
from bartizan.server.ingest.semconv.usage import settle
from bartizan.server.ingest.span import NANOS, Dims, Event, Json, Link, SpanRecord
from bartizan.v1 import common_pb2

MAX_RAW_ATTRIBUTES = 8_192
"""Before mapping. Flattened messages take several attributes each."""
MAX_RAW_EVENTS = checks.MAX_EVENTS + checks.MAX_MESSAGES
"""Before those that carry messages are taken out."""
MAX_KNOWN_DIMS = 10_000
MAX_EVENT_NAME = 256
LONG_NS = 3600 * NANOS
"""Spans that are longer, or run ahead of our clock, get the full check of their times."""

_new = tuple.__new__
_OTEL_KINDS = ("", "", "server", "client", "producer", "consumer")
"""By number. Nothing is said of UNSPECIFIED and INTERNAL, which SDKs send by default."""
_STATUSES = frozenset(common_pb2.StatusCode.values())
_LLM = common_pb2.SPAN_KIND_LLM
_TOOL = common_pb2.SPAN_KIND_TOOL
_ENTITIES: dict[int, int] = {common_pb2.SPAN_KIND_AGENT: AGENT, _TOOL: TOOL_NAME}
_MAX_NAME = MAX_LENGTH["name"]
_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)


def record(span: Any, origin: Origin, now_ns: int) -> SpanRecord:
    """Returns the record of one span; raises Rejection."""
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        checks.check_id(trace_id, 16, "trace_id")
        checks.check_id(span_id, 8, "span_id")
    start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
    if not MIN_START_NS <= start_ns <= end_ns <= now_ns or end_ns - start_ns > LONG_NS:
        checks.check_times(start_ns, end_ns, now_ns)
    values, attributes = origin.values.copy(), origin.attributes.copy()
    reads = origin.reads.copy()
    content: dict[str, Json | Framed] = {}
    flat: dict[str, Json] = {}
    _read_attributes(span.attributes, values, reads, attributes, content, flat)
    name, status_message = _read_rest(span, values, attributes)
    if ENTITY_NAME in content and values[KIND] in _ENTITIES:
        place(_entity(values[KIND], content), values, reads, attributes)
    raw_events, links = span.events, span.links
    events = _events(raw_events, start_ns, values) if raw_events else []
    chosen = None if flat or events else choose_plain(content, attributes)
    if chosen is None:
        chooser = Chooser(unframed(content), flat, attributes, events)
        chosen = chooser.choose(values)
        events = chooser.events
    inputs, outputs = chosen
    usage, cost = settle(values, reads, attributes)
    tokens_in, tokens_out, cache_read, cache_write, reasoning = usage
    nano_usd, amount, currency, cost_source = cost
    if len(attributes) > MAX_ATTRIBUTES:
        checks.check_count(len(attributes), MAX_ATTRIBUTES, "attributes")
    # Past the named tuple's own constructor, which costs as much again as the tuple.
    return _new(SpanRecord, (
        trace_id, span_id, _parent(parent_id) if parent_id else b"", start_ns, end_ns, name,
        _dims_of(tuple(values[DIMS])), values[USER_ID], values[SESSION_ID],
        status_message, values[TAGS] or [], tokens_in, tokens_out, cache_read, cache_write,
        reasoning, nano_usd, amount, currency, cost_source, "", values[FIRST_TOKEN], inputs,
        outputs, attributes, events, _links(links) if links else [],
    ))  # fmt: skip


def _read_attributes(
    sent: Sequence[bytes],
    values: list[Any],
    reads: list[Read | None],
    attributes: dict[str, Json],
    content: dict[str, Json | Framed],
    flat: dict[str, Json],
) -> None:
    if len(sent) > MAX_RAW_ATTRIBUTES:
        checks.check_count(len(sent), MAX_RAW_ATTRIBUTES, "attributes")
    # A slice is a list, and faster to go through than the field itself.
    raws = sent[:]
    try:
        for raw in raws:
            found = known(raw) if len(raw) <= MAX_KNOWN_BYTES else framed(raw)
            if found is None:
                found = read(raw)
            field, key, value, _, whole, _ = found
            if field >= 0:
                if whole and reads[field] is None:
                    values[field] = value
                    reads[field] = found
                else:
                    place(found, values, reads, attributes)
            elif field == OTHER:
                attributes[key] = value
            elif field == IN_CONTENT:
                content[key] = value
            else:
                flat[key] = value
    except Rejection as error:
        raise located(error, f"attributes[{raws.index(raw)}]") from None


def _read_rest(span: Any, values: list[Any], attributes: dict[str, Json]) -> tuple[str, str]:
    """Reads name, status and what else OTLP has of its own."""
    otel_kind, status = span.kind, span.status
    code, message = status.code, status.message
    if otel_kind > 1 or otel_kind < 0:
        attributes["otel.span.kind"] = _otel_kind(otel_kind)
    if span.trace_state:
        attributes["otel.trace_state"] = decoded(span.trace_state, "trace_state")
    if span.dropped_attributes_count:
        attributes["otel.dropped_attributes_count"] = span.dropped_attributes_count
    if code not in _STATUSES:
        checks.known(code, common_pb2.StatusCode, "status")
    values[STATUS] = code
    if not values[KIND]:
        values[KIND] = _guessed_kind(values)
    name = decoded(span.name, "name")
    if len(name) > _MAX_NAME:
        name, attributes["otel.span.name"] = name[:_MAX_NAME], name
    text = decoded(message, "status_message") if message else ""
    if len(text) > MAX_STATUS_MESSAGE:
        text, attributes["otel.status_description"] = text[:MAX_STATUS_MESSAGE], text
    return name, text


@lru_cache(maxsize=MAX_KNOWN_DIMS)
def _dims_of(key: tuple[Any, ...]) -> Dims:
    return Dims(*key)


def _events(sent: Sequence[Any], start_ns: int, values: list[Any]) -> list[Event]:
    checks.check_count(len(sent), MAX_RAW_EVENTS, "events")
    events = []
    for index, event in enumerate(sent):
        path = f"events[{index}]"
        time_ns = event.time_unix_nano or start_ns
        if time_ns >= 2**63:
            raise Rejection(Reason.REJECT_REASON_OUT_OF_RANGE, f"{path}.time", "is out of range")
        attributes = pairs(event.attributes, f"{path}.attributes", MAX_PART_ATTRIBUTES)
        name = decoded(event.name, f"{path}.name")
        if len(name) > MAX_EVENT_NAME:
            attributes["otel.event.name"] = name
        events.append(Event(name[:MAX_EVENT_NAME], time_ns, attributes))
        if name == "exception" and not values[ERROR_TYPE]:
            values[ERROR_TYPE] = _error_type(attributes)
        elif name == FIRST_CHUNK_EVENT and not values[FIRST_TOKEN]:
            values[FIRST_TOKEN] = max(0, time_ns - start_ns)
    return events


def _entity(kind: int, content: dict[str, Json | Framed]) -> Read:
    # An AGENT is better known by its own name than by that of the service it runs in.
    route = route_to(ENTITY_NAME, _ENTITIES[kind], ENTITY_RANK)
    (name,) = unframed({ENTITY_NAME: content.pop(ENTITY_NAME)}).values()
    return filed(route, name)


def _otel_kind(number: int) -> str:
    if not 0 <= number < len(_OTEL_KINDS):
        raise Rejection(
            Reason.REJECT_REASON_UNKNOWN_ENUM, "kind", f"the value {number} is not known"
        )
    return _OTEL_KINDS[number]


def _guessed_kind(values: list[Any]) -> int:
    """Old instrumentations name no kind, but only model calls have a model."""
    if values[MODEL]:
        return _LLM
    return _TOOL if values[TOOL_NAME] else 0


def _error_type(attributes: dict[str, Json]) -> str:
    found = attributes.get("exception.type")
    return found[: MAX_LENGTH["error_type"]] if isinstance(found, str) else ""


def _parent(raw: bytes) -> bytes:
    # Some exporters send eight zero bytes for the parent of a root.
    if raw == _NO_SPAN:
        return b""
    return raw if len(raw) == 8 else checks.check_id(raw, 8, "parent_span_id")


def _links(links: Sequence[Any]) -> list[Link]:
    checks.check_count(len(links), checks.MAX_LINKS, "links")
    return [
        Link(
            checks.check_id(link.trace_id, 16, f"links[{index}].trace_id"),
            checks.check_id(link.span_id, 8, f"links[{index}].span_id"),
            pairs(link.attributes, f"links[{index}].attributes", MAX_PART_ATTRIBUTES),
        )
        for index, link in enumerate(links)
    ]
