"""The OpenTelemetry tracer provider that instrumentations of libraries record with."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import OTELResourceDetector
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from bartizan.client._otel.bridge import Dropped, is_run, newest, place
from bartizan.client._otel.exporter import OtlpRecord
from bartizan.client._recording import context as recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.util.types import Attributes, AttributeValue

    from bartizan.client._otel.langchain import ModelCalls
    from bartizan.client._recording.recorder import Recorder

log = logging.getLogger("bartizan.client")

MAX_ATTRIBUTES = 10_000
"""Of one span. Messages are flattened into several each; the default of 128 would lose some."""
MAX_EVENTS = 256
KEYS = {
    "agent": "agent.name",
    "user_id": "user.id",
    "session_id": "session.id",
    "environment": "deployment.environment.name",
    "machine": "host.name",
    "workspace": "bartizan.workspace",
}
"""What our shared fields are called as attributes."""
_KIND = "openinference.span.kind"
_OPERATION = "gen_ai.operation.name"


class Provider(trace.TracerProvider):
    """Hands out tracers whose spans go to one client, which may change.

    Attributes:
        recorder: takes the spans, says what they have in common and which traces are sampled.
        model_calls: knows which calls of models LangChain records already; None for none.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.model_calls: ModelCalls | None = None
        self._sdk = TracerProvider(
            sampler=_ByTraceId(self),
            resource=OTELResourceDetector().detect(),
            shutdown_on_exit=False,
            id_generator=_Ids(self),
            span_limits=SpanLimits(max_span_attributes=MAX_ATTRIBUTES, max_events=MAX_EVENTS),
        )
        self._sdk.add_span_processor(_Processor(self))

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        """Returns a tracer of the SDK that chooses parents as `_otel_bridge` says."""
        return _Tracer(self._sdk.get_tracer(*args, **kwargs), self)


class _Tracer(trace.Tracer):
    # OpenInference calls these methods with a proxy of this object as `self`.

    def __init__(self, inner: trace.Tracer, provider: Provider) -> None:
        self.inner = inner
        self.provider = provider

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        here = _start_in(context)
        around = trace.get_current_span(here)
        if isinstance(around, Dropped):
            return around
        calls = self.provider.model_calls
        if calls is not None and _is_model_call(attributes) and calls.take():
            return trace.NonRecordingSpan(around.get_span_context())
        rest = (links, start_time, record_exception, set_status_on_exception)
        span = self.inner.start_span(name, here, kind, attributes, *rest)
        if span.is_recording():
            return span
        ids = span.get_span_context()
        names = trace.format_trace_id(ids.trace_id), trace.format_span_id(ids.span_id)
        return Dropped(trace.get_current_span().get_span_context(), *names)

    @contextlib.contextmanager
    def start_as_current_span(  # type: ignore[override]
        self, name: str, *args: Any, end_on_exit: bool = True, **kwargs: Any
    ) -> Iterator[trace.Span]:
        span = self.start_span(name, *args, **kwargs)
        with trace.use_span(span, end_on_exit) as current:
            yield current


def _start_in(context: Context | None) -> Context:
    """Returns the context whose current span is the parent of what begins."""
    here = otel_context.get_current()
    around = place(here)
    if around is not None and not around.sampled:
        ids = trace.get_current_span(here).get_span_context()
        return trace.set_span_in_context(Dropped(ids, around.trace_id, around.span_id), here)
    # LangChain names the run around as the parent; a span of ours inside that run is nearer.
    if context is None or (around is not None and is_run(context, around.run)):
        context = trace.set_span_in_context(newest(here), here)
    parent = trace.get_current_span(context)
    ids = parent.get_span_context()
    if isinstance(parent, Dropped) or not ids.is_valid or ids.trace_flags.sampled:
        return context
    return trace.set_span_in_context(trace.INVALID_SPAN, context)


def _is_model_call(attributes: Attributes) -> bool:
    return attributes is not None and (attributes.get(_KIND) == "LLM" or _OPERATION in attributes)


class _ByTraceId(Sampler):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        is_root = not trace.get_current_span(parent_context).get_span_context().is_valid
        if is_root and not self._provider.recorder.sampled(trace.format_trace_id(trace_id)):
            return SamplingResult(Decision.DROP)
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "Bartizan"


class _Ids(IdGenerator):
    # Not the SDK's own, which repeats its ids where the application seeds `random`.

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def generate_span_id(self) -> int:
        return int.from_bytes(self._provider.recorder.random_bytes(8), "big") or 1

    def generate_trace_id(self) -> int:
        return int.from_bytes(self._provider.recorder.random_bytes(16), "big") or 1


class _Processor(SpanProcessor):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        try:
            known = span.attributes or {}
            for key, value in scope_attributes(self._provider.recorder, span.parent).items():
                if key not in known:
                    span.set_attribute(key, value)
        except Exception as error:
            log.debug("describing a span failed with %s", type(error).__name__)

    def on_end(self, span: ReadableSpan) -> None:
        recorder = self._provider.recorder
        try:
            recorder.put(OtlpRecord((span,), recorder.redact, recorder.capture_content))
        except Exception as error:
            log.debug("handing over a span failed with %s", type(error).__name__)


def scope_attributes(
    recorder: Recorder, parent: trace.SpanContext | None
) -> dict[str, AttributeValue]:
    """Returns what the code around says about a span, as the attributes that the server reads.

    Args:
        parent: of that span; tags and metadata are for the outermost spans.
    """
    around, scope = recording.current.get(), recording.scope.get()
    shared = (around.shared if around is not None else {}) or recorder.shared
    outermost = parent is None or (
        around is not None and trace.format_span_id(parent.span_id) == around.span_id
    )
    tags = recorder.tags if around is None and outermost else ()
    metadata: Mapping[str, Any] = {}
    if scope is not None and (around is None or around.scope is not scope):
        shared = {**recorder.shared, **scope.shared}
        if outermost:
            tags, metadata = scope.tags + tags, scope.metadata
    found: dict[str, AttributeValue] = {KEYS[key]: one for key, one in shared.items() if one}
    found.update((f"metadata.{key}", _plain(value)) for key, value in metadata.items())
    return {**found, "tag.tags": tags} if tags else found


def _plain(value: Any) -> AttributeValue:
    if isinstance(value, (str, bool, int, float)):
        return value
    return json.dumps(value, default=str)
