"""Turns spans of OTLP into span records. The hot path of the OpenTelemetry doors."""

from collections.abc import Sequence
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
    OTHER,
    Read,
    decoded,
    filed,
    located,
    pairs,
    read,
)
from bartizan.server.ingest.semconv.content import Chooser, choose_plain
from bartizan.server.ingest.semconv.table import (
    AGENT,
    DIMS,
    ENTITY_NAME,
    ENTITY_RANK,
    ERROR_TYPE,
    FIRST_TOKEN,
    KIND,
    MODEL,
    SESSION_ID,
    STATUS,
    TAGS,
    TOOL_NAME,
    USER_ID,
)
from bartizan.server.ingest.semconv.usage import settle_cost, settle_usage
from bartizan.server.ingest.span import NANOS, Dims, Event, Json, Link, SpanRecord
from bartizan.v1 import common_pb2

MAX_RAW_ATTRIBUTES = 8_192
"""Before mapping. Flattened messages take several attributes each."""
MAX_RAW_EVENTS = checks.MAX_EVENTS + checks.MAX_MESSAGES
"""Before those that carry messages are taken out."""
MAX_KNOWN_BYTES = 128
"""Attributes longer than this are hardly ever met again, so their reading is not kept."""
MAX_KNOWN = 4_096
MAX_EVENT_NAME = 256
LONG_NS = 3600 * NANOS
"""Spans that are longer, or run ahead of our clock, get the full check of their times."""

_new = tuple.__new__
_OTEL_KINDS = ("", "", "server", "client", "producer", "consumer")
"""By number. Nothing is said of UNSPECIFIED and INTERNAL, which SDKs send by default."""
_LLM = common_pb2.SPAN_KIND_LLM
_TOOL = common_pb2.SPAN_KIND_TOOL
_ENTITIES: dict[int, int] = {common_pb2.SPAN_KIND_AGENT: AGENT, _TOOL: TOOL_NAME}
_MAX_NAME = MAX_LENGTH["name"]
_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)


class SpanReader:
    """Reads the spans of one request. Keeps what repeats from span to span."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns
        self._known: dict[bytes, Read] = {}
        self._dims: dict[tuple[Any, ...], Dims] = {}

    def record(self, span: Any, origin: Origin) -> SpanRecord:
        """Returns the record of one span; raises Rejection."""
        trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
        if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
            checks.check_id(trace_id, 16, "trace_id")
            checks.check_id(span_id, 8, "span_id")
        start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
        if not MIN_START_NS <= start_ns <= end_ns <= self._now_ns or end_ns - start_ns > LONG_NS:
            checks.check_times(start_ns, end_ns, self._now_ns)
        values, attributes = origin.values.copy(), origin.attributes.copy()
        content: dict[str, Json] = {}
        flat: dict[str, Json] = {}
        reads = self._read_attributes(span, origin, values, attributes, content, flat)
        name, status_message = self._read_rest(span, values, attributes)
        if ENTITY_NAME in content and values[KIND] in _ENTITIES:
            place(_entity(values[KIND], content), values, reads, attributes)
        events = self._events(span.events, start_ns, values) if span.events else []
        chosen = None if flat or events else choose_plain(content, attributes)
        if chosen is None:
            chooser = Chooser(content, flat, attributes, events)
            chosen = chooser.choose(values)
            events = chooser.events
        usage = settle_usage(values, reads, attributes)
        cost = settle_cost(values, reads)
        if len(attributes) > MAX_ATTRIBUTES:
            checks.check_count(len(attributes), MAX_ATTRIBUTES, "attributes")
        links = span.links
        # Past the named tuple's own constructor, which costs as much again as the tuple.
        return _new(SpanRecord, (
            trace_id, span_id, _parent(parent_id) if parent_id else b"", start_ns, end_ns, name,
            self._dims_of(tuple(values[DIMS])), values[USER_ID], values[SESSION_ID],
            status_message, values[TAGS] or [], *usage, *cost, "", values[FIRST_TOKEN],
            *chosen, attributes, events, _links(links) if links else [],
        ))  # fmt: skip

    def _read_attributes(
        self,
        span: Any,
        origin: Origin,
        values: list[Any],
        attributes: dict[str, Json],
        content: dict[str, Json],
        flat: dict[str, Json],
    ) -> list[Read | None]:
        reads = origin.reads.copy()
        known = self._known.get
        raws = span.attributes
        checks.check_count(len(raws), MAX_RAW_ATTRIBUTES, "attributes")
        for raw in raws:
            found = known(raw) or self._read(raw, span)
            field = found[0]
            if field >= 0:
                if reads[field] is None and found[4]:
                    values[field] = found[2]
                    reads[field] = found
                else:
                    place(found, values, reads, attributes)
            elif field == OTHER:
                attributes[found[1]] = found[2]
            elif field == IN_CONTENT:
                content[found[1]] = found[2]
            else:
                flat[found[1]] = found[2]
        return reads

    def _read(self, raw: bytes, span: Any) -> Read:
        try:
            found = read(raw)
        except Rejection as error:
            raise located(error, f"attributes[{list(span.attributes).index(raw)}]") from None
        if len(raw) <= MAX_KNOWN_BYTES:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[raw] = found
        return found

    def _read_rest(
        self, span: Any, values: list[Any], attributes: dict[str, Json]
    ) -> tuple[str, str]:
        """Reads name, status and what else OTLP has of its own."""
        otel_kind, status = span.kind, span.status
        code, message = status.code, status.message
        if otel_kind > 1 or otel_kind < 0:
            attributes["otel.span.kind"] = _otel_kind(otel_kind)
        if span.trace_state:
            attributes["otel.trace_state"] = decoded(span.trace_state, "trace_state")
        if span.dropped_attributes_count:
            attributes["otel.dropped_attributes_count"] = span.dropped_attributes_count
        if code:
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

    def _dims_of(self, key: tuple[Any, ...]) -> Dims:
        known = self._dims.get(key)
        if known is None:
            if len(self._dims) >= MAX_KNOWN:
                self._dims.clear()
            known = self._dims[key] = Dims(*key)
        return known

    def _events(self, events: Sequence[Any], start_ns: int, values: list[Any]) -> list[Event]:
        checks.check_count(len(events), MAX_RAW_EVENTS, "events")
        result = []
        for index, event in enumerate(events):
            path = f"events[{index}]"
            time_ns = event.time_unix_nano or start_ns
            if time_ns >= 2**63:
                raise Rejection(
                    Reason.REJECT_REASON_OUT_OF_RANGE, f"{path}.time", "is out of range"
                )
            attributes = pairs(event.attributes, f"{path}.attributes", MAX_PART_ATTRIBUTES)
            name = decoded(event.name, f"{path}.name")
            if len(name) > MAX_EVENT_NAME:
                attributes["otel.event.name"] = name
            result.append(Event(name[:MAX_EVENT_NAME], time_ns, attributes))
            if name == "exception" and not values[ERROR_TYPE]:
                values[ERROR_TYPE] = _error_type(attributes)
        return result


def _entity(kind: int, content: dict[str, Json]) -> Read:
    # An AGENT is better known by its own name than by that of the service it runs in.
    return filed(ENTITY_NAME, _ENTITIES[kind], ENTITY_RANK, content.pop(ENTITY_NAME))


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
