"""Rules: what a platform team writes. Guardrails find; rules decide."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Self

from pydantic import Field, model_validator

from bartizan.plugins.combining import Condition
from bartizan.plugins.config import PluginConfig, as_mapping, nearest, parse_config
from bartizan.plugins.contract import Finding, Role
from bartizan.plugins.decision import Action, Severity, Verdict
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.yaml_text import read_yaml

VERSION_DIGITS = 12


class Redaction(StrEnum):
    """What takes the place of redacted text."""

    MASK = "mask"
    HASH = "hash"
    DROP = "drop"
    PSEUDONYM = "pseudonym"
    """A token that who may reveal it can turn back."""


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


class OnTimeout(StrEnum):
    """What a rule says of texts for which its budget was too short."""

    ALLOW = "allow"
    DENY = "deny"
    DEFER = "defer"
    """Nothing yet: the rule looks again after the write."""


class Where(PluginConfig):
    """Where a rule applies. An empty list means everywhere; a name may end in `*`."""

    roles: tuple[Role, ...] = Field((), description="Who the text comes from.")
    agents: tuple[str, ...] = Field((), description="Agents, by name.")
    environments: tuple[str, ...] = Field((), description="Environments, by name.")
    models: tuple[str, ...] = Field((), description="Models, by name.")
    tags: tuple[str, ...] = Field((), description="Tags of the span: one of them is enough.")

    @property
    def looks_at_context(self) -> bool:
        """True if more than the text itself decides whether the rule applies."""
        return bool(self.agents or self.environments or self.models or self.tags)


class Rule(PluginConfig):
    """One rule."""

    id: str = Field(
        pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
        description="Lower case letters, digits and hyphens; findings name it.",
    )
    description: str = Field("", max_length=2_000, description="Why the rule is there.")
    plugin: str = Field("", max_length=63, description="The guardrail that looks.")
    when: Condition | None = Field(
        None, description="Instead of a plugin: what other rules have to find in the same text."
    )
    config: dict[str, Any] = Field(default_factory=dict, description="The guardrail's own keys.")
    where: Where = Field(default_factory=Where, description="Where the rule applies.")
    threshold: float = Field(0.0, ge=0, le=1, description="Findings below this score do not count.")
    severity: Severity = Field(Severity.MEDIUM, description="How bad a finding is.")
    sample: float = Field(
        1.0, gt=0, le=1, description="The share of traces that the rule looks at, chosen by id."
    )
    action: Action = Field(Action.FLAG, description="What is done about a finding.")
    redaction: Redaction = Field(Redaction.MASK, description="What takes the place of the text.")
    redaction_by_category: dict[str, Redaction] = Field(
        default_factory=dict,
        description="Other redactions for some categories; `pii` means all of `pii.…`.",
    )
    stage: Stage = Field(Stage.INLINE, description="Before the write or after it.")
    after: tuple[str, ...] = Field(
        (),
        max_length=64,
        description="Of a deferred rule: inline rules, one of which found something in the span.",
    )
    mode: Mode = Field(Mode.ENFORCE, description="Act, or only watch.")
    budget_ms: int = Field(
        2_000, ge=1, le=600_000, description="How long one call may take, in milliseconds."
    )
    on_timeout: OnTimeout | None = Field(
        None, description="What if the budget is spent. Default: deny for redact, else allow."
    )
    on_error: OnFailure | None = Field(
        None, description="What if the guardrail fails. Default: deny for redact, else allow."
    )
    report: bool = Field(
        True, description="Off: what it finds is told nobody, and only serves `when` and `after`."
    )
    report_from: float = Field(
        0.0, ge=0, le=1, description="Findings below this score only serve `when` and `after`."
    )
    max_concurrency: int = Field(8, ge=1, le=1_024, description="How many calls may run at once.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self

    @property
    def shadow(self) -> bool:
        """True when the rule only watches."""
        return self.mode is Mode.SHADOW

    @property
    def verdict(self) -> Verdict:
        """What the rule thinks of a text with a finding in it."""
        return VERDICTS[self.action]

    @property
    def looks_at_context(self) -> bool:
        """True if more than the text itself decides whether the rule applies."""
        return self.where.looks_at_context or self.sample < 1

    def named_rules(self) -> Iterator[str]:
        """Yields the ids of the other rules that this one depends on."""
        yield from self.after
        if self.when is not None:
            yield from self.when.rules()

    def denies(self, choice: OnFailure | OnTimeout | None) -> bool:
        """Returns True if a failure handled as `choice` denies the texts it left unjudged."""
        if choice is None:
            return self.action is Action.REDACT
        return choice == OnFailure.DENY

    def reported(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Returns those of its findings that are told."""
        if self.report and not self.report_from:
            return findings
        return [one for one in findings if self.report and one.score >= self.report_from]

    @property
    def uses_pseudonyms(self) -> bool:
        """True if something that it finds may be turned back."""
        return Redaction.PSEUDONYM in (self.redaction, *self.redaction_by_category.values())

    def redaction_of(self, category: str) -> Redaction:
        """Returns the redaction for a category: the longest dotted prefix that is listed wins."""
        while category:
            if category in self.redaction_by_category:
                return self.redaction_by_category[category]
            category = category.rpartition(".")[0]
        return self.redaction

    @cached_property
    def document(self) -> dict[str, Any]:
        """The rule as JSON, without the keys that have their defaults."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @cached_property
    def version(self) -> str:
        """A short hash of the rule's canonical document."""
        document = json.dumps(self.document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(document.encode()).hexdigest()[:VERSION_DIGITS]

    def changed(self, **values: Any) -> "Rule":
        """Returns a rule with other values that goes by the version of this one.

        What it finds is told of the rule as it is written.
        """
        return self.model_copy(update={**values, "version": self.version})


def _problems(rule: Rule) -> Iterator[str]:
    if bool(rule.plugin) == (rule.when is not None):
        yield "a rule has a plugin or a condition in 'when': one of them"
    if rule.when is not None and rule.config:
        yield "config goes with a plugin"
    if rule.when is not None and not rule.when.finds():
        yield "'when' holds only by what is not found, so that there is nothing to act on"
    acts = rule.action is not Action.FLAG
    if acts and (not rule.report or rule.report_from):
        yield f"a rule that can {rule.action} has to report it"
    if rule.stage is Stage.DEFERRED and acts:
        yield f"a deferred rule can only flag: it runs after the write, too late to {rule.action}"
    if rule.stage is Stage.DEFERRED and rule.when is not None:
        yield "a combination is inline: it costs nothing"
    if rule.stage is Stage.INLINE and rule.after:
        yield "'after' goes with stage deferred"
    if rule.on_timeout is OnTimeout.DEFER and (acts or rule.stage is Stage.DEFERRED):
        yield "only an inline rule that flags can defer what it had no time for"
    if rule.sample < 1 and rule.action is Action.REDACT:
        yield "a rule that redacts a sample would store the rest"


VERDICTS: Mapping[Action, Verdict] = {
    Action.FLAG: Verdict.ALLOW,
    Action.REDACT: Verdict.MODIFY,
    Action.BLOCK: Verdict.DENY,
}


class RulesDocument(PluginConfig):
    """The whole of a rules file."""

    rules: tuple[Rule, ...] = Field((), description="The rules, in the order findings are told.")


@dataclass(frozen=True)
class RuleSet:
    """Rules with distinct ids."""

    rules: tuple[Rule, ...] = ()

    def check(self, where: str = "rules") -> Self:
        """Returns the set; raises ConfigError if two share an id or one names a rule in vain."""
        self.check_ids(where)
        for problem in self.unresolved().values():
            raise ConfigError("UNKNOWN_RULE", f"{where}: {problem}")
        return self

    def unresolved(self) -> dict[str, str]:
        """Returns by id what is wrong with the rules that name another one in vain."""
        return {
            rule.id: f"rule '{rule.id}' {problem}"
            for rule in self.rules
            for name in rule.named_rules()
            if (problem := _wrong(self.by_id.get(name), name, self.by_id)) is not None
        }

    @cached_property
    def by_id(self) -> dict[str, Rule]:
        """The rules by their id."""
        return {rule.id: rule for rule in self.rules}

    def check_ids(self, where: str = "rules") -> dict[str, Rule]:
        """Returns the rules by id; raises ConfigError if two have the same."""
        by_id: dict[str, Rule] = {}
        for rule in self.rules:
            if rule.id in by_id:
                raise ConfigError("DUPLICATE_RULE", f"{where}: two rules have the id '{rule.id}'")
            by_id[rule.id] = rule
        return by_id

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
    rules = parse_config(RulesDocument, as_mapping(read_yaml(text, where), where), where).rules
    return RuleSet(rules).check(where)


def _wrong(member: Rule | None, name: str, known: Iterable[str]) -> str | None:
    """Returns what is wrong with a rule that another one depends on; None if nothing is."""
    if member is None:
        return f"names a rule '{name}', which is not in force{nearest(name, known)}"
    if member.when is not None or member.stage is not Stage.INLINE:
        return f"names the rule '{name}', which is not an inline rule with a plugin"
    return None
