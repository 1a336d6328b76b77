"""How sure one can be of a finding: its form, and the words before it."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bartizan.guardrails.pii_cards import is_issued
from bartizan.guardrails.pii_entities import ENTITIES

BOOST = 0.35
"""What a telling word adds to a score, and the least score it lifts to: presidio's figures."""

LEAST_BOOSTED = 0.4

PART_OF_A_NAME = 0.2

WORDS_BEFORE = 6
CHARACTERS_BEFORE = 64

SAMPLE_SSNS = frozenset(("123456789", "987654320", "987654321", "078051120"))
"""Printed in examples and on a card that came with wallets."""

WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+(?![a-z])")
"""A word, also inside `phone_number` and `phoneNumber`."""

WORD_IN_ASCII = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""The same, several times faster."""


class Scored(NamedTuple):
    """A stretch of a text that may be personal data."""

    entity: str
    start: int
    end: int
    score: float


class Telling:
    """Words that tell what the number after them is."""

    def __init__(self, phrases: Iterable[str]) -> None:
        """Takes single words and phrases, in any case."""
        given = list(phrases)
        folded = {" ".join(_words(phrase)) for phrase in given} - {""}
        all_of_them = {f"{phrase}{ending}" for phrase in folded for ending in ("", "s")}
        self._words = {phrase for phrase in all_of_them if " " not in phrase}
        self._phrases = sorted(f" {phrase} " for phrase in all_of_them - self._words)
        self._first_words = {phrase.split()[0] for phrase in self._phrases}
        self._parts = [phrase for phrase in given if "\u0e00" <= phrase[:1] <= "\uffff"]

    def stands_before(self, text: str, start: int) -> bool:
        """Returns True if one of the words is among the last few before `start`."""
        around = text[max(0, start - CHARACTERS_BEFORE) : start]
        # Thai puts no spaces between words, and Korean none before particles.
        if any(part in around for part in self._parts):
            return True
        words = _words(around, WORDS_BEFORE)
        if not self._words.isdisjoint(words):
            return True
        if self._first_words.isdisjoint(words):
            return False
        before = f" {' '.join(words)} "
        return any(phrase in before for phrase in self._phrases)


def boosted(score: float) -> float:
    """Returns the score of a finding that has a telling word before it."""
    return min(1.0, max(score + BOOST, LEAST_BOOSTED))


def score_of(entity: str, text: str, start: int, end: int, score: float, telling: Telling) -> float:
    """Returns how sure one can be of what a recognizer found with `score`."""
    found = text[start:end]
    if entity == "EMAIL_ADDRESS" and found.startswith("git@"):
        return PART_OF_A_NAME
    if telling.stands_before(text, start):
        return boosted(score)
    if entity == "IP_ADDRESS" and _is_hardly_an_address(found):
        return min(score, PART_OF_A_NAME)
    if entity == "CREDIT_CARD" and not is_issued(found):
        return min(score, PART_OF_A_NAME)
    if entity == "US_SSN" and not _is_issued_ssn(found):
        return min(score, PART_OF_A_NAME)
    return min(score, ENTITIES[entity].alone)


def without_contained(found: Iterable[Scored]) -> list[Scored]:
    """Returns the findings in the order of the text, without those inside a surer one."""
    given = list(found)
    if len(given) < 2:
        return given
    kept: list[Scored] = []
    around: list[Scored] = []
    for one in sorted(given, key=lambda one: (one.start, -one.end, -one.score, one.entity)):
        around = [other for other in around if other.end > one.start]
        if not any(one.end <= other.end and one.score <= other.score for other in around):
            kept.append(one)
            around.append(one)
    return kept


def _is_hardly_an_address(found: str) -> bool:
    # `::add` is a word of many programming languages.
    letters_and_digits = sum(char.isalnum() for char in found.partition("/")[0])
    return "." not in found and letters_and_digits < 5


def _is_issued_ssn(found: str) -> bool:
    digits = "".join(char for char in found if char.isdecimal())
    return not digits.startswith("9") and digits not in SAMPLE_SSNS


def _words(text: str, last: int = 0) -> Sequence[str]:
    word = WORD_IN_ASCII if text.isascii() else WORD
    return [word.lower() for word in word.findall(text)[-last:]]
