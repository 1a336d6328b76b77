"""Turns rows of traces, sessions, spans and findings into messages."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Row

from bartizan.server.ingest.span import NANO_USD, NANOS, ROLE_NAMES, Json
from bartizan.server.rpc import trace_names
from bartizan.server.rpc.call import Principal
from bartizan.server.store.clock import to_ns
from bartizan.server.store.trace_filter import status
from bartizan.v1 import common_pb2, trace_pb2

USD = "USD"
_ROLES = {ROLE_NAMES[number]: number for number in common_pb2.Role.values()}

Summary = TypeVar("Summary", trace_pb2.Trace, trace_pb2.Session)


def trace(row: Row[Any], principal: Principal) -> trace_pb2.Trace:
    """Returns the summary of a trace."""
    message = trace_pb2.Trace(
        name=trace_names.trace_name(principal, row.trace_id),
        trace_id=row.trace_id.hex,
        display_name=row.display_name,
        status=status(row),
        session_id=row.session_id,
        machine=row.machine,
        workspace=row.workspace,
        models=row.models,
        tags=row.tags,
        root_seen=row.root_seen,
        update_time=_time(row.update_time),
    )
    return _with_totals(message, row)


def session(row: Row[Any], principal: Principal) -> trace_pb2.Session:
    """Returns the summary of a session."""
    message = trace_pb2.Session(
        name=trace_names.session_name(principal, row.session_id),
        session_id=row.session_id,
        trace_count=row.trace_count,
    )
    return _with_totals(message, row)


def span(row: Row[Any], payload: Row[Any] | None) -> common_pb2.Span:
    """Returns a span with as much of its payload as was read."""
    start_ns = to_ns(row.start_time) + row.start_nanos
    extra = _load(payload, "extra") or {}
    return common_pb2.Span(
        trace_id=row.trace_id.hex,
        span_id=_span_id(row.span_id),
        parent_span_id=_span_id(row.parent_span_id) if row.parent_span_id else "",
        name=row.name,
        kind=row.kind,
        start_time=_time_ns(start_ns),
        end_time=_time_ns(start_ns + row.duration_ns),
        status=row.status,
        status_message=extra.get("status_message", ""),
        error_type=row.error_type,
        model=row.model,
        provider=row.provider,
        agent=row.agent,
        user_id=row.user_id,
        session_id=row.session_id,
        environment=row.environment,
        machine=row.machine,
        workspace=row.workspace,
        tool_name=row.tool_name,
        tags=row.tags,
        usage=_usage(row),
        cost=_cost(row, extra.get("cost")),
        time_to_first_token_ns=row.first_token_ns,
        input=_messages(_load(payload, "input")),
        output=_messages(_load(payload, "output")),
        attributes=_attributes(_load(payload, "attributes")),
        events=_events(_load(payload, "events")),
        links=_links(_load(payload, "links")),
    )


def finding(row: Row[Any]) -> common_pb2.Finding:
    """Returns what was found in a span."""
    return common_pb2.Finding(
        span_id=_span_id(row.span_id),
        category=row.category,
        score=row.score,
        field=row.field,
        start=row.start_offset,
        end=row.end_offset,
        code=row.code,
        rule=row.rule,
        rule_version=row.rule_version,
        verdict=row.verdict,
        action=row.action,
        shadow=row.shadow,
        severity=row.severity,
    )


def _with_totals(message: Summary, row: Row[Any]) -> Summary:
    message.start_time.CopyFrom(_time(row.start_time))
    message.end_time.CopyFrom(_time(row.end_time))
    message.span_count = row.span_count
    message.error_count = row.error_count
    message.finding_count = row.finding_count
    message.usage.CopyFrom(_usage(row))
    message.cost_usd = row.cost_nano_usd / NANO_USD
    message.agents.extend(row.agents)
    message.user_id = row.user_id
    message.environment = row.environment
    return message


def _usage(row: Row[Any]) -> common_pb2.TokenUsage:
    return common_pb2.TokenUsage(
        input=row.input_tokens,
        output=row.output_tokens,
        cache_read=row.cache_read_tokens,
        cache_write=row.cache_write_tokens,
        reasoning=row.reasoning_tokens,
    )


def _cost(row: Row[Any], document: Any) -> common_pb2.Cost | None:
    """Returns the price as it was sent, as far as it was kept; None when it is not known."""
    if document is not None and document["amount"] is not None:
        return common_pb2.Cost(
            amount=document["amount"],
            currency=document["currency"] or USD,
            source=document["source"],
            price_table=document["price_table"],
        )
    if row.cost_nano_usd is not None:
        return common_pb2.Cost(amount=row.cost_nano_usd / NANO_USD, currency=USD)
    return None


def _load(payload: Row[Any] | None, part: str) -> Any:
    text = getattr(payload, part, None)
    return orjson.loads(text) if text else None


def _messages(documents: Any) -> Iterator[common_pb2.Message]:
    for document in documents or ():
        yield common_pb2.Message(
            role=_ROLES[document["role"]],
            content=document["content"],
            name=document.get("name", ""),
            tool_call_id=document.get("tool_call_id", ""),
            mime_type=document.get("mime_type", ""),
            truncated=document.get("truncated", False),
        )


def _attributes(document: dict[str, Json] | None) -> Iterable[common_pb2.Attribute]:
    return [_attribute(key, value) for key, value in (document or {}).items()]


def _attribute(key: str, value: Json) -> common_pb2.Attribute:
    match value:
        case None:
            return common_pb2.Attribute(key=key)
        case bool():
            return common_pb2.Attribute(key=key, bool_value=value)
        case str():
            return common_pb2.Attribute(key=key, string_value=value)
        case int():
            return common_pb2.Attribute(key=key, int_value=value)
        case float():
            return common_pb2.Attribute(key=key, double_value=value)
        case _:
            return common_pb2.Attribute(key=key, json_value=orjson.dumps(value).decode())


def _events(documents: Any) -> Iterator[common_pb2.SpanEvent]:
    for document in documents or ():
        yield common_pb2.SpanEvent(
            name=document["name"],
            time=_time_ns(document["time_ns"]),
            attributes=_attributes(document["attributes"]),
        )


def _links(documents: Any) -> Iterator[common_pb2.SpanLink]:
    for document in documents or ():
        yield common_pb2.SpanLink(
            trace_id=document["trace_id"],
            span_id=document["span_id"],
            attributes=_attributes(document["attributes"]),
        )


def _span_id(number: int) -> str:
    return number.to_bytes(8, "big", signed=True).hex()


def _time(time: datetime) -> Timestamp:
    return _time_ns(to_ns(time))


def _time_ns(ns: int) -> Timestamp:
    return Timestamp(seconds=ns // NANOS, nanos=ns % NANOS)
