"""Checks one argument against one rule."""

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import re2

from bartizan.guardrails.engine.prefilter import options
from bartizan.guardrails.tool_policy.arguments import Path
from bartizan.guardrails.tool_policy.config import ArgumentRule
from bartizan.guardrails.tool_policy.paths import Paths, words
from bartizan.guardrails.tool_policy.sql import Verbs
from bartizan.guardrails.tool_policy.tools import Tools

PATHS_REMEMBERED = 4_096

_BETWEEN = "\x1f"
_NAME = f"[^{_BETWEEN}]*"


class Check:
    """A compiled rule."""

    def __init__(self, rule: ArgumentRule) -> None:
        """Compiles what the rule asks."""
        self.rule = rule
        self._tools = Tools(rule.tools)
        self._everywhere = rule.argument.endswith("**")
        self._argument = re2.compile(_path_expression(rule.argument), options())
        self._deny = _any_of(rule.deny)
        self._allowed = {_typed(value) for value in rule.allow}
        self._allow = _any_of(rule.allow_patterns)
        self._has_allowed = bool(rule.allow or rule.allow_patterns)
        self._has_bounds = rule.min is not None or rule.max is not None
        self._verbs = Verbs(rule.forbidden_sql) if rule.forbidden_sql else None
        self._forbidden = Paths(rule.forbidden_paths) if rule.forbidden_paths else None
        self._allowed_paths = Paths(rule.allowed_paths) if rule.allowed_paths else None

    def applies_to(self, path: Path, tool: str) -> bool:
        """Returns True if the rule is about the argument there. Every rule is about no tool."""
        if tool and self.rule.tools and tool not in self._tools:
            return False
        return self._argument.fullmatch(_joined(path)) is not None

    def broken(self, value: Any) -> str | None:
        """Returns the reason code of what a value breaks."""
        if isinstance(value, list):
            limited = self._has_allowed or self._has_bounds or self._allowed_paths is not None
            return "VALUE_NOT_ALLOWED" if limited and not self._everywhere else None
        return next(self._faults(value), None)

    def _faults(self, value: Any) -> Iterator[str]:
        if self._deny is not None and self._deny.search(_text(value)) is not None:
            yield "ARGUMENT_DENIED"
        if self._has_allowed and not self._is_allowed(value):
            yield "VALUE_NOT_ALLOWED"
        if self._has_bounds:
            yield from self._number_faults(value)
        if isinstance(value, str):
            yield from self._text_faults(value)

    def _is_allowed(self, value: Any) -> bool:
        if _typed(value) in self._allowed:
            return True
        return self._allow is not None and self._allow.fullmatch(_text(value)) is not None

    def _number_faults(self, value: Any) -> Iterator[str]:
        rule, number = self.rule, _number(value)
        if number is None:
            # Everywhere are other things than numbers, and they are not meant.
            if not self._everywhere:
                yield "NOT_A_NUMBER"
        elif rule.min is not None and not number >= rule.min:
            yield "NUMBER_TOO_SMALL"
        elif rule.max is not None and not number <= rule.max:
            yield "NUMBER_TOO_LARGE"

    def _text_faults(self, value: str) -> Iterator[str]:
        if self._verbs is not None and value in self._verbs:
            yield "SQL_FORBIDDEN"
        if self._forbidden is not None and any(word in self._forbidden for word in words(value)):
            yield "PATH_FORBIDDEN"
        if self._allowed_paths is not None and value not in self._allowed_paths:
            yield "PATH_NOT_ALLOWED"


class Checks:
    """The compiled rules of a policy."""

    def __init__(self, rules: Iterable[ArgumentRule]) -> None:
        """Compiles the rules."""
        self._all = tuple(map(Check, rules))
        self.at = lru_cache(maxsize=PATHS_REMEMBERED)(self._at)

    def _at(self, path: Path, tool: str) -> tuple[Check, ...]:
        return tuple(check for check in self._all if check.applies_to(path, tool))


def _path_expression(argument: str) -> str:
    spelt = ""
    for name in argument.split("."):
        if name == "**":
            spelt += f"(?:{_NAME}{_BETWEEN})*"
        else:
            spelt += (_NAME if name == "*" else re2.escape(name)) + _BETWEEN
    return spelt


def _joined(path: Path) -> str:
    return _readable("".join(name + _BETWEEN for name in path))


def _any_of(patterns: Iterable[str]) -> Any:
    together = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re2.compile(together, options()) if together else None


def _readable(text: str) -> str:
    # A lone surrogate becomes a question mark.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _text(value: Any) -> str:
    return _readable(value if isinstance(value, str) else json.dumps(value))


def _typed(value: Any) -> tuple[bool, Any]:
    """Returns a value such that 1 is 1.0 and is not True."""
    return isinstance(value, bool), value


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
