"""Tools by name, and which of them may be called."""

from collections.abc import Iterable
from typing import Any

import re2

from bartizan.guardrails.engine.prefilter import options
from bartizan.guardrails.tool_policy.arguments import Object


class Tools:
    """Some tools, by patterns of their names in which `*` is anything."""

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compiles the patterns. Without any there is no tool among them."""
        spelt = "|".join(
            ".*".join(map(re2.escape, _readable(pattern).split("*"))) for pattern in patterns
        )
        self._names = re2.compile(f"(?s:{spelt})", options()) if spelt else None

    def __contains__(self, name: str) -> bool:
        """Returns True if a tool is one of them."""
        return self._names is not None and self._names.fullmatch(_readable(name)) is not None


def named_in(document: Any) -> str:
    """Returns the tool that a call names, `{"function": {"name": …}}`; nothing if it does not."""
    function = _member(document, "function")
    name = _member(function, "name")
    return name if isinstance(name, str) and _member(function, "arguments") is not None else ""


def _member(document: Any, name: str) -> Any:
    if not isinstance(document, Object):
        return None
    # The last of two is the one that most readers take.
    return next((value for known, value in reversed(document) if known == name), None)


def _readable(name: str) -> str:
    return name if name.isascii() else name.encode("utf-8", "replace").decode()
