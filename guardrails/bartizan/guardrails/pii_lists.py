"""What is personal data, or none, because a configuration says so."""

import threading
from collections.abc import Iterable, Iterator, Sequence

import re2

from bartizan.guardrails.engine.expressions import Expressions
from bartizan.guardrails.engine.keywords import Keyword, Keywords
from bartizan.guardrails.engine.prefilter import options
from bartizan.guardrails.pii_config import DenyConfig
from bartizan.plugins.contract import Finding

CERTAIN = 1.0


class Allowed:
    """The values that are never reported."""

    def __init__(self, values: Iterable[str], patterns: Iterable[str]) -> None:
        """Takes values as they stand, and expressions that have to match a value whole."""
        self._values = frozenset(values)
        any_of_them = "|".join(f"(?:{pattern})" for pattern in patterns)
        self._pattern = re2.compile(any_of_them, options()) if any_of_them else None

    def __contains__(self, value: str) -> bool:
        if value in self._values:
            return True
        return self._pattern is not None and self._pattern.fullmatch(value) is not None


class Denied:
    """The values that are always reported. Serves many threads."""

    def __init__(self, lists: Sequence[DenyConfig]) -> None:
        """Compiles the lists."""
        self._names = [one.name for one in lists]
        words = [
            Keyword(value, owner, True)
            for owner, one in enumerate(lists)
            for value in dict.fromkeys(one.values)
        ]
        self._words = Keywords(words, case_sensitive=False)
        self._owners = [owner for owner, one in enumerate(lists) if one.pattern is not None]
        patterns = [f"(?i:{one.pattern})" for one in lists if one.pattern is not None]
        self._expressions = Expressions(patterns) if patterns else None

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes, ascending, of the texts that may hold one. Cheap."""
        if self._expressions is not None:
            return range(len(values))
        return self._words.candidates(values)

    def find(self, text: str, gone: threading.Event) -> list[Finding]:
        """Returns the values in a text, in its order.

        Soon raises NobodyWaits once `gone` is set.
        """
        found = {(start, end, self._names[owner]) for start, end, owner in self._spans(text, gone)}
        return [
            Finding(f"pii.{name}", CERTAIN, start, end, f"PII_{name.upper()}")
            for start, end, name in sorted(found)
        ]

    def _spans(self, text: str, gone: threading.Event) -> Iterator[tuple[int, int, int]]:
        if self._words.candidates([text]):
            yield from self._words.find(text, gone)
        if self._expressions is not None:
            for index, (start, end) in self._expressions.find(text, gone):
                yield start, end, self._owners[index]
