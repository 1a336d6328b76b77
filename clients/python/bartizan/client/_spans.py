"""Recording one span by hand."""

from __future__ import annotations

import json
import logging
import os
import time
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable

from bartizan.client._errors import BartizanError, InvalidArgument
from bartizan.v1 import common_pb2, trace_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

log = logging.getLogger("bartizan.client")

INHERITED = ("agent", "user_id", "session_id", "environment", "machine", "workspace")
"""What a span takes over from the one around it, unless it says otherwise."""

Export = Callable[["Sequence[common_pb2.Span]"], trace_pb2.Ack]

_current: ContextVar[Span | None] = ContextVar("bartizan_span", default=None)


@dataclass(frozen=True)
class Source:
    """Where ids and times come from; tests pass their own."""

    random_bytes: Callable[[int], bytes] = field(default=os.urandom)
    now_ns: Callable[[], int] = field(default=time.time_ns)


class Span:
    """A span that is being recorded. Made by `Bartizan.span`; sent when its block ends.

    An exception in the block is recorded and raised again.
    """

    def __init__(
        self, export: Export, source: Source, name: str, kind: str, fields: dict[str, str]
    ) -> None:
        self._export = export
        self._source = source
        self._token: Token[Span | None] | None = None
        texts = {key: _clean(value) for key, value in fields.items()}
        self._proto = common_pb2.Span(
            name=_clean(name),
            kind=_kind(kind, texts),
            **texts,  # type: ignore[arg-type]
        )

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; known inside the block."""
        return self._proto.trace_id

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits; known inside the block."""
        return self._proto.span_id

    def input(self, text: str, role: str = "user") -> Span:
        """Adds a text that goes in; role is system, user, assistant, tool_result or retrieved."""
        self._proto.input.add(content=_clean(text), role=_role(role))
        return self

    def output(self, text: str, role: str = "assistant") -> Span:
        """Adds a text that comes out; role is assistant, tool_call or tool_result."""
        self._proto.output.add(content=_clean(text), role=_role(role))
        return self

    def usage(
        self,
        input: int = 0,
        output: int = 0,
        *,
        cache_read: int = 0,
        cache_write: int = 0,
        reasoning: int = 0,
    ) -> Span:
        """Sets the tokens, as counts; the last three are parts of the first two."""
        usage = common_pb2.TokenUsage(
            input=input,
            output=output,
            cache_read=cache_read,
            cache_write=cache_write,
            reasoning=reasoning,
        )
        self._proto.usage.CopyFrom(usage)
        return self

    def cost(self, amount: float, currency: str = "USD") -> Span:
        """Sets the price of the call."""
        self._proto.cost.amount = amount
        self._proto.cost.currency = currency
        return self

    def tag(self, *tags: str) -> Span:
        """Adds tags."""
        self._proto.tags.extend(_clean(tag) for tag in tags)
        return self

    def attribute(self, key: str, value: Any) -> Span:
        """Adds an attribute; what is no text, number or truth value is kept as JSON.

        Raises TypeError when the value has no JSON form.
        """
        attribute = self._proto.attributes.add(key=_clean(key))
        if isinstance(value, bool):
            attribute.bool_value = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            attribute.int_value = value
        elif isinstance(value, float):
            attribute.double_value = value
        elif isinstance(value, str):
            attribute.string_value = _clean(value)
        else:
            attribute.json_value = json.dumps(value)
        return self

    def __enter__(self) -> Span:
        parent = _current.get()
        self._proto.span_id = self._source.random_bytes(8).hex()
        if parent is None:
            self._proto.trace_id = self._source.random_bytes(16).hex()
        else:
            self._inherit(parent._proto)
        self._proto.start_time.FromNanoseconds(self._source.now_ns())
        self._token = _current.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        self._end(error)
        try:
            _check(self._export([self._proto]))
        except BartizanError as failure:
            # The application's own exception matters more than what became of its trace.
            if error is None:
                raise
            log.warning("a span was not stored: %s", type(failure).__name__)

    def _inherit(self, parent: common_pb2.Span) -> None:
        self._proto.trace_id = parent.trace_id
        self._proto.parent_span_id = parent.span_id
        for name in INHERITED:
            if not getattr(self._proto, name):
                setattr(self._proto, name, getattr(parent, name))

    def _end(self, error: BaseException | None) -> None:
        # A clock that was set back must not end the span before it began.
        start_ns = self._proto.start_time.ToNanoseconds()
        self._proto.end_time.FromNanoseconds(max(start_ns, self._source.now_ns()))
        self._proto.status = common_pb2.STATUS_CODE_OK
        if error is not None:
            self._proto.status = common_pb2.STATUS_CODE_ERROR
            self._proto.error_type = type(error).__name__
            self._proto.status_message = _clean(str(error))


def _clean(text: str) -> str:
    # Either would make the server refuse the whole span.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _kind(name: str, fields: dict[str, str]) -> common_pb2.SpanKind.ValueType:
    if not name:
        name = "llm" if fields.get("model") else "tool" if fields.get("tool_name") else "chain"
    try:
        return common_pb2.SpanKind.Value(f"SPAN_KIND_{name.upper()}")
    except ValueError:
        raise InvalidArgument(f"There is no span kind {name!r}.", field="kind") from None


def _role(name: str) -> common_pb2.Role.ValueType:
    try:
        return common_pb2.Role.Value(f"ROLE_{name.upper()}")
    except ValueError:
        raise InvalidArgument(f"There is no role {name!r}.", field="role") from None


def _check(ack: trace_pb2.Ack) -> None:
    for refused in ack.rejected:
        raise InvalidArgument(
            f"The server refused the span: {refused.field} {refused.detail}.",
            reason=trace_pb2.RejectReason.Name(refused.reason),
            field=refused.field,
        )
