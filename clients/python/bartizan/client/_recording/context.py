"""Where in which trace this code runs. Context variables carry it through tasks.

W3C Trace Context (https://www.w3.org/TR/trace-context/) carries it between processes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

if TYPE_CHECKING:
    from bartizan.client._recording.span import Span

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16
SAMPLED_FLAG = 1


class Scope(NamedTuple):
    """What `Bartizan.session` lays over the spans inside it.

    Attributes:
        shared: fields that every span takes over, such as user_id.
        tags: for the outermost spans.
        metadata: for the outermost spans, as attributes.
    """

    shared: dict[str, str]
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = {}


class Remote(NamedTuple):
    """A parent that another process or another library records."""

    trace_id: str
    span_id: str
    sampled: bool
    shared: Mapping[str, str] = {}
    scope: Scope | None = None
    tracestate: str = ""


class Bridge(Protocol):
    """Keeps another tracing library's idea of the current span in step with ours."""

    def enter(self, trace_id: str, span_id: str, sampled: bool) -> object:
        """Makes a span the current one there and returns what `exit` needs."""
        ...

    def exit(self, token: object) -> None:
        """Undoes `enter`."""
        ...

    def current(self) -> tuple[str, str, bool] | None:
        """Returns trace id, span id and whether it is sampled of the current span there."""
        ...


Parent = Union["Span", Remote]

current: ContextVar[Parent | None] = ContextVar("bartizan_current", default=None)
scope: ContextVar[Scope | None] = ContextVar("bartizan_scope", default=None)
bridge: Bridge | None = None


def parent() -> Parent | None:
    """Returns what a span that begins here belongs to."""
    ours = current.get()
    if bridge is None:
        return ours
    theirs = bridge.current()
    if theirs is None or (ours is not None and theirs[1] == ours.span_id):
        return ours
    if ours is None:
        return Remote(*theirs)
    return Remote(*theirs, ours.shared, ours.scope, ours.tracestate)


def restore(variable: ContextVar[Any], token: Token[Any]) -> None:
    """Undoes a `set`, unless it was made in another context, which has ended then."""
    with suppress(ValueError):
        variable.reset(token)


def parse_traceparent(text: str) -> tuple[str, str, bool] | None:
    """Returns trace id, span id and whether it is sampled, or None for what is not of the form."""
    match = _TRACEPARENT.fullmatch(text.strip().lower())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if (
        version == "ff"
        or (version == "00" and more)
        or trace_id == _NO_TRACE
        or span_id == _NO_SPAN
    ):
        return None
    return trace_id, span_id, bool(int(flags, 16) & SAMPLED_FLAG)


def format_traceparent(span: Parent) -> str:
    """Returns the header's value for a span as the parent."""
    return f"00-{span.trace_id}-{span.span_id}-{'01' if span.sampled else '00'}"


def extract(carrier: str | Mapping[str, Any]) -> Remote | None:
    """Returns the parent that headers or a `traceparent` value name, if any."""
    headers = {"traceparent": carrier} if isinstance(carrier, str) else carrier
    found = {_text(key).lower(): value for key, value in headers.items()}
    parsed = parse_traceparent(_text(found.get("traceparent")))
    return None if parsed is None else Remote(*parsed, tracestate=_text(found.get("tracestate")))


def _text(value: object) -> str:
    # WSGI has strings, ASGI bytes.
    return value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
