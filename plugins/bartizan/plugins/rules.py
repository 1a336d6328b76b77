"""Rules: what a platform team writes. Guardrails find; rules decide."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

import yaml
from pydantic import Field, model_validator

from bartizan.plugins.config import PluginConfig, as_mapping, parse_config
from bartizan.plugins.contract import Role
from bartizan.plugins.decision import Action, Verdict
from bartizan.plugins.errors import ConfigError

VERSION_DIGITS = 12


class Redaction(StrEnum):
    """What takes the place of redacted text."""

    MASK = "mask"
    HASH = "hash"
    DROP = "drop"


class Stage(StrEnum):
    """When a rule runs: before the write, or after it."""

    INLINE = "inline"
    DEFERRED = "deferred"


class Mode(StrEnum):
    """Whether a rule acts or only watches."""

    SHADOW = "shadow"
    ENFORCE = "enforce"


class OnFailure(StrEnum):
    """What a rule says of texts that its plugin could not judge."""

    ALLOW = "allow"
    DENY = "deny"


class Where(PluginConfig):
    """Where a rule applies. An empty list means everywhere; a name may end in `*`."""

    roles: tuple[Role, ...] = Field((), description="Who the text comes from.")
    agents: tuple[str, ...] = Field((), description="Agents, by name.")
    environments: tuple[str, ...] = Field((), description="Environments, by name.")
    models: tuple[str, ...] = Field((), description="Models, by name.")

    @property
    def looks_at_context(self) -> bool:
        """True if more than the text itself decides whether the rule applies."""
        return bool(self.agents or self.environments or self.models)


class Rule(PluginConfig):
    """One rule."""

    id: str = Field(
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Lower case letters, digits and hyphens; findings name it.",
    )
    plugin: str = Field(min_length=1, max_length=63, description="The guardrail that looks.")
    config: dict[str, Any] = Field(default_factory=dict, description="The guardrail's own keys.")
    where: Where = Field(default_factory=Where, description="Where the rule applies.")
    threshold: float = Field(0.0, ge=0, le=1, description="Findings below this score do not count.")
    action: Action = Field(Action.FLAG, description="What is done about a finding.")
    redaction: Redaction = Field(Redaction.MASK, description="What takes the place of the text.")
    redaction_by_category: dict[str, Redaction] = Field(
        default_factory=dict,
        description="Other redactions for some categories; `pii` means all of `pii.…`.",
    )
    stage: Stage = Field(Stage.INLINE, description="Before the write or after it.")
    mode: Mode = Field(Mode.ENFORCE, description="Act, or only watch.")
    budget_ms: int = Field(
        2_000, ge=1, le=600_000, description="How long one call may take, in milliseconds."
    )
    on_timeout: OnFailure | None = Field(
        None, description="What if the budget is spent. Default: deny for redact, else allow."
    )
    on_error: OnFailure | None = Field(
        None, description="What if the guardrail fails. Default: deny for redact, else allow."
    )
    max_concurrency: int = Field(8, ge=1, le=1_024, description="How many calls may run at once.")

    @model_validator(mode="after")
    def _deferred_only_flags(self) -> Self:
        if self.stage is Stage.DEFERRED and self.action is not Action.FLAG:
            raise ValueError(
                f"a deferred rule can only flag: it runs after the write, too late to {self.action}"
            )
        return self

    @property
    def shadow(self) -> bool:
        """True when the rule only watches."""
        return self.mode is Mode.SHADOW

    @property
    def verdict(self) -> Verdict:
        """What the rule thinks of a text with a finding in it."""
        return VERDICTS[self.action]

    def denies(self, choice: OnFailure | None) -> bool:
        """Returns True if a failure handled as `choice` denies the texts it left unjudged."""
        if choice is None:
            return self.action is Action.REDACT
        return choice is OnFailure.DENY

    def redaction_of(self, category: str) -> Redaction:
        """Returns the redaction for a category: the longest dotted prefix that is listed wins."""
        while category:
            if category in self.redaction_by_category:
                return self.redaction_by_category[category]
            category = category.rpartition(".")[0]
        return self.redaction

    @cached_property
    def version(self) -> str:
        """A short hash of the rule's canonical document."""
        document = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()[:VERSION_DIGITS]


VERDICTS: Mapping[Action, Verdict] = {
    Action.FLAG: Verdict.ALLOW,
    Action.REDACT: Verdict.MODIFY,
    Action.BLOCK: Verdict.DENY,
}


class RulesDocument(PluginConfig):
    """The whole of a rules file."""

    rules: tuple[Rule, ...] = Field((), description="The rules, in the order findings are told.")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules with distinct ids."""

    rules: tuple[Rule, ...] = ()

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def at(self, stage: Stage) -> "RuleSet":
        """Returns the rules that run at a stage."""
        return RuleSet(tuple(rule for rule in self.rules if rule.stage is stage))


def load_rules(text: str, where: str = "rules") -> RuleSet:
    """Returns the rules in a YAML document.

    `where` names the document in messages. Raises ConfigError if it is no YAML, a key is unknown,
    a value is out of bounds or two rules share an id.
    """
    rules = parse_config(RulesDocument, as_mapping(_yaml(text, where), where), where).rules
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise ConfigError("DUPLICATE_RULE", f"{where}: two rules have the id '{rule.id}'")
        seen.add(rule.id)
    return RuleSet(rules)


def _yaml(text: str, where: str) -> object:
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ConfigError("INVALID_YAML", f"{where}: {line}this is not YAML: {problem}") from None
