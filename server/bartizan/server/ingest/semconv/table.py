"""The map from the attributes of OpenTelemetry traces to the typed fields of a span.

This file is the whole of it. Names come from the OpenTelemetry GenAI conventions (`gen_ai.*`,
today's and the older forms), OpenInference (`llm.*`, `input.*`, `tool.*`, …) and OpenLLMetry
(`traceloop.*`, `llm.usage.*`). Rules that hold for every row:

* Sources are tried in order, and OpenInference comes before `gen_ai.*`. A source that loses stays
  an attribute, unless it says the same as the one that won.
* An attribute that fills a field is taken out of the attributes; one whose form does not fit, or
  that says more than the field can hold, stays.
* Texts longer than their field are cut, and the whole stays in the attributes: who sends OTLP can
  seldom change the instrumentation. Counts and money out of bounds refuse the span, because a cut
  number would be a wrong one.
* Resource attributes fill only the fields in `OF_RESOURCE`, after the span's own; the rest of them
  become `resource.<key>`, those of the scope `scope.<key>`.

Raise `MAP_VERSION` with every change of meaning.
"""

from typing import Any, NamedTuple

from bartizan.server.ingest.semconv import convert
from bartizan.v1 import common_pb2

MAP_VERSION = 2
_Kind = common_pb2.SpanKind

