"""The pattern recognizers of presidio, called one by one and without its language models.

Importing this module takes seconds and some 100 MB: do it in a thread, when it is needed.
"""

import inspect
import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any, cast

import tldextract
from presidio_analyzer import (
    EntityRecognizer,
    Pattern,
    PatternRecognizer,
    pattern_recognizer,
    predefined_recognizers,
)
from presidio_analyzer.predefined_recognizers.generic import iban_recognizer

from bartizan.guardrails.engine.matches import (
    GIVE_UP_AFTER_SECONDS,
    GaveUp,
    Matcher,
    can_match,
)
from bartizan.guardrails.engine.own_recognizers import own_recognizers
from bartizan.guardrails.engine.phone_patterns import PHONES
from bartizan.guardrails.engine.prefilter import Condition, condition
from bartizan.guardrails.engine.windows import Windows, windows
from bartizan.guardrails.pii_score import Scored, boosted

NO_MODEL: Any = None

# Otherwise the first e-mail address would fetch the list of domain suffixes from the Internet.
tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)


class _HearGivingUp(logging.Filter):
    """Turns the one log line by which presidio says so into an error, and keeps back the rest.

    The rest quotes what was found: personal data.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if "timed out" in str(record.msg):
            raise GaveUp("a recognizer gave up on a text")
        return False


logging.getLogger("presidio-analyzer").addFilter(_HearGivingUp())
pattern_recognizer.REGEX_TIMEOUT_SECONDS = GIVE_UP_AFTER_SECONDS
iban_recognizer.REGEX_TIMEOUT_SECONDS = GIVE_UP_AFTER_SECONDS


class Recognizer:
    """A recognizer of presidio with one of its patterns: most texts match one of several."""

    def __init__(self, recognizer: EntityRecognizer) -> None:
        """Takes a recognizer; one without patterns is run over every text."""
        self.entity: str = recognizer.supported_entities[0]
        self.words: Sequence[str] = recognizer.context
        self.condition: Condition | None = None
        """What a text must match; None if that is not known."""
        self._recognizer = recognizer
        self._windows: Windows | None = None
        self._matcher = Matcher(recognizer) if can_match(recognizer) else None
        if isinstance(recognizer, PatternRecognizer):
            # What stands before `\\K` is part of the match for RE2, which has no such sign.
            pattern = _patterns(recognizer)[0].regex.replace(r"\K", "")
            flags = recognizer.global_regex_flags or 0
            self.condition = condition([(pattern, flags)])
            self._windows = windows(pattern, flags)

    def find(self, text: str, encoded: bytes | None) -> list[Scored]:
        """Returns what the recognizer finds in a text, given as `prefilter.encode` gives it too."""
        if self._matcher is None:
            return self.find_thoroughly(text)
        if self._windows is None or encoded is None or len(encoded) != len(text):
            return self._matcher.find(text)
        found: list[Scored] = []
        for low, high in self._windows.of(text, encoded):
            found += self._matcher.find(text[low:high], low)
        return found

    def find_thoroughly(self, text: str) -> list[Scored]:
        """Returns the same as `find`: what presidio itself finds in the whole text."""
        results = self._recognizer.analyze(text, self._recognizer.supported_entities, NO_MODEL)
        return [Scored(self.entity, one.start, one.end, one.score) for one in results]


def recognizers(thresholds: Mapping[str, float]) -> list[Recognizer]:
    """Returns the recognizers of the given entities that can reach the thresholds.

    The one of telephone numbers is left out.
    """
    found: dict[str, Sequence[EntityRecognizer]] = {
        recognizer.supported_entities[0]: [recognizer] for recognizer in _predefined()
    }
    found.update(own_recognizers())
    return [
        Recognizer(part)
        for entity, threshold in thresholds.items()
        for recognizer in found[entity]
        for part in _parts(recognizer, threshold)
    ]


def phones() -> list[Recognizer]:
    """Returns the recognizers of what is written or named like a telephone number."""
    made = PatternRecognizer(supported_entity="PHONE_NUMBER", patterns=list(PHONES))
    return [Recognizer(part) for part in _parts(made, 0.0)]


def supported_entities() -> set[str]:
    """Returns the entities that presidio can find without a model."""
    return {recognizer.supported_entities[0] for recognizer in _predefined()}


def _predefined() -> Iterable[EntityRecognizer]:
    for _, cls in inspect.getmembers(predefined_recognizers, inspect.isclass):
        if cls.__module__.startswith(WITHOUT_MODELS):
            yield cast(EntityRecognizer, cls())


WITHOUT_MODELS = (
    "presidio_analyzer.predefined_recognizers.generic",
    "presidio_analyzer.predefined_recognizers.country_specific",
)


def _parts(recognizer: EntityRecognizer, threshold: float) -> list[EntityRecognizer]:
    if not isinstance(recognizer, PatternRecognizer):
        return [recognizer]
    known = _patterns(recognizer)
    if type(recognizer).validate_result is PatternRecognizer.validate_result:
        known = [pattern for pattern in known if boosted(pattern.score) >= threshold]
    return [_with(recognizer, pattern) for pattern in known]


def _patterns(recognizer: Any) -> list[Pattern]:
    return list(recognizer.patterns)


def _with(recognizer: PatternRecognizer, pattern: Pattern) -> EntityRecognizer:
    part: Any = copy(recognizer)
    part.patterns = [pattern]
    return cast(EntityRecognizer, part)
