"""Turns spans of the native contract into span records. The hot path of the native doors."""

from collections.abc import Iterator, Sequence

import orjson

from bartizan.server.ingest import checks
from bartizan.server.ingest.batch import Refused
from bartizan.server.ingest.checks import MAX_TOKENS, MIN_START_NS, Reason, Rejection
from bartizan.server.ingest.span import (
    NANOS,
    Dims,
    Event,
    Json,
    Link,
    Message,
    SpanRecord,
)
from bartizan.v1 import common_pb2

SLICE = 256
"""How many spans are turned between two looks at the event loop: a few milliseconds of work."""
MAX_KNOWN_DIMS = 10_000

MAX_TEXT = 64 * 1024 * 1024
"""No text can be longer than a message."""
LONG_NS = 3600 * NANOS
"""Spans that are longer, or run ahead of our clock, get the full check of their times."""
NO_USAGE = (0, 0, 0, 0, 0)
NO_COST = (0, None, "", 0, "")

new_record = tuple.__new__
_ZERO_IDS = (bytes(8), bytes(16))
_DIM_FIELDS = (
    "agent", "environment", "model", "provider", "machine", "workspace", "tool_name", "error_type",
)  # fmt: skip


class NativeConverter:
    """Converts native spans. Keeps the dimension tuples it has checked before."""

    def __init__(self) -> None:
        self._dims: dict[tuple[str | int, ...], Dims] = {}
        self._tags: dict[tuple[str, ...], list[str]] = {}

    def slices(
        self, spans: Sequence[common_pb2.Span], now_ns: int
    ) -> Iterator[tuple[list[SpanRecord], list[int], list[Refused]]]:
        """Yields records, their places in `spans`, and refusals, a slice of spans at a time."""
        for first in range(0, len(spans), SLICE):
            records: list[SpanRecord] = []
            indexes: list[int] = []
            refused: list[Refused] = []
            for index, span in enumerate(spans[first : first + SLICE], first):
                try:
                    records.append(self.record(span, now_ns))
                    indexes.append(index)
                except Rejection as error:
                    refused.append(Refused(index, error.reason, error.field, error.detail))
            yield records, indexes, refused

    def record(self, span: common_pb2.Span, now_ns: int) -> SpanRecord:
        """Returns the record of one span; raises Rejection."""
        trace_id = _id(span.trace_id, 16, "trace_id")
        span_id = _id(span.span_id, 8, "span_id")
        parent = span.parent_span_id
        time = span.start_time
        start_ns = time.seconds * NANOS + time.nanos
        time = span.end_time
        end_ns = time.seconds * NANOS + time.nanos
        if not (MIN_START_NS <= start_ns <= end_ns <= now_ns) or end_ns - start_ns > LONG_NS:
            checks.check_times(start_ns, end_ns, now_ns)
        input_tokens, output_tokens, cache_read, cache_write, reasoning = (
            _usage(span.usage) if span.HasField("usage") else NO_USAGE
        )
        nano_usd, amount, currency, source, price_table = (
            _cost(span.cost) if span.HasField("cost") else NO_COST
        )
        tags = span.tags
        attributes = span.attributes
        events = span.events
        links = span.links
        # Past the named tuple's own constructor, which costs as much again as the tuple.
        return new_record(
            SpanRecord,
            (
                trace_id,
                span_id,
                _id(parent, 8, "parent_span_id") if parent else b"",
                start_ns,
                end_ns,
                _text(span.name, "name", 256),
                self._dims_of(span),
                _text(span.user_id, "user_id", 256),
                _text(span.session_id, "session_id", 256),
                _text(span.status_message, "status_message"),
                self._tags_of(tags) if tags else [],
                input_tokens,
                output_tokens,
                cache_read,
                cache_write,
                reasoning,
                nano_usd,
                amount,
                currency,
                source,
                price_table,
                _first_token(span.time_to_first_token_ns),
                _messages(span.input, "input", common_pb2.ROLE_USER),
                _messages(span.output, "output", common_pb2.ROLE_ASSISTANT),
                _attributes(attributes, "attributes", checks.MAX_ATTRIBUTES) if attributes else {},
                _events(events) if events else [],
                _links(links) if links else [],
            ),
        )

    def _tags_of(self, tags: Sequence[str]) -> list[str]:
        key = tuple(tags[:])
        known = self._tags.get(key)
        if known is None:
            if len(self._tags) >= MAX_KNOWN_DIMS:
                self._tags.clear()
            known = self._tags[key] = checks.clean_tags(key)
        return known

    def _dims_of(self, span: common_pb2.Span) -> Dims:
        key = (
            span.agent, span.environment, span.model, span.provider, span.machine, span.workspace,
            span.tool_name, span.error_type, span.kind, span.status,
        )  # fmt: skip
        known = self._dims.get(key)
        return known if known is not None else self._check_dims(key)

    def _check_dims(self, key: tuple[str | int, ...]) -> Dims:
        dims = Dims(*key)  # type: ignore[arg-type]
        for field in _DIM_FIELDS:
            checks.check_text(getattr(dims, field), field, checks.MAX_LENGTH[field])
        checks.known(dims.kind, common_pb2.SpanKind, "kind")
        checks.known(dims.status, common_pb2.StatusCode, "status")
        if len(self._dims) >= MAX_KNOWN_DIMS:
            self._dims.clear()
        self._dims[key] = dims
        return dims


def _id(value: str, size: int, field: str) -> bytes:
    # fromhex passes over white space, which the length of the result gives away.
    if len(value) == size * 2:
        try:
            raw = bytes.fromhex(value)
        except ValueError:
            raw = b""
        if len(raw) == size and raw not in _ZERO_IDS:
            return raw
    return checks.parse_id(value, size, field)