_OPENINFERENCE_KINDS = {
    name.lower(): _Kind.Value(f"SPAN_KIND_{name}")
    for name in (
        *("LLM", "EMBEDDING", "CHAIN", "RETRIEVER", "RERANKER", "TOOL", "AGENT"),
        *("GUARDRAIL", "EVALUATOR", "PROMPT"),
    )
}
_OPERATIONS = {
    "chat": _Kind.SPAN_KIND_LLM,
    "completion": _Kind.SPAN_KIND_LLM,
    "text_completion": _Kind.SPAN_KIND_LLM,
    "generate_content": _Kind.SPAN_KIND_LLM,
    "embeddings": _Kind.SPAN_KIND_EMBEDDING,
    "retrieval": _Kind.SPAN_KIND_RETRIEVER,
    "search_memory": _Kind.SPAN_KIND_RETRIEVER,
    "execute_tool": _Kind.SPAN_KIND_TOOL,
    "create_agent": _Kind.SPAN_KIND_AGENT,
    "invoke_agent": _Kind.SPAN_KIND_AGENT,
    "invoke_workflow": _Kind.SPAN_KIND_WORKFLOW,
    "plan": _Kind.SPAN_KIND_CHAIN,
    "create_memory_store": _Kind.SPAN_KIND_CHAIN,
    "delete_memory_store": _Kind.SPAN_KIND_CHAIN,
    "create_memory": _Kind.SPAN_KIND_CHAIN,
    "update_memory": _Kind.SPAN_KIND_CHAIN,
    "upsert_memory": _Kind.SPAN_KIND_CHAIN,
    "delete_memory": _Kind.SPAN_KIND_CHAIN,
    "run_guardrail": _Kind.SPAN_KIND_GUARDRAIL,
}
_PLAIN_OPERATIONS = {
    *("chat", "embeddings", "retrieval", "execute_tool", "invoke_agent", "invoke_workflow"),
    "run_guardrail",
}
_TRACELOOP_KINDS = {
    "workflow": _Kind.SPAN_KIND_WORKFLOW,
    "task": _Kind.SPAN_KIND_CHAIN,
    "agent": _Kind.SPAN_KIND_AGENT,
    "tool": _Kind.SPAN_KIND_TOOL,
}
_REQUEST_TYPES = {
    "chat": _Kind.SPAN_KIND_LLM,
    "completion": _Kind.SPAN_KIND_LLM,
    "embedding": _Kind.SPAN_KIND_EMBEDDING,
    "rerank": _Kind.SPAN_KIND_RERANKER,
}
_KINDS = {
    "openinference.span.kind": _OPENINFERENCE_KINDS,
    "gen_ai.operation.name": _OPERATIONS,
    "traceloop.span.kind": _TRACELOOP_KINDS,
    "llm.request.type": _REQUEST_TYPES,
}
_PROVIDERS = {
    "az.ai.inference": "azure.ai.inference",
    "az.ai.openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "aws": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "mistralai": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""Older and other conventions' names, for the values of `gen_ai.provider.name`."""


class Row(NamedTuple):
    """One typed field: how values become its value, and where they come from, best first."""

    convert: convert.Converter
    sources: tuple[str, ...]


# The first ten in the order of `Dims`, so that they are one with a slice.
AGENT = 0
ENVIRONMENT = 1
MODEL = 2
PROVIDER = 3
MACHINE = 4
WORKSPACE = 5
TOOL_NAME = 6
ERROR_TYPE = 7
KIND = 8
STATUS = 9
USER_ID = 10
SESSION_ID = 11
FIRST_TOKEN = 12
TAGS = 13
INPUT_TOKENS = 14
OUTPUT_TOKENS = 15
TOTAL_TOKENS = 16
CACHE_READ = 17
CACHE_WRITE = 18
REASONING = 19
COST = 20
COST_CURRENCY = 21
COST_SOURCE = 22
PROMPT_COST = 23
COMPLETION_COST = 24
FIELDS = 25
DIMS = slice(AGENT, STATUS + 1)
UNKNOWN: tuple[Any, ...] = ("",) * KIND + (0, 0, "", "", 0) + (None,) * (FIELDS - TAGS)
"""The value of each field that no attribute fills."""

_ASSOCIATION = "traceloop.association.properties."

ROWS: dict[int, Row] = {
    KIND: Row(convert.kind(_KINDS, frozenset(_OPERATIONS) - _PLAIN_OPERATIONS), tuple(_KINDS)),
    MODEL: Row(
        convert.text("model"),
        (
            # Who answered counts before who was asked.
            *("llm.response.model_name", "llm.model_name", "gen_ai.response.model"),
            *("embedding.model_name", "reranker.model_name"),
            *("llm.request.model_name", "gen_ai.request.model"),
        ),
    ),
    PROVIDER: Row(
        convert.named("provider", _PROVIDERS),
        ("llm.provider", "gen_ai.provider.name", "llm.system", "gen_ai.system"),
    ),
    AGENT: Row(convert.agent, ("agent.name", "gen_ai.agent.name", "service.name")),
    TOOL_NAME: Row(convert.text("tool_name"), ("tool.name", "gen_ai.tool.name")),
    ENVIRONMENT: Row(
        convert.text("environment"), ("deployment.environment.name", "deployment.environment")
    ),
    MACHINE: Row(convert.text("machine"), ("host.name", "host.id")),
    WORKSPACE: Row(
        convert.text("workspace"),
        ("bartizan.workspace", "vcs.repository.name", "vcs.repository.url.full"),
    ),
    ERROR_TYPE: Row(convert.text("error_type"), ("error.type", "exception.type")),
    USER_ID: Row(
        convert.text("user_id"),
        (
            *("user.id", "enduser.id", "enduser.pseudo.id", "llm.user"),
            *(_ASSOCIATION + "user_id", _ASSOCIATION + "userId"),
        ),
    ),
    SESSION_ID: Row(
        convert.text("session_id"),
        (
            *("session.id", "gen_ai.conversation.id"),
            *(_ASSOCIATION + "session_id", _ASSOCIATION + "sessionId"),
            *(_ASSOCIATION + "conversation_id", _ASSOCIATION + "thread_id"),
        ),
    ),
    TAGS: Row(convert.tags, ("tag.tags", "bartizan.tags")),
    FIRST_TOKEN: Row(
        convert.seconds,
        ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token"),
    ),
    INPUT_TOKENS: Row(
        convert.tokens,
        (
            *("llm.token_count.prompt", "gen_ai.usage.input_tokens"),
            *("gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"),
        ),
    ),
    OUTPUT_TOKENS: Row(
        convert.tokens,
        (
            *("llm.token_count.completion", "gen_ai.usage.output_tokens"),
            *("gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"),
        ),
    ),
    TOTAL_TOKENS: Row(
        convert.tokens,
        ("llm.token_count.total", "gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
    ),
    CACHE_READ: Row(
        convert.tokens,
        (
            "llm.token_count.prompt_details.cache_read",
            "llm.token_count.prompt_details.cache_input",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.cached_input_tokens",
        ),
    ),
    CACHE_WRITE: Row(
        convert.tokens,
        (
            "llm.token_count.prompt_details.cache_write",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_creation_input_tokens",
        ),
    ),
    REASONING: Row(
        convert.tokens,
        (
            "llm.token_count.completion_details.reasoning",
            "gen_ai.usage.reasoning.output_tokens",
            "gen_ai.usage.reasoning_tokens",
            "llm.usage.reasoning_tokens",
        ),
    ),
    COST: Row(convert.cost, ("llm.cost.total", "gen_ai.usage.cost.amount", "gen_ai.usage.cost")),
    COST_CURRENCY: Row(convert.currency, ("gen_ai.usage.cost.currency",)),
    COST_SOURCE: Row(convert.cost_source, ("gen_ai.usage.cost.source",)),
    PROMPT_COST: Row(convert.cost_part, ("llm.cost.prompt",)),
    COMPLETION_COST: Row(convert.cost_part, ("llm.cost.completion",)),
}

SOURCES: dict[str, tuple[int, int]] = {
    key: (field, rank) for field, row in ROWS.items() for rank, key in enumerate(row.sources)
}
"""Attribute key to its field and its rank there; the lower rank wins."""

ENTITY_RANK = 50
RESOURCE_RANK = 100
"""Added to the ranks of resource attributes: they come after any of the span."""
OF_RESOURCE = frozenset({AGENT, ENVIRONMENT, MACHINE, WORKSPACE, USER_ID, SESSION_ID, TAGS})
"""The fields that may come from the resource."""


class Form:
    """How a source of messages is written."""

    MESSAGES = 0
    """A list of messages, as JSON text or structured."""
    FLAT = 1
    """One attribute for each leaf: `<key><n>.<path>`."""
    EVENTS = 2
    """Span events."""
    VALUE = 3
    """One text, the whole of what went in or came out."""
    DOCUMENTS = 4
    """A list of documents, as JSON text or structured."""


class Source(NamedTuple):
    """A place where messages are found."""

    form: int
    rank: int
    """The lower wins."""


def _ranked(*sources: tuple[str, int]) -> dict[str, Source]:
    return {key: Source(form, rank) for rank, (key, form) in enumerate(sources)}


FIRST_CHUNK_EVENT = "First Token Stream Event"
"""OpenInference's instrumentation of openai tells the time to the first token by it."""

EVENTS = "events"
"""Stands for the span events that carry messages."""


INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
"""Goes before the input messages, whatever their source."""

INPUT = _ranked(
    ("llm.input_messages.", Form.FLAT),
    (INPUT_MESSAGES, Form.MESSAGES),
    ("gen_ai.prompt.", Form.FLAT),
    (EVENTS, Form.EVENTS),
    ("llm.prompts.", Form.FLAT),
    ("gen_ai.prompt", Form.MESSAGES),
    ("embedding.embeddings.", Form.FLAT),
    ("gen_ai.tool.call.arguments", Form.VALUE),
    ("gen_ai.retrieval.query.text", Form.VALUE),
    ("gen_ai.memory.query.text", Form.VALUE),
    ("reranker.query", Form.VALUE),
    ("input.value", Form.VALUE),
    ("traceloop.entity.input", Form.VALUE),
)
"""The first that yields messages is the input; the others stay attributes or events."""

OUTPUT = _ranked(
    ("llm.output_messages.", Form.FLAT),
    (OUTPUT_MESSAGES, Form.MESSAGES),
    ("gen_ai.completion.", Form.FLAT),
    (EVENTS, Form.EVENTS),
    ("llm.choices.", Form.FLAT),
    ("gen_ai.completion", Form.MESSAGES),
    ("retrieval.documents.", Form.FLAT),
    ("reranker.output_documents.", Form.FLAT),
    ("gen_ai.retrieval.documents", Form.DOCUMENTS),
    ("gen_ai.tool.call.result", Form.VALUE),
    ("output.value", Form.VALUE),
    ("traceloop.entity.output", Form.VALUE),
)
"""The same for the output."""

INPUT_DOCUMENTS = "reranker.input_documents."
"""Goes after the input messages, whatever their source."""

MIME_TYPES = {"input.value": "input.mime_type", "output.value": "output.mime_type"}
CALL_IDS = ("tool.id", "gen_ai.tool.call.id")
"""What joins the call of a tool with the request for it, best first."""
ENTITY_NAME = "traceloop.entity.name"
"""Names the agent of an AGENT span and the tool of a TOOL span, where nothing better does."""

CONTENT = frozenset(
    {key for key, source in (INPUT | OUTPUT).items() if source.form not in (Form.FLAT, Form.EVENTS)}
    | {SYSTEM_INSTRUCTIONS, ENTITY_NAME, *MIME_TYPES.values(), *CALL_IDS}
)
"""Attributes that the choice of messages looks at."""

_MESSAGE_LEAVES = frozenset(
    {
        *("role", "content", "name", "tool_call_id", "id", "arguments", "text", "type", "url"),
        *("function_call_name", "function_call_arguments_json"),
    }
)
_DOCUMENT_LEAVES = frozenset({"content", "id"})
DOCUMENT_LISTS = frozenset({"retrieval.documents.", INPUT_DOCUMENTS, "reranker.output_documents."})
FLAT: dict[str, frozenset[str]] = {
    "llm.input_messages.": _MESSAGE_LEAVES,
    "llm.output_messages.": _MESSAGE_LEAVES,
    "gen_ai.prompt.": _MESSAGE_LEAVES,
    "gen_ai.completion.": _MESSAGE_LEAVES,
    "llm.prompts.": frozenset({"text"}),
    "llm.choices.": frozenset({"text"}),
    "embedding.embeddings.": frozenset({"text"}),
    "retrieval.documents.": _DOCUMENT_LEAVES,
    INPUT_DOCUMENTS: _DOCUMENT_LEAVES,
    "reranker.output_documents.": _DOCUMENT_LEAVES,
}
"""Flattened lists and the last path elements that are read; other leaves stay attributes."""

CALL_ARGUMENTS = "gen_ai.tool.call.arguments"
CALL_RESULT = "gen_ai.tool.call.result"
FINISH_REASONS = "gen_ai.response.finish_reasons"
