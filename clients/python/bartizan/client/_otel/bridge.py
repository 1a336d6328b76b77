"""Keeps OpenTelemetry's idea of the current span in step with ours, in both directions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from opentelemetry import context, trace

from bartizan.client._recording import context as recording

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

log = logging.getLogger("bartizan.client")

_PLACE = context.create_key("bartizan")
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)


class Place(NamedTuple):
    """Which span of ours an OpenTelemetry context is inside.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
        sampled: whether that span is sent.
        run: span id of the LangChain run that was current when that span began; 0 for none.
    """

    trace_id: str
    span_id: str
    sampled: bool
    run: int


class Dropped(trace.NonRecordingSpan):
    """A span of a trace that is not sampled.

    To other tracing it looks like the span around it, whose sampling is none of our business.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
    """

    def __init__(self, around: trace.SpanContext, trace_id: str, span_id: str) -> None:
        super().__init__(around)
        self.trace_id = trace_id
        self.span_id = span_id


class Bridge:
    """A `recording.Bridge` to OpenTelemetry.

    A span of ours becomes the current span of OpenTelemetry's context, so that what instrumented
    libraries record in it becomes its children. One that is not sampled does not: it would switch
    off other tracing of the application. It is only remembered, by its place.
    """

    def enter(self, trace_id: str, span_id: str, sampled: bool) -> object:
        """Makes a span the current one of OpenTelemetry's context."""
        here = context.get_current()
        inside = current_run()
        place = Place(trace_id, span_id, sampled, _span_id(inside) if inside else 0)
        if sampled:
            span = trace.NonRecordingSpan(_ids(trace_id, span_id))
            here = trace.set_span_in_context(span, here)
        return context.attach(context.set_value(_PLACE, place, here))

    def exit(self, token: object) -> None:
        """Undoes `enter`, unless that was in another context, which has ended then."""
        reset: Token[Any] = token  # type: ignore[assignment]
        # Not by OpenTelemetry's detach: it logs an error for what is usual in async generators.
        recording.restore(reset.var, reset)

    def current(self) -> tuple[str, str, bool] | None:
        """Returns the span of OpenTelemetry's that what begins here belongs to, or None.

        None as well for one that is not sampled: that decision was about another back end.
        """
        here = context.get_current()
        around = place(here)
        if around is not None and not around.sampled:
            return None
        span = newest(here)
        if isinstance(span, Dropped):
            return span.trace_id, span.span_id, False
        ids = span.get_span_context()
        if not ids.is_valid or not ids.trace_flags.sampled:
            return None
        trace_id = trace.format_trace_id(ids.trace_id)
        ours = recording.current.get()
        if ours is not None and ours.trace_id != trace_id:
            # Ours began later: had theirs begun inside it, they would share a trace.
            return None
        return trace_id, trace.format_span_id(ids.span_id), True


def install() -> None:
    """Builds the bridge. It stays: spans that are open must be able to leave over it."""
    if recording.bridge is None:
        recording.bridge = Bridge()


def place(here: Context) -> Place | None:
    """Returns the innermost span of ours around a context, or None."""
    found = context.get_value(_PLACE, here)
    return found if isinstance(found, Place) else None


def newest(here: Context) -> trace.Span:
    """Returns the span that what begins in a context belongs to."""
    run, around = current_run(), place(here)
    if run is not None and (around is None or around.run != _span_id(run)):
        return run
    span, ours = trace.get_current_span(here), recording.current.get()
    if ours is None or span.get_span_context().is_valid:
        return span
    # One that another process records, or that began before there was a bridge.
    return _as_parent(ours)


def _as_parent(ours: recording.Parent) -> trace.Span:
    if not ours.sampled:
        return Dropped(trace.INVALID_SPAN_CONTEXT, ours.trace_id, ours.span_id)
    return trace.NonRecordingSpan(_ids(ours.trace_id, ours.span_id))


def _ids(trace_id: str, span_id: str) -> trace.SpanContext:
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), False, _SAMPLED)


def current_run() -> trace.Span | None:
    """Returns the span of the LangChain run that this code is part of, or None.

    LangChain's callbacks cannot attach a context, so OpenTelemetry does not know.
    """
    if langchain_run is None:
        return None
    try:
        return langchain_run()
    except Exception as error:
        log.debug("asking LangChain for its run failed with %s", type(error).__name__)
        return None


langchain_run: Callable[[], trace.Span | None] | None = None
"""Set while LangChain is instrumented."""


def is_run(here: Context, run: int) -> bool:
    """Returns whether a context's current span is the LangChain run with this span id."""
    return run != 0 and _span_id(trace.get_current_span(here)) == run


def _span_id(span: trace.Span) -> int:
    return span.get_span_context().span_id