def _text(value: str, field: str, limit: int = MAX_TEXT) -> str:
    # What protobuf has parsed is valid Unicode: only the length and NUL are left to check.
    if len(value) > limit or "\0" in value:
        checks.check_text(value, field, limit)
    return value


def _usage(usage: common_pb2.TokenUsage) -> tuple[int, int, int, int, int]:
    total_in, total_out = usage.input, usage.output
    cache_read, cache_write, reasoning = usage.cache_read, usage.cache_write, usage.reasoning
    if not (
        0 <= cache_read <= total_in <= MAX_TOKENS
        and 0 <= cache_write <= total_in
        and 0 <= reasoning <= total_out <= MAX_TOKENS
    ):
        checks.check_tokens(total_in, "usage.input")
        checks.check_tokens(total_out, "usage.output")
        checks.check_subset(cache_read, total_in, "usage.cache_read")
        checks.check_subset(cache_write, total_in, "usage.cache_write")
        checks.check_subset(reasoning, total_out, "usage.reasoning")
    return total_in, total_out, cache_read, cache_write, reasoning


def _cost(cost: common_pb2.Cost) -> tuple[int, float, str, int, str]:
    amount, currency, source = cost.amount, cost.currency, cost.source
    if not 0 <= amount <= checks.MAX_COST:
        checks.check_cost(amount, "cost.amount")
    if not 0 <= source <= common_pb2.COST_SOURCE_LOCAL:
        checks.known(source, common_pb2.CostSource, "cost.source")
    if currency and not (len(currency) == 3 and currency.isascii() and currency.isupper()):
        raise Rejection(Reason.REJECT_REASON_MALFORMED, "cost.currency", "must be an ISO 4217 code")
    return (
        checks.nano_usd(amount, currency),
        amount,
        currency,
        source,
        _text(cost.price_table, "cost.price_table", 64),
    )


def _first_token(value: int) -> int:
    if not 0 <= value <= checks.MAX_DURATION_NS:
        raise Rejection(
            Reason.REJECT_REASON_OUT_OF_RANGE, "time_to_first_token_ns", "must be 0 to 30 days"
        )
    return value


def _messages(
    messages: Sequence[common_pb2.Message], field: str, default_role: int
) -> list[Message]:
    result: list[Message] = []
    # A slice is a list, and three times as fast to go through as the field itself.
    for message in messages[:]:
        role, content = message.role, message.content
        name, call_id, mime_type = message.name, message.tool_call_id, message.mime_type
        if not 0 <= role <= common_pb2.ROLE_RETRIEVED or "\0" in content:
            _refuse_message(role, content, f"{field}[{len(result)}]")
        if name or call_id or mime_type:
            path = f"{field}[{len(result)}]"
            _text(name, f"{path}.name", 256)
            _text(call_id, f"{path}.tool_call_id", 256)
            _text(mime_type, f"{path}.mime_type", 128)
        result.append(
            new_record(Message, (role or default_role, content, name, call_id, mime_type, False))
        )
    if len(result) > checks.MAX_MESSAGES:
        checks.check_count(len(result), checks.MAX_MESSAGES, field)
    return result


def _refuse_message(role: int, content: str, path: str) -> None:
    checks.known(role, common_pb2.Role, f"{path}.role")
    checks.check_text(content, f"{path}.content")


def _attributes(
    attributes: Sequence[common_pb2.Attribute], field: str, limit: int
) -> dict[str, Json]:
    checks.check_count(len(attributes), limit, field)
    result: dict[str, Json] = {}
    for index, attribute in enumerate(attributes):
        key = checks.check_text(attribute.key, f"{field}[{index}].key", 256)
        result[key] = _value(attribute, f"{field}[{index}]")
    return result


def _value(attribute: common_pb2.Attribute, field: str) -> Json:
    which = attribute.WhichOneof("value")
    if which is None:
        return None
    value: Json = getattr(attribute, which)
    if which == "json_value":
        value = _json(attribute.json_value, f"{field}.{which}")
    return checks.check_json(value, f"{field}.{which}")


def _json(text: str, field: str) -> Json:
    try:
        value: Json = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Rejection(Reason.REJECT_REASON_MALFORMED, field, "is not valid JSON") from None
    return value


def _events(events: Sequence[common_pb2.SpanEvent]) -> list[Event]:
    checks.check_count(len(events), checks.MAX_EVENTS, "events")
    result = []
    for index, event in enumerate(events):
        field = f"events[{index}]"
        if not event.name:
            raise Rejection(Reason.REJECT_REASON_MISSING, f"{field}.name", "is required")
        time_ns = event.time.seconds * NANOS + event.time.nanos
        if not 0 <= time_ns < 2**63:
            raise Rejection(Reason.REJECT_REASON_OUT_OF_RANGE, f"{field}.time", "is out of range")
        result.append(
            Event(
                checks.check_text(event.name, f"{field}.name", 256),
                time_ns,
                _attributes(event.attributes, f"{field}.attributes", checks.MAX_PART_ATTRIBUTES),
            )
        )
    return result


def _links(links: Sequence[common_pb2.SpanLink]) -> list[Link]:
    checks.check_count(len(links), checks.MAX_LINKS, "links")
    return [
        Link(
            _id(link.trace_id, 16, f"links[{index}].trace_id"),
            _id(link.span_id, 8, f"links[{index}].span_id"),
            _attributes(link.attributes, f"links[{index}].attributes", checks.MAX_PART_ATTRIBUTES),
        )
        for index, link in enumerate(links)
    ]
