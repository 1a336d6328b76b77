"""Rows of `spans` and `span_payloads` as plain tuples, the way anybody would first write them."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from asyncpg.pgproto.pgproto import UUID
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tests.bench.spans import KINDS

from bartizan.server.ingest.span import NANO_USD, NANOS, ROLE_NAMES
from bartizan.v1 import common_pb2

Row = tuple[Any, ...]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PROJECT = 1
EVENTS = LINKS = EXTRA = None
"""The bench's spans have none."""


def native_rows(spans: Iterable[common_pb2.Span]) -> tuple[list[Row], list[Row]]:
    """Returns the rows of native spans and of their payloads."""
    now = datetime.now(UTC)
    rows: list[Row] = []
    payloads: list[Row] = []
    for span in spans:
        trace_id, span_id = UUID(bytes.fromhex(span.trace_id)), _number(span.span_id)
        start_ns = span.start_time.seconds * NANOS + span.start_time.nanos
        end_ns = span.end_time.seconds * NANOS + span.end_time.nanos
        start = EPOCH + timedelta(microseconds=start_ns // 1_000)
        usage = span.usage
        rows.append(
            (
                PROJECT, trace_id, span_id, _number(span.parent_span_id), start, start_ns % 1_000,
                end_ns - start_ns, usage.input, usage.output, usage.cache_read, usage.cache_write,
                usage.reasoning, span.time_to_first_token_ns, 0, now,
                round(span.cost.amount * NANO_USD) if span.HasField("cost") else None,
                span.kind, span.status, span.agent, span.environment, span.model, span.provider,
                span.machine, span.workspace, span.tool_name, span.error_type, span.name,
                span.user_id, span.session_id, list(span.tags),
            )
        )  # fmt: skip
        attributes = {one.key: _value(one) for one in span.attributes}
        payloads.append(
            (
                PROJECT, trace_id, span_id, start, _messages(span.input), _messages(span.output),
                _json(attributes) if attributes else None, EVENTS, LINKS, EXTRA,
            )
        )  # fmt: skip
    return rows, payloads


def otlp_rows(
    request: trace_service_pb2.ExportTraceServiceRequest,
) -> tuple[list[Row], list[Row]]:
    """Returns the rows of an OTLP export and of its payloads."""
    now = datetime.now(UTC)
    rows: list[Row] = []
    payloads: list[Row] = []
    for resource_spans in request.resource_spans:
        shared = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                _add_otlp(span, shared, now, rows, payloads)
    return rows, payloads


def _add_otlp(
    span: Any, shared: dict[str, Any], now: datetime, rows: list[Row], payloads: list[Row]
) -> None:
    own = _attributes(span.attributes)
    take = own.pop
    trace_id = UUID(span.trace_id)
    span_id = int.from_bytes(span.span_id, signed=True)
    start_ns = span.start_time_unix_nano
    start = EPOCH + timedelta(microseconds=start_ns // 1_000)
    cost = take("gen_ai.usage.cost", None)
    model = take("gen_ai.response.model", "")
    if own.get("gen_ai.request.model") == model:
        take("gen_ai.request.model")
    rows.append(
        (
            PROJECT, trace_id, span_id, int.from_bytes(span.parent_span_id, signed=True), start,
            start_ns % 1_000, span.end_time_unix_nano - start_ns,
            take("gen_ai.usage.input_tokens", 0), take("gen_ai.usage.output_tokens", 0),
            take("gen_ai.usage.cache_read.input_tokens", 0), 0, 0, 0, 0, now,
            round(cost * NANO_USD) if cost is not None else None,
            KINDS[take("gen_ai.operation.name")], span.status.code, take("gen_ai.agent.name", ""),
            shared["deployment.environment.name"], model, take("gen_ai.provider.name", ""),
            shared["host.name"], "", take("gen_ai.tool.name", ""), take("error.type", ""),
            span.name, take("user.id", ""), take("gen_ai.conversation.id", ""), [],
        )
    )  # fmt: skip
    payloads.append(
        (
            PROJECT, trace_id, span_id, start,
            _otlp_messages(take("gen_ai.input.messages")),
            _otlp_messages(take("gen_ai.output.messages")),
            _json(own) if own else None, EVENTS, LINKS, EXTRA,
        )
    )  # fmt: skip


def _attributes(attributes: Iterable[Any]) -> dict[str, Any]:
    return {one.key: _value(one.value) for one in attributes}


def _value(one: Any) -> Any:
    return getattr(one, one.WhichOneof("value"))


def _number(hexadecimal: str) -> int:
    return int.from_bytes(bytes.fromhex(hexadecimal), signed=True)


def _messages(messages: Iterable[common_pb2.Message]) -> str:
    return _json([{"role": ROLE_NAMES[one.role], "content": one.content} for one in messages])


def _otlp_messages(text: str) -> str:
    return _json(
        [
            {"role": message["role"], "content": part["content"]}
            for message in orjson.loads(text)
            for part in message["parts"]
        ]
    )


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
