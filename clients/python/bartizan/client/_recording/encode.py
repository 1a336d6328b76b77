"""From a recorded span to the wire: redacted, cleaned, and cut to what the server takes.

Runs in the background, where it may take its time. What a server would refuse a span for is mended
here, so that a trace is never lost for one odd value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable

from bartizan.client._recording.messages import ROLES, as_json, read_messages
from bartizan.client._recording.span import MAX_ATTRIBUTES, MAX_STATUS_CHARS
from bartizan.v1 import common_pb2

if TYPE_CHECKING:
    from bartizan.client._recording.span import Span

MAX_NAME_CHARS = 256
MAX_TAGS = 32
MAX_TAG_CHARS = 128
MAX_MESSAGES = 1_024
MAX_TOKENS = 10**9
MAX_COST = 1e6
MAX_TABLE_CHARS = 64
FIELD_CHARS = {
    "model": 128,
    "provider": 128,
    "agent": 128,
    "user_id": 256,
    "session_id": 256,
    "environment": 64,
    "machine": 128,
    "workspace": 256,
    "tool_name": 128,
}
KINDS: Mapping[str, common_pb2.SpanKind.ValueType] = {
    name[len("SPAN_KIND_") :].lower(): number for name, number in common_pb2.SpanKind.items()
}
ROLE_NUMBERS: Mapping[str, common_pb2.Role.ValueType] = {
    name[len("ROLE_") :].lower(): number for name, number in common_pb2.Role.items()
}
_INPUT_ROLES = {"tool": "tool_call"}
_OUTPUT_ROLES = {"tool": "tool_result", "retriever": "retrieved", "reranker": "retrieved"}

Clean = Callable[[str], str]


def encode_span(span: Span) -> bytes:
    """Returns the serialized bartizan.v1.Span."""
    clean = cleaner(span.recorder.redact)
    kind = kind_of(span)
    proto = common_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=clean(span.name)[:MAX_NAME_CHARS] or kind,
        kind=KINDS.get(kind, common_pb2.SPAN_KIND_UNSPECIFIED),
        status=common_pb2.STATUS_CODE_ERROR if span.failed else common_pb2.STATUS_CODE_OK,
        status_message=clean(span.status_message)[:MAX_STATUS_CHARS],
        error_type=clean(span.error_type)[:128],
        time_to_first_token_ns=span.first_token_ns,
        tags=_tags(span.tags, clean),
        **_fields(span, kind, clean),  # type: ignore[arg-type]
    )
    _set_time(proto.start_time, span.start_ns)
    _set_time(proto.end_time, span.end_ns)
    _add_messages(proto.input, span.input, _INPUT_ROLES.get(kind, "user"), clean)
    _add_messages(proto.output, span.output, _OUTPUT_ROLES.get(kind, "assistant"), clean)
    add_attributes(proto.attributes, span.attributes, clean)
    _set_numbers(proto, span, clean)
    for name, time_ns, attributes in span.events:
        event = proto.events.add(name=clean(name)[:MAX_NAME_CHARS] or "event")
        _set_time(event.time, time_ns)
        add_attributes(event.attributes, attributes, clean)
    return proto.SerializeToString()


def kind_of(span: Span) -> str:
    """Returns the span's kind, or the one that follows from what is known of it."""
    if span.span_kind:
        return span.span_kind.lower()
    telling = (("model", "llm"), ("tool_name", "tool"), ("agent", "agent"))
    return next((kind for field, kind in telling if span.own.get(field)), "chain")


def cleaner(redact: Clean | None) -> Clean:
    """Returns a function that makes any value a text that may leave and that the server takes."""

    def clean(value: Any) -> str:
        text = value if isinstance(value, str) else str(value)
        if not text:
            return text
        if redact is not None:
            text = redact(text)
        # NUL and lone surrogates would make the server refuse the whole span.
        if "\0" in text:
            text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        return text if text.isascii() else text.encode("utf-8", "replace").decode()

    return clean


