"""Which spans an alert rule looks at, and by what it tells them apart."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from bartizan.alerts.documents import known
from bartizan.plugins.config import PluginConfig

SPAN_KINDS = (
    "llm", "embedding", "chain", "retriever", "reranker", "tool", "agent", "guardrail", "evaluator",
    "prompt", "workflow",
)  # fmt: skip
GROUP_KEYS = (
    "agent", "model", "provider", "environment", "user", "session", "tag", "span_kind", "tool",
    "error_type", "category",
)  # fmt: skip

SpanKind = Annotated[str, BeforeValidator(known("span kind", SPAN_KINDS))]
GroupKey = Annotated[str, BeforeValidator(known("key to group by", GROUP_KEYS))]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], Field(max_length=100)
]


class Scope(PluginConfig):
    """Which spans count. An empty list means all; a name may end in `*`."""

    agents: Names = Field((), description="Agents, by name.")
    models: Names = Field((), description="Models, by name.")
    providers: Names = Field((), description="Providers of models, by name.")
    environments: Names = Field((), description="Environments, by name.")
    users: Names = Field((), description="Users, by id.")
    tags: Names = Field((), description="Tags: one of them is enough.")
    span_kinds: tuple[SpanKind, ...] = Field((), description="Kinds of spans: `tool`.")
    tools: Names = Field((), description="Tools, by name.")
    error_types: Names = Field((), description="Types of errors, by name.")
