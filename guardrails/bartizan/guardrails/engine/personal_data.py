"""Finds personal data in texts: recognizers, their conditions and the scores put together."""

import threading
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from bartizan.guardrails.engine.choice import Choice
from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.engine.phones import PhoneFinder
from bartizan.guardrails.engine.prefilter import Prefilter, encode
from bartizan.guardrails.engine.presidio import phones, recognizers
from bartizan.guardrails.pii_phone_score import may_count, phone_score, reach
from bartizan.guardrails.pii_score import Scored, Telling, score_of, without_contained

PHONE = "PHONE_NUMBER"

TOGETHER = frozenset({
    "EMAIL_ADDRESS", "IP_ADDRESS", "MAC_ADDRESS", "PHONE_NUMBER", "UK_NHS", "UK_NINO", "US_SSN",
})  # fmt: skip
"""Whose conditions are tested in one go."""

TOGETHER_IN_ASCII = TOGETHER | {"CREDIT_CARD", "IBAN_CODE", "US_ITIN"}
"""There a match of theirs begins at the border of a word alone."""

NEAR = 4
"""Findings seldom overlap, so the one that covers a place is among the last that begin before."""


class PersonalData:
    """Finds some kinds of personal data. Serves many threads."""

    def __init__(self, thresholds: Mapping[str, float], phone_regions: Sequence[str]) -> None:
        """Takes the entities to look for, each with the least score that counts."""
        self._thresholds = thresholds
        others = {entity: least for entity, least in thresholds.items() if entity != PHONE}
        known = recognizers(others)
        self._telling = {one.entity: Telling(one.words) for one in known}
        self._phones = PhoneFinder(phone_regions) if PHONE in thresholds else None
        if self._phones is not None:
            known += phones()
        self._recognizers = known
        conditions = {one: one.condition for one in known}
        self._choice = Choice(
            conditions,
            together_in_ascii=[one for one in known if one.entity in TOGETHER_IN_ASCII],
            together_in_other=[one for one in known if one.entity in TOGETHER],
        )
        planned = [self._phones.condition] if self._phones is not None else []
        self._prefilter = Prefilter([*conditions.values(), *planned])

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes of the texts that may hold anything. Cheap."""
        return self._prefilter.candidates(values)

    def find(self, text: str, gone: threading.Event | None = None) -> list[Scored]:
        """Returns what is in a text, in its order. Runs only what may find something.

        Once `gone` is set it soon raises NobodyWaits.
        """
        encoded = encode(text)
        found: list[Scored] = []
        for one in self._choice.of(text, encoded):
            heed(gone)
            found += one.find(text, encoded)
        return self._counted(text, found, encoded, gone)

    def find_thoroughly(self, text: str) -> list[Scored]:
        """Returns the same as `find`. Runs everything, the patterns in presidio's own way."""
        found = [found for one in self._recognizers for found in one.find_thoroughly(text)]
        return self._counted(text, found, None, None)

    def _counted(
        self,
        text: str,
        raw: list[Scored],
        encoded: bytes | None,
        gone: threading.Event | None,
    ) -> list[Scored]:
        found = [self._scored(text, one) for one in _without_contained_in_its_kind(raw)]
        if self._phones is not None:
            found.sort(key=_start)
            spans = self._phones.find(text, partial(self._may_be_phone, found, gone), encoded)
            found += (_phone(text, start, end) for start, end in spans)
        return without_contained(one for one in found if one.score >= self._thresholds[one.entity])

    def _scored(self, text: str, one: Scored) -> Scored:
        entity, start, end, score = one
        if entity == PHONE:
            return _phone(text, start, end)
        telling = self._telling[entity]
        return Scored(entity, start, end, score_of(entity, text, start, end, score, telling))

    def _may_be_phone(
        self,
        found: Sequence[Scored],
        gone: threading.Event | None,
        text: str,
        start: int,
        end: int,
        whole: bool,
    ) -> bool:
        """Returns False if no number in a stretch could count beside what was found already."""
        heed(gone)
        first, last = reach(text, start, end)
        # What is not noticed here is left out at the end all the same.
        near = bisect_right(found, first, key=_start)
        around = [one.score for one in found[max(0, near - NEAR) : near] if one.end >= last]
        least = self._thresholds[PHONE]
        return may_count(text, start, end, whole, least, max(around, default=-1.0))


def _without_contained_in_its_kind(found: Sequence[Scored]) -> Iterable[Scored]:
    """Returns the findings without those inside a surer one of the same entity, as presidio."""
    if len(found) < 2:
        return found
    kinds: dict[str, list[Scored]] = {}
    for one in found:
        kinds.setdefault(one.entity, []).append(one)
    return [one for kind in kinds.values() for one in without_contained(kind)]


def _start(one: Scored) -> int:
    return one.start


def _phone(text: str, start: int, end: int) -> Scored:
    return Scored(PHONE, start, end, phone_score(text, start, end))