def _fields(span: Span, kind: str, clean: Clean) -> dict[str, str]:
    own = {**span.shared, **span.own}
    if kind == "tool":
        own.setdefault("tool_name", span.name)
    return {key: clean(own[key])[:limit] for key, limit in FIELD_CHARS.items() if own.get(key)}


def _tags(tags: Iterable[str], clean: Clean) -> list[str]:
    cleaned = {clean(tag)[:MAX_TAG_CHARS] for tag in tags}
    return sorted(filter(None, cleaned))[:MAX_TAGS]


def _set_time(field: Any, time_ns: int) -> None:
    field.seconds, field.nanos = divmod(time_ns, 10**9)


def _add_messages(messages: Any, given: tuple[Any, str] | None, role: str, clean: Clean) -> None:
    if given is None:
        return
    value, wanted = given
    role = ROLES.get(wanted.lower(), role) if wanted else role
    if type(value) is str:
        messages.add(role=ROLE_NUMBERS[role], content=clean(value))
        return
    for number, text in enumerate(read_messages(value, role)):
        if number == MAX_MESSAGES:
            return
        plain = isinstance(text.content, str)
        messages.add(
            role=ROLE_NUMBERS[text.role],
            content=clean(text.content) if plain else as_json(_map_texts(text.content, clean)),
            name=clean(text.name)[:MAX_NAME_CHARS],
            tool_call_id=clean(text.tool_call_id)[:MAX_NAME_CHARS],
            mime_type="" if plain else "application/json",
        )


def add_attributes(field: Any, attributes: Mapping[str, Any], clean: Clean) -> None:
    """Adds what `snapshot` made of values to a repeated Attribute."""
    seen = 0
    for key, value in attributes.items():
        if not (name := clean(key)[:MAX_NAME_CHARS]):
            continue
        if (seen := seen + 1) > MAX_ATTRIBUTES:
            return
        _set_value(field.add(key=name), value, clean)


def _set_value(attribute: Any, value: Any, clean: Clean) -> None:
    if isinstance(value, bool):
        attribute.bool_value = value
    elif isinstance(value, int):
        attribute.int_value = value
    elif isinstance(value, float):
        attribute.double_value = value
    elif isinstance(value, str):
        attribute.string_value = clean(value)
    elif value is not None:
        attribute.json_value = as_json(_map_texts(value, clean))


def _map_texts(value: Any, clean: Clean) -> Any:
    # Text by text: redacting the JSON itself could break it.
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_map_texts(one, clean) for one in value]
    if isinstance(value, dict):
        return {clean(key): _map_texts(one, clean) for key, one in value.items()}
    return value


def _set_numbers(proto: common_pb2.Span, span: Span, clean: Clean) -> None:
    if span.usage is not None:
        read, written, cache_read, cache_write, reasoning = map(_count, span.usage)
        usage = proto.usage
        usage.input, usage.output = read, written
        if cache_read or cache_write or reasoning:
            usage.cache_read = min(cache_read, read)
            usage.cache_write = min(cache_write, read)
            usage.reasoning = min(reasoning, written)
    if span.cost is not None:
        amount, currency, table = span.cost
        if (price := _price(amount)) is not None:
            proto.cost.amount = price
            proto.cost.currency = currency if _is_currency(currency) else "USD"
            if table:
                proto.cost.source = common_pb2.COST_SOURCE_LOCAL
                proto.cost.price_table = clean(table)[:MAX_TABLE_CHARS]


def _count(value: Any) -> int:
    try:
        return min(max(0, int(value)), MAX_TOKENS)
    except (TypeError, ValueError, OverflowError):
        return 0


def _price(value: Any) -> float | None:
    """Returns a price that the server takes; None for what is none, as unknown is not free."""
    try:
        price = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return price if math.isfinite(price) and 0 <= price <= MAX_COST else None


def _is_currency(code: object) -> bool:
    return isinstance(code, str) and len(code) == 3 and code.isascii() and code.isupper()
