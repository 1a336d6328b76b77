"""A project's own rules, and what they and the server's come to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bartizan.plugins.config import parse_config
from bartizan.plugins.errors import ConfigError
from bartizan.plugins.rules import Rule, RuleSet


@dataclass(frozen=True, slots=True)
class StoredRule:
    """One revision of one rule of a project.

    Attributes:
        revision: grows with each change to any rule, in the order of the commits.
        document: what was written; None says that the rule was deleted.
        author: the id of the API key that wrote it.
    """

    project_id: int
    id: str
    revision: int
    version: str
    document: Mapping[str, Any] | None
    paused: bool
    author: str
    create_time: datetime

    def rule(self) -> Rule:
        """Returns the rule; raises ConfigError if this version of Bartizan cannot read it."""
        return parse_config(Rule, self.document, f"rule '{self.id}'")


@dataclass(frozen=True, slots=True)
class Effective:
    """The rules of one project.

    Attributes:
        rules: those that judge: the server's, with the project's own over them.
        problems: by id, why a rule is not in force as it is written.
    """

    rules: RuleSet
    problems: Mapping[str, str]


def effective(house: RuleSet, own: Iterable[StoredRule]) -> Effective:
    """Returns what is in force: a project's rule takes the place of the server's of the same id.

    The order is the server's, then that of the ids. A rule that names another one in vain does
    what it can without it.
    """
    chosen: dict[str, Rule | None] = {rule.id: rule for rule in house}
    problems: dict[str, str] = {}
    for stored in sorted(own, key=lambda one: one.id):
        if stored.document is None:
            continue
        try:
            chosen[stored.id] = None if stored.paused else stored.rule()
        except ConfigError as error:
            chosen[stored.id] = stand_in(stored.id, stored.document)
            problems[stored.id] = error.message
    for rule_id, problem in _rules(chosen).unresolved().items():
        rule = chosen[rule_id]
        assert rule is not None
        chosen[rule_id] = stand_in(rule_id, rule.document) or rule
        problems[rule_id] = problem
    return Effective(_rules(chosen), problems)


def _rules(chosen: Mapping[str, Rule | None]) -> RuleSet:
    return RuleSet(tuple(rule for rule in chosen.values() if rule is not None))


def stand_in(rule_id: str, document: Mapping[str, Any]) -> Rule | None:
    """Returns a rule that always fails, for one that cannot be read but was to redact.

    Its texts are withheld: to store them as they are would break a promise.
    """
    if document.get("action") != "redact" or document.get("mode") == "shadow":
        return None
    return Rule(id=rule_id, plugin="unreadable", action="redact", on_error="deny")
