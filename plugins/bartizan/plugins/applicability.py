"""Which texts a rule looks at."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from itertools import compress

from bartizan.plugins.contract import Role, Text
from bartizan.plugins.judgement import Context
from bartizan.plugins.rules import Rule


def applicable(
    rule: Rule, texts: Sequence[Text], contexts: Sequence[Context] | None
) -> Sequence[int]:
    """Returns the indexes of the texts where a rule applies."""
    indexes: Sequence[int] = range(len(texts))
    if rule.where.roles:
        roles: frozenset[Role] = frozenset(rule.where.roles)
        indexes = list(compress(indexes, [text.role in roles for text in texts]))
    if rule.looks_at_context and contexts is not None:
        seen = {id(context): context for context in contexts}
        fitting = {key for key, context in seen.items() if fits(rule, context)}
        indexes = [index for index in indexes if id(contexts[index]) in fitting]
    return indexes


def fits(rule: Rule, context: Context) -> bool:
    """Returns whether a rule applies where a text was seen, whatever its role."""
    where = rule.where
    return (
        _named(where.agents, context.agent)
        and _named(where.environments, context.environment)
        and _named(where.models, context.model)
        and _tagged(where.tags, context.tags)
        and (context.draw is None or context.draw < rule.sample)
    )


def _named(patterns: Sequence[str], name: str | None) -> bool:
    if not patterns or name is None:
        return True
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _tagged(patterns: Sequence[str], tags: Sequence[str] | None) -> bool:
    if not patterns or tags is None:
        return True
    return any(_named(patterns, tag) for tag in tags)
