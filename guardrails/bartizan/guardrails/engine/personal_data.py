"""Finds personal data in texts: recognizers, their conditions and the scores put together."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import partial

from bartizan.guardrails.engine.phones import PhoneFinder
from bartizan.guardrails.engine.prefilter import Prefilter, encode
from bartizan.guardrails.engine.presidio import Recognizer, grouped_phones, recognizers
from bartizan.guardrails.pii_phone_score import best_phone_score, phone_score, reach
from bartizan.guardrails.pii_score import Scored, Telling, score_of, without_contained

PHONE = "PHONE_NUMBER"
GROUPED_PHONE = "PHONE_NUMBER grouped"

NEAR = 4
"""Findings seldom overlap, so the one that covers a place is among the last that begin before."""


class PersonalData:
    """Finds some kinds of personal data. Serves many threads."""

    def __init__(self, thresholds: Mapping[str, float], phone_regions: Sequence[str]) -> None:
        """Takes the entities to look for, each with the least score that counts."""
        self._thresholds = thresholds
        others = {entity: least for entity, least in thresholds.items() if entity != PHONE}
        self._recognizers = {one.entity: one for one in recognizers(others)}
        self._telling = {name: Telling(one.words) for name, one in self._recognizers.items()}
        conditions = {name: one.condition() for name, one in self._recognizers.items()}
        if PHONE in thresholds:
            self._phones = PhoneFinder(phone_regions)
            self._grouped_phones = grouped_phones()
            conditions[PHONE] = self._phones.condition()
            conditions[GROUPED_PHONE] = self._grouped_phones.condition()
        self._names = list(conditions)
        self._prefilter = Prefilter(conditions)

    def candidates(self, values: Sequence[str]) -> Sequence[int]:
        """Returns the indexes of the texts that may hold anything. Cheap."""
        return self._prefilter.candidates(values)

    def find(self, text: str) -> list[Scored]:
        """Returns what is in a text, in its order. Runs only what may find something."""
        return self._find(text, self._prefilter.possible(text), encode(text))

    def find_thoroughly(self, text: str) -> list[Scored]:
        """Returns the same as `find`, and runs everything."""
        return self._find(text, self._names, None)

    def _find(self, text: str, names: Sequence[str], encoded: bytes | None) -> list[Scored]:
        found: list[Scored] = []
        for name in names:
            if name == GROUPED_PHONE:
                results = self._grouped_phones.find(text, encoded)
                found += (_phone(text, one.start, one.end) for one in results)
            elif name != PHONE:
                found += self._recognized(text, self._recognizers[name], encoded)
        if PHONE in names:
            found.sort(key=lambda one: one.start)
            spans = self._phones.find(text, partial(self._may_be_phone, found))
            found += [_phone(text, start, end) for start, end in spans]
        return without_contained(one for one in found if one.score >= self._thresholds[one.entity])

    def _recognized(self, text: str, recognizer: Recognizer, encoded: bytes | None) -> list[Scored]:
        entity = recognizer.entity
        telling = self._telling[entity]
        return [
            Scored(
                entity,
                one.start,
                one.end,
                score_of(entity, text, one.start, one.end, one.score, telling),
            )
            for one in recognizer.find(text, encoded)
        ]

    def _may_be_phone(self, found: Sequence[Scored], text: str, start: int, end: int) -> bool:
        """Returns False if no number in a stretch could count beside what was found already."""
        best = best_phone_score(text, start, end)
        if best < self._thresholds[PHONE]:
            return False
        first, last = reach(text, start, end)
        # What is not noticed here is left out at the end all the same.
        near = bisect_right(found, first, key=lambda one: one.start)
        return not any(
            one.end >= last and one.score >= best for one in found[max(0, near - NEAR) : near]
        )


def _phone(text: str, start: int, end: int) -> Scored:
    return Scored(PHONE, start, end, phone_score(text, start, end))
