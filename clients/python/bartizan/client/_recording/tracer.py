"""Recording: functions, spans, sessions and feedback."""

from __future__ import annotations

import contextvars
import functools
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, TypeVar, overload

from bartizan.client._recording import context
from bartizan.client._recording.feedback import Feedback
from bartizan.client._recording.scopes import Continued, Session
from bartizan.client._recording.span import Span
from bartizan.client._recording.trace import Tracing

if TYPE_CHECKING:
    from bartizan.client._recording.recorder import Recorder

F = TypeVar("F", bound=Callable[..., Any])


class Tracer:
    """What a program says about what it does. Nothing here raises or waits.

    Args:
        recorder: takes what has ended.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @overload
    def trace(self, target: F) -> F: ...

    @overload
    def trace(
        self,
        *,
        name: str = "",
        kind: str = "",
        agent: str = "",
        model: str = "",
        provider: str = "",
        tool_name: str = "",
        capture_input: bool = True,
        capture_output: bool = True,
    ) -> Callable[[F], F]: ...

    def trace(
        self,
        target: Any = None,
        *,
        name: str = "",
        kind: str = "",
        agent: str = "",
        model: str = "",
        provider: str = "",
        tool_name: str = "",
        capture_input: bool = True,
        capture_output: bool = True,
    ) -> Any:
        """Traces a function: every call is a span with its arguments and its result.

        Works for functions, coroutines, generators and asynchronous generators, whose chunks make
        one output, and for classes, of which all public methods are traced. Exceptions are recorded
        and go on unchanged. The kind is as for `span`.
        """
        fields = {"agent": agent, "model": model, "provider": provider, "tool_name": tool_name}
        tracing = Tracing(
            self._start,
            name,
            kind,
            {key: value for key, value in fields.items() if value},
            capture_input,
            capture_output,
        )
        return tracing.apply if target is None else tracing.apply(target)

    def span(
        self,
        name: str,
        *,
        kind: str = "",
        agent: str = "",
        model: str = "",
        provider: str = "",
        tool_name: str = "",
        user_id: str = "",
        session_id: str = "",
        environment: str = "",
        machine: str = "",
        workspace: str = "",
        start_time_ns: int = 0,
    ) -> Span:
        """Starts a span; with `with` it is the current span of the block and ends with it.

        A span inside another one joins its trace and takes over its agent, user, session,
        environment, machine and workspace. The kind is "llm" when a model is given, "tool" when a
        tool is, "agent" when an agent is, else "chain"; "retriever", "embedding", "workflow" and
        the others of the contract can be told.

        Without `with`, the span is nobody's parent, and ends with `Span.end`. start_time_ns is
        when it began, in nanoseconds since 1970, if that was not now.
        """
        fields = {
            "agent": agent,
            "model": model,
            "provider": provider,
            "tool_name": tool_name,
            "user_id": user_id,
            "session_id": session_id,
            "environment": environment,
            "machine": machine,
            "workspace": workspace,
        }
        own = {key: value for key, value in fields.items() if value}
        return Span(self._recorder, name, kind, own, start_time_ns)

    def session(
        self,
        id: str = "",
        *,
        user: str = "",
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        agent: str = "",
        environment: str = "",
    ) -> Session:
        """Lays a session, its user, tags and metadata over the spans of the block that follows.

        An id is made when none is given; the block's variable has it.
        """
        id = id or uuid.UUID(bytes=self._recorder.random_bytes(16), version=4).hex
        fields = {"session_id": id, "user_id": user, "agent": agent, "environment": environment}
        shared = {key: value for key, value in fields.items() if value}
        return Session(id, context.Scope(shared, tuple(tags), dict(metadata or {})))

    def feedback(
        self,
        trace_id: str = "",
        *,
        thumbs_up: bool | None = None,
        rating: float | None = None,
        label: str = "",
        comment: str = "",
        correction: str = "",
        name: str = "user",
        span_id: str = "",
        session_id: str = "",
        user_id: str = "",
        source: str = "user",
    ) -> str:
        """Records what somebody thinks of a trace, and returns the id of the feedback.

        Args:
            trace_id: of the trace; may be empty when session_id is given.
            thumbs_up: good or bad.
            rating: 0, the worst, to 100, the best; four stars of five are 80.
            label: one of few distinct values, such as "too long".
            comment: in somebody's own words.
            correction: the output as it should have been.
            name: what was asked, such as "helpful".
            span_id: of the span it is about, if not of the whole trace.
            session_id: of the session it is about.
            user_id: of whom it is.
            source: "user", "expert" (somebody who reviews) or "code".
        """
        feedback_id = self._recorder.random_bytes(16).hex()
        self._recorder.put(
            Feedback(
                feedback_id,
                trace_id,
                self._recorder.now_ns(),
                self._recorder.redact,
                thumbs_up,
                rating,
                label,
                comment,
                correction,
                name,
                span_id,
                session_id,
                user_id,
                source,
            )
        )
        return feedback_id

    def current_span(self) -> Span | None:
        """Returns the span that this code runs in; None when there is none."""
        current = context.current.get()
        return current if isinstance(current, Span) else None

    def current_trace_id(self) -> str:
        """Returns the id of the trace that this code runs in; empty when there is none."""
        parent = context.parent()
        return parent.trace_id if parent is not None else ""

    def inject(self, headers: Any) -> None:
        """Adds the W3C headers to what goes to another process, so that it continues the trace."""
        parent = context.parent()
        if parent is not None:
            headers["traceparent"] = context.format_traceparent(parent)
            if parent.tracestate:
                headers["tracestate"] = parent.tracestate

    def continue_trace(self, carrier: str | Mapping[str, Any]) -> Continued:
        """Continues, in the block that follows, the trace of another process.

        Takes a request's headers, or the value of `traceparent`; without a valid one the block
        begins traces of its own.
        """
        return Continued(context.extract(carrier))

    def in_context(self, function: F) -> F:
        """Returns a function that runs in this context: give it to a thread to nest its spans."""
        held = contextvars.copy_context()

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            # A copy each time: one context can be entered only once at a time.
            return held.copy().run(function, *args, **kwargs)

        return run  # type: ignore[return-value]

    def _start(self, name: str, kind: str, fields: Mapping[str, str]) -> Span:
        return Span(self._recorder, name, kind, fields)
