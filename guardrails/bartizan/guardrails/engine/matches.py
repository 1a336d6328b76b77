"""Runs the patterns of presidio's recognizers as presidio does, and makes nothing but offsets.

presidio makes three objects and an explanation of every match: more work than to find it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, TypeGuard

import regex
from presidio_analyzer import EntityRecognizer, PatternRecognizer
from presidio_analyzer.predefined_recognizers import EmailRecognizer, IbanRecognizer

from bartizan.guardrails.pii_score import Scored

GIVE_UP_AFTER_SECONDS = 4
"""For one pattern and one text; a megabyte takes a tenth of it. presidio's own is a minute."""

SURELY_IN_TIME_CHARACTERS = 100
"""Watching the time takes longer than looking at so little."""

DOMAINS_REMEMBERED = 4_096

Check = Callable[[str], bool | None]


class GaveUp(RuntimeError):
    """Raised when a recognizer spends too long on a text and would pass over it in silence."""


class Matcher:
    """A recognizer of presidio that has one pattern."""

    def __init__(self, recognizer: PatternRecognizer) -> None:
        """Takes the pattern and what the recognizer does to make sure of a match."""
        known: Any = recognizer.patterns  # type: ignore[has-type]
        [pattern] = known
        self._entity: str = recognizer.supported_entities[0]
        self._score: float = pattern.score
        self._pattern = regex.compile(pattern.regex, recognizer.global_regex_flags or 0)
        self._valid = _valid(recognizer)
        self._invalid = _overridden(recognizer, "invalidate_result")
        # Words may follow an IBAN: it is the longest part of a match that has the check digits.
        is_iban = isinstance(recognizer, IbanRecognizer)
        self._groups: Sequence[int] = range(self._pattern.groups, 0, -1) if is_iban else (0,)

    def find(self, text: str, low: int = 0) -> list[Scored]:
        """Returns the matches in a text, which begins at `low` of a longer one.

        Raises GaveUp if it takes too long.
        """
        limit = GIVE_UP_AFTER_SECONDS if len(text) > SURELY_IN_TIME_CHARACTERS else None
        matches = self._pattern.finditer(text, timeout=limit)
        found: list[Scored] = []
        try:
            for match in matches:
                start = match.start()
                for group in self._groups:
                    end = match.end(group)
                    score = self._score_of(text[start:end])
                    if score > 0:
                        found.append(Scored(self._entity, low + start, low + end, score))
                        break
        except TimeoutError:
            raise GaveUp("a recognizer gave up on a text") from None
        return found

    def _score_of(self, found: str) -> float:
        if not found:
            return 0.0
        score = self._score
        if self._valid is not None:
            valid = self._valid(found)
            if valid is not None:
                score = 1.0 if valid else 0.0
        if score and self._invalid is not None and self._invalid(found):
            return 0.0
        return score


def can_match(recognizer: EntityRecognizer) -> TypeGuard[PatternRecognizer]:
    """Returns True if a recognizer is known to do nothing but what a Matcher does."""
    if not isinstance(recognizer, PatternRecognizer):
        return False
    analyze = type(recognizer).analyze
    return analyze in (PatternRecognizer.analyze, IbanRecognizer.analyze)


def _overridden(recognizer: PatternRecognizer, name: str) -> Check | None:
    own = getattr(type(recognizer), name) is not getattr(PatternRecognizer, name)
    check: Check | None = getattr(recognizer, name) if own else None
    return check


def _valid(recognizer: PatternRecognizer) -> Check | None:
    validate = _overridden(recognizer, "validate_result")
    if validate is None or not isinstance(recognizer, EmailRecognizer):
        return validate
    return _by_domain(validate)


def _by_domain(validate: Check) -> Check:
    """Returns a check of addresses that remembers what it said of the last few domains."""

    @lru_cache(DOMAINS_REMEMBERED)
    def is_domain(domain: str) -> bool | None:
        return validate(f"x@{domain}")

    def check(address: str) -> bool | None:
        if "/" in address or "?" in address or "#" in address:
            # Where an address of the web would have its path: the domain is not all that counts.
            return validate(address)
        return is_domain(address.rpartition("@")[2])

    return check
