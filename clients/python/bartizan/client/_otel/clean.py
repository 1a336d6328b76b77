"""Copies of OpenTelemetry spans that may leave the process: redacted, cleaned, cut."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, Status

from bartizan.client._recording.encode import cleaner
from bartizan.client._recording.values import MAX_CHARS, cut

if TYPE_CHECKING:
    from opentelemetry.util.types import Attributes

CONTENT_KEYS = frozenset(
    {
        *("input.value", "output.value", "exception.message", "exception.stacktrace"),
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions"),
        *("gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.tool.definitions"),
        *("gen_ai.retrieval.query.text", "gen_ai.retrieval.documents", "gen_ai.event.content"),
        *("gen_ai.memory.query.text", "gen_ai.memory.records", "gen_ai.prompt"),
        *("gen_ai.completion", "reranker.query", "llm.invocation_parameters"),
        *("traceloop.entity.input", "traceloop.entity.output", "llm.function_call"),
    }
)
"""What holds texts of people, models and tools."""
CONTENT_PREFIXES = (
    *("llm.input_messages.", "llm.output_messages.", "llm.prompts.", "llm.choices."),
    *("llm.prompt_template.", "llm.tools.", "gen_ai.prompt.", "gen_ai.completion."),
    *("retrieval.documents.", "reranker.input_documents.", "reranker.output_documents."),
    *("embedding.embeddings.", "tool.parameters"),
)
MESSAGE_EVENTS = "gen_ai."
"""Events so named are messages."""
_STRUCTURE = ("span.kind", ".mime_type", ".role", "operation.name")
"""Ends of keys whose values say how to read the span, and are no texts of anybody."""

Clean = Callable[[str], str]


class Cleaner:
    """Makes the copies.

    Args:
        redact: takes out of a text what must not leave the process; never raises.
        capture_content: whether messages, documents and error texts stay.
    """

    def __init__(self, redact: Clean | None, capture_content: bool) -> None:
        self._plain = cleaner(None)
        self._redact = redact
        self._capture_content = capture_content

    def copy(self, span: ReadableSpan) -> ReadableSpan:
        """Returns the span as it may leave."""
        return ReadableSpan(
            name=self._text(span.name),
            context=span.get_span_context(),
            parent=span.parent,
            resource=Resource(self._attributes(span.resource.attributes), span.resource.schema_url),
            attributes=self._attributes(span.attributes),
            events=[self._event(event) for event in span.events],
            links=[Link(link.context, self._attributes(link.attributes)) for link in span.links],
            kind=span.kind,
            status=self._status(span.status),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=self._scope(span.instrumentation_scope),
        )

    def _event(self, event: Event) -> Event:
        attributes = self._attributes(event.attributes)
        if not self._capture_content and event.name.startswith(MESSAGE_EVENTS):
            attributes = {}
        return Event(self._text(event.name), attributes, event.timestamp)

    def _status(self, status: Status) -> Status:
        described = status.description if self._capture_content else None
        return Status(status.status_code, self._text(described) if described else None)

    def _scope(self, scope: InstrumentationScope | None) -> InstrumentationScope | None:
        if scope is None or not scope.attributes:
            return scope
        attributes = self._attributes(scope.attributes)
        return InstrumentationScope(scope.name, scope.version, scope.schema_url, attributes)

    def _attributes(self, attributes: Attributes) -> dict[str, Any]:
        return {
            self._plain(key): value if key.endswith(_STRUCTURE) else self._value(value)
            for key, value in (attributes or {}).items()
            if self._capture_content or not _is_content(key)
        }

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (bytes, bytearray)):
            return f"<{len(value):,} bytes>"
        if isinstance(value, Mapping):
            return {self._text(str(key)): self._value(one) for key, one in value.items()}
        if isinstance(value, Sequence):
            return [self._value(one) for one in value]
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return str(value)
        return value

    def _text(self, text: str) -> str:
        text = cut(text, MAX_CHARS)
        if self._redact is not None:
            text = self._redact(self._inside(text))
        return self._plain(text)

    def _inside(self, text: str) -> str:
        """Returns JSON with its texts redacted one by one: escapes would hide some of them."""
        if not text.startswith(("{", "[")):
            return text
        try:
            return json.dumps(self._value(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return text


def _is_content(key: str) -> bool:
    return key in CONTENT_KEYS or key.startswith(CONTENT_PREFIXES)
