"""Turns spans of OTLP into span records. The hot path of the OpenTelemetry doors."""

from collections.abc import Sequence
from typing import Any

from bartizan.server.ingest import checks
from bartizan.server.ingest.checks import (
    MAX_LENGTH,
    MAX_PART_ATTRIBUTES,
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
    located,
    pairs,
    read,
)
from bartizan.server.ingest.semconv.content import Chooser
from bartizan.server.ingest.semconv.table import (
    AGENT,
    COST,
    ENTITY_NAME,
    ENVIRONMENT,
    ERROR_TYPE,
    FIRST_TOKEN,
    KIND,
    MACHINE,
    MODEL,
    PROVIDER,
    ROWS,
    SESSION_ID,
    TAGS,
    TOOL_NAME,
    TOTAL_TOKENS,
    USER_ID,
    WORKSPACE,
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
MAX_EVENT_NAME = 256
LONG_NS = 3600 * NANOS
"""Spans that are longer, or run ahead of our clock, get the full check of their times."""

_new = tuple.__new__
_OTEL_KINDS = ("", "", "server", "client", "producer", "consumer")
"""By number. Nothing is said of UNSPECIFIED and INTERNAL, which SDKs send by default."""
_LLM = common_pb2.SPAN_KIND_LLM
_TOOL = common_pb2.SPAN_KIND_TOOL
_AGENT = common_pb2.SPAN_KIND_AGENT
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
        trace_id, span_id = span.trace_id, span.span_id
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
        name = _text(span.name, "name", MAX_LENGTH["name"], attributes, "otel.span.name")
        status_message = self._read_rest(span, attributes)
        events = self._events(span.events, start_ns) if span.events else []
        kind = values[KIND] or _guessed_kind(values)
        if ENTITY_NAME in content:
            _name_entity(kind, values, content)
        chooser = Chooser(content, flat, attributes, events)
        messages_in, messages_out = chooser.choose(kind, values[TOOL_NAME] or "")
        events = chooser.events
        attributes.update(content)
        attributes.update(flat)
        checks.check_count(len(attributes), checks.MAX_ATTRIBUTES, "attributes")
        checks.check_count(len(events), checks.MAX_EVENTS, "events")
        return _new(
            SpanRecord,
            (
                trace_id,
                span_id,
                _parent(span.parent_span_id),
                start_ns,
                end_ns,
                name,
                self._dims_of(values, events, kind, span.status.code),
                values[USER_ID] or "",
                values[SESSION_ID] or "",
                status_message,
                values[TAGS] or [],
                *_usage(values, reads, attributes),
                *_cost(values, reads),
                "",
                values[FIRST_TOKEN] or 0,
                messages_in,
                messages_out,
                attributes,
                events,
                _links(span.links) if span.links else [],
            ),
        )

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
        known = self._known
        checks.check_count(len(span.attributes), MAX_RAW_ATTRIBUTES, "attributes")
        for raw in span.attributes:
            found = (known.get(raw) if len(raw) <= MAX_KNOWN_BYTES else None) or self._read(
                raw, span
            )
            field = found[0]
            if field >= 0:
                if values[field] is None and found[4]:
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
            self._known[raw] = found
        return found

    def _read_rest(self, span: Any, attributes: dict[str, Json]) -> str:
        otel_kind = span.kind
        if not 0 <= otel_kind < len(_OTEL_KINDS):
            raise Rejection(
                Reason.REJECT_REASON_UNKNOWN_ENUM, "kind", f"the value {otel_kind} is not known"
            )
        if otel_kind > 1:
            attributes["otel.span.kind"] = _OTEL_KINDS[otel_kind]
        if span.trace_state:
            attributes["otel.trace_state"] = decoded(span.trace_state, "trace_state")
        if span.dropped_attributes_count:
            attributes["otel.dropped_attributes_count"] = span.dropped_attributes_count
        return _text(
            span.status.message,
            "status_message",
            checks.MAX_STATUS_MESSAGE,
            attributes,
            "otel.status_description",
        )

    def _dims_of(self, values: list[Any], events: list[Event], kind: int, status: int) -> Dims:
        key = (
            values[AGENT] or "", values[ENVIRONMENT] or "", values[MODEL] or "",
            values[PROVIDER] or "", values[MACHINE] or "", values[WORKSPACE] or "",
            values[TOOL_NAME] or "", values[ERROR_TYPE] or _error_type(events), kind, status,
        )  # fmt: skip
        dims = self._dims.get(key)
        if dims is None:
            checks.known(status, common_pb2.StatusCode, "status")
            dims = self._dims[key] = Dims(*key)
        return dims

    def _events(self, events: Sequence[Any], start_ns: int) -> list[Event]:
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
        return result


def _usage(
    values: list[Any], reads: list[Read | None], attributes: dict[str, Json]
) -> tuple[int, ...]:
    usage = settle_usage(values)
    total = reads[TOTAL_TOKENS]
    if total is not None and total.value != usage.input + usage.output:
        attributes[total.key] = total.value
    return usage


def _cost(values: list[Any], reads: list[Read | None]) -> tuple[Any, ...]:
    amount = reads[COST]
    return settle_cost(values, amount.key if amount is not None else "")


def _guessed_kind(values: list[Any]) -> int:
    """Old instrumentations name no kind, but only model calls have a model."""
    if values[MODEL] is not None:
        return _LLM
    return _TOOL if values[TOOL_NAME] is not None else 0


def _name_entity(kind: int, values: list[Any], content: dict[str, Json]) -> None:
    if kind not in (_AGENT, _TOOL):
        return
    field = AGENT if kind == _AGENT else TOOL_NAME
    if field == TOOL_NAME and values[field] is not None:
        return
    converted = ROWS[field].convert(content[ENTITY_NAME], ENTITY_NAME)
    if converted is not None:
        values[field], whole = converted
        if whole:
            del content[ENTITY_NAME]


def _error_type(events: list[Event]) -> str:
    for event in events:
        if event.name == "exception":
            found = event.attributes.get("exception.type")
            if isinstance(found, str):
                return found[: MAX_LENGTH["error_type"]]
    return ""


def _parent(raw: bytes) -> bytes:
    # Some exporters send eight zero bytes for the parent of a root.
    if not raw or raw == _NO_SPAN:
        return b""
    return checks.check_id(raw, 8, "parent_span_id")


def _text(raw: bytes, field: str, limit: int, attributes: dict[str, Json], whole_key: str) -> str:
    text = decoded(raw, field)
    if len(text) > limit:
        attributes[whole_key] = text
        return text[:limit]
    return text


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
