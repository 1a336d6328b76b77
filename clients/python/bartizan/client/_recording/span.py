"""Recording one span. Nothing here serializes, redacts or sends: `_encode` does, later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bartizan.client._record import SPAN
from bartizan.client._recording import context
from bartizan.client._recording.recorder import SHARED, harmless
from bartizan.client._recording.values import cut, snapshot

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from bartizan.client._recording.recorder import Recorder

MAX_EVENTS = 256
MAX_ATTRIBUTES = 512
MAX_STATUS_CHARS = 8_192
MAX_FRAMES = 32
BASE_SIZE = 700
"""About what a span without content holds, in bytes."""


class Span:
    """A span that is being recorded; `Bartizan.span` and `Bartizan.start_span` make it.

    As a context manager it is the current span of its block and ends with it; an exception is
    recorded and goes on. Its methods never raise, and do nothing once it has ended.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        parent_span_id: 16 hexadecimal digits; empty for the root of a trace.
        sampled: whether it is sent at all.
    """

    kind = SPAN
    spans = 1
    size = BASE_SIZE
    tracestate = ""
    end_ns = 0
    ended = False
    first_token_ns = 0
    failed = False
    error_type = ""
    status_message = ""
    usage: tuple[Any, ...] | None = None
    cost: tuple[Any, str, str] | None = None
    input: tuple[Any, str] | None = None
    output: tuple[Any, str] | None = None
    scope: context.Scope | None = None
    shared: Mapping[str, str]
    tags: tuple[str, ...] = ()
    _token: Token[Any] | None = None
    _bridge_token: object = None

    def __init__(
        self, recorder: Recorder, name: str, kind: str, own: Mapping[str, str], start_ns: int = 0
    ) -> None:
        self.recorder = recorder
        self.name = name
        self.span_kind = kind
        self.own = own
        self.attributes: dict[str, Any] = {}
        self.events: list[tuple[str, int, Mapping[str, Any]]] = []
        self.span_id = recorder.random_bytes(8).hex()
        self._join(context.parent())
        self._elapsed = 0 if start_ns else recorder.elapsed_ns()
        self.start_ns = start_ns or recorder.now_ns()

    @property
    def traceparent(self) -> str:
        """The W3C header's value that makes this span the parent of what another process does."""
        return context.format_traceparent(self)

    @harmless
    def set_input(self, value: Any, role: str = "") -> Span:
        """Sets what went in: a text, a list of messages with `role` and `content`, or anything.

        A role is system, user, assistant, tool_call, tool_result or retrieved; without one it
        follows from the kind of the span.
        """
        if self._keeps_content():
            self.input = (self._copy(value), role)
        return self

    @harmless
    def set_output(self, value: Any, role: str = "") -> Span:
        """Sets what came out; the value and the role are as for `set_input`."""
        if self._keeps_content():
            self.output = (self._copy(value), role)
        return self

    @harmless
    def set_usage(
        self,
        input: int = 0,
        output: int = 0,
        *,
        cache_read: int = 0,
        cache_write: int = 0,
        reasoning: int = 0,
        model: str = "",
        provider: str = "",
    ) -> Span:
        """Sets the tokens, as counts, and the model if given.

        cache_read and cache_write are parts of input, reasoning is a part of output.
        """
        self.usage = (input, output, cache_read, cache_write, reasoning)
        return self.set_model(model, provider)

    @harmless
    def set_cost(self, amount: float, currency: str = "USD", price_table: str = "") -> Span:
        """Sets the price of the call, and the price table that it was computed from, if any."""
        self.cost = (amount, currency, price_table)
        return self

    @harmless
    def set_model(self, model: str, provider: str = "") -> Span:
        """Sets the model that answered and who runs it; what is empty stays as it was."""
        return self._set(model=model, provider=provider)

    @harmless
    def set_attribute(self, key: str, value: Any) -> Span:
        """Sets one attribute: a text, a number, a truth value, or anything that becomes JSON."""
        if not self.ended and len(self.attributes) < MAX_ATTRIBUTES:
            self.attributes[key] = self._copy(value)
        return self

    @harmless
    def set_attributes(self, attributes: Mapping[str, Any]) -> Span:
        """Sets several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)
        return self

    @harmless
    def add_tags(self, *tags: str) -> Span:
        """Adds tags."""
        if not self.ended:
            self.tags += tags
        return self

    @harmless
    def add_event(self, name: str, **attributes: Any) -> Span:
        """Adds something that happens now."""
        if not self.ended and len(self.events) < MAX_EVENTS:
            copied = {key: self._copy(value) for key, value in attributes.items()}
            self.events.append((name, self._now_ns(), copied))
        return self

    @harmless
    def set_error(self, error: BaseException | str, message: str = "") -> Span:
        """Marks the span as failed: with an exception, or with a class of error and a text."""
        if self.ended:
            return self
        self.failed = True
        if isinstance(error, BaseException):
            self.error_type, message = type(error).__name__, _message(error)
            stack = {"exception.stacktrace": _frames(error)} if error.__traceback__ else {}
            self.add_event("exception", **{"exception.type": self.error_type, **stack})
        else:
            self.error_type = error
        if self.recorder.capture_content:
            self.status_message = message
        return self

    @harmless
    def first_token(self) -> Span:
        """Notes that the first part of the answer is here; only the first call counts."""
        if not self.first_token_ns and not self.ended:
            self.first_token_ns = max(1, self._now_ns() - self.start_ns)
        return self

    @harmless
    def end(self, end_time_ns: int = 0) -> Span:
        """Ends the span and hands it over for sending.

        Args:
            end_time_ns: when it ended, in nanoseconds since 1970; now when not given.
        """
        if self.ended:
            return self
        # A clock that was set back must not end the span before it began.
        self.end_ns = max(self.start_ns, end_time_ns or self._now_ns())
        self.ended = True
        if self.sampled:
            self.recorder.put(self)
        return self

    def encode(self) -> bytes:
        """Returns the serialized bartizan.v1.Span, redacted."""
        from bartizan.client._recording.encode import encode_span

        return encode_span(self)

    def enter(self) -> None:
        """Makes this the current span."""
        self._token = context.current.set(self)
        if context.bridge is not None:
            self._bridge_token = context.bridge.enter(self.trace_id, self.span_id, self.sampled)

    def leave(self) -> None:
        """Makes the span that was current before the current one again."""
        if context.bridge is not None and self._bridge_token is not None:
            context.bridge.exit(self._bridge_token)
            self._bridge_token = None
        if self._token is not None:
            context.restore(context.current, self._token)
            self._token = None

    def __enter__(self) -> Span:
        self.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        if error is not None:
            self.set_error(error)
        self.end()

    def _join(self, parent: context.Parent | None) -> None:
        recorder, scope = self.recorder, context.scope.get()
        if parent is None:
            self.trace_id = recorder.random_bytes(16).hex()
            self.parent_span_id = ""
            self.sampled = recorder.sampled(self.trace_id)
            around: Mapping[str, str] = recorder.shared
        else:
            self.trace_id = parent.trace_id
            self.parent_span_id = parent.span_id
            self.sampled = parent.sampled
            self.tracestate = parent.tracestate
            around = parent.shared or recorder.shared
        if scope is not None:
            self.scope = scope
            # A scope that was opened inside the parent is nearer; else the parent has it already.
            if parent is None or parent.scope is not scope:
                around = {**recorder.shared, **scope.shared}
                metadata = scope.metadata.items()
                self.set_attributes({f"metadata.{key}": value for key, value in metadata})
                self.tags = scope.tags
        if parent is None:
            self.tags += recorder.tags
        mine = {key: value for key in SHARED if (value := self.own.get(key))}
        self.shared = {**around, **mine} if mine else around

    def _set(self, **fields: str) -> Span:
        given = {key: value for key, value in fields.items() if value}
        if given and not self.ended:
            self.own = {**self.own, **given}
        return self

    def _keeps_content(self) -> bool:
        return self.sampled and not self.ended and self.recorder.capture_content

    def _copy(self, value: Any) -> Any:
        copied = snapshot(value)
        self.size += len(copied) if type(copied) is str else _size(copied)
        return copied

    def _now_ns(self) -> int:
        if not self._elapsed:
            return self.recorder.now_ns()
        return self.start_ns + self.recorder.elapsed_ns() - self._elapsed


def _size(copied: Any) -> int:
    if isinstance(copied, str):
        return len(copied) + 8
    if isinstance(copied, dict):
        return sum(len(key) + _size(value) for key, value in copied.items()) + 8
    if isinstance(copied, list):
        return sum(map(_size, copied)) + 8
    return 8


def _message(error: BaseException) -> str:
    try:
        return cut(str(error), MAX_STATUS_CHARS - 100)
    except Exception:
        return ""


def _frames(error: BaseException) -> str:
    # Without the source lines: reading files would take its time in the caller's path.
    lines = []
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        lines.append(f"{code.co_filename}:{traceback.tb_lineno} in {code.co_name}")
        traceback = traceback.tb_next
    return "\n".join(lines[-MAX_FRAMES:])
