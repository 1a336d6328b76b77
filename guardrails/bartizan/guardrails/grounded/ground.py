"""What answers may be based on."""

import re
import threading
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

from bartizan.guardrails.engine.looking import heed
from bartizan.guardrails.grounded.claims import IDENTIFIER, Claim
from bartizan.guardrails.grounded.config import GroundedConfig, Kind
from bartizan.guardrails.grounded.dates import DATE, Moment, dates, moments, times
from bartizan.guardrails.grounded.names import PARTICLES, words
from bartizan.guardrails.grounded.numbers import GROUP, Numbers, parts, quantities, values

WORDS_APART = 4
"""Two words of a name may stand so far apart: `{"first_name": "Ada", "last_name": "Byron"}`."""

_PREFIX = re.compile(r"(?:https?://)?(?:www\.)?")
_BEFORE = re.compile(r"[\w-]")
_AFTER = re.compile(r"[\w~-]|\.\w")


class Ground:
    """The texts that an answer may be based on. Reads of them what is asked for."""

    def __init__(self, texts: Sequence[str], config: GroundedConfig, gone: threading.Event) -> None:
        """Takes the texts. Once `gone` is set it raises NobodyWaits."""
        self._texts = texts
        self._config = config
        self._gone = gone
        self._holds: Mapping[Kind, Callable[[str, Claim], bool]] = {
            Kind.NUMBER: self._holds_number,
            Kind.DATE: self._holds_date,
            Kind.NAME: self._holds_name,
            Kind.URL: self._holds_url,
            Kind.IDENTIFIER: self._holds_identifier,
        }

    def holds(self, text: str, claim: Claim) -> bool:
        """Returns True if what a text claims stands there."""
        return self._holds[claim.kind](text, claim)

    def _holds_number(self, text: str, claim: Claim) -> bool:
        assert claim.match is not None
        tolerance, numbers = self._config.tolerance, self._numbers
        if any(numbers.hold(one, tolerance) for one in quantities(claim.match)):
            return True
        # As 100,200,300 may be, and 1,200 is not.
        is_list = claim.match["whole"].find(",") == GROUP
        return is_list and all(numbers.hold(one, tolerance) for one in parts(claim.match))

    def _holds_date(self, text: str, claim: Claim) -> bool:
        assert claim.match is not None
        told = dates if claim.match.re is DATE else times
        said = list(told(claim.match))
        # What is no date after all claims nothing.
        return not said or any(one in self._moments for one in said)

    def _holds_name(self, text: str, claim: Claim) -> bool:
        parts = [part for part in words(text[claim.start : claim.end]) if part not in PARTICLES]
        return all(self._stand_together(one, other) for one, other in pairwise(parts))

    def _stand_together(self, one: str, other: str) -> bool:
        there = self._words.get(other, ())
        for place in self._words.get(one, ()):
            near = bisect_left(there, place - WORDS_APART)
            if near < len(there) and there[near] <= place + WORDS_APART:
                return True
        return False

    def _holds_url(self, text: str, claim: Claim) -> bool:
        wanted = text[claim.start : claim.end].lower()
        wanted = wanted[_PREFIX.match(wanted).end() :].rstrip("/")  # type: ignore[union-attr]
        return any(_stands_in(wanted, known) for known in self._lowered)

    def _holds_identifier(self, text: str, claim: Claim) -> bool:
        return text[claim.start : claim.end].lower() in self._identifiers

    def _each(self) -> Iterator[str]:
        for text in self._texts:
            heed(self._gone)
            yield text

    @cached_property
    def _numbers(self) -> Numbers:
        return Numbers(value for text in self._each() for value in values(text))

    @cached_property
    def _moments(self) -> frozenset[Moment]:
        return frozenset(moment for text in self._each() for moment in moments(text))

    @cached_property
    def _words(self) -> Mapping[str, Sequence[int]]:
        places: defaultdict[str, list[int]] = defaultdict(list)
        at = 0
        for text in self._each():
            for word in words(text):
                places[word].append(at)
                at += 1
            at += WORDS_APART + 1
        return dict(places)

    @cached_property
    def _lowered(self) -> Sequence[str]:
        return [text.lower().replace("\\/", "/") for text in self._each()]

    @cached_property
    def _identifiers(self) -> frozenset[str]:
        return frozenset(match[0] for text in self._lowered for match in IDENTIFIER.finditer(text))


def _stands_in(url: str, text: str) -> bool:
    """Returns True if a URL, or one below it, stands in a text."""
    at = text.find(url)
    while at >= 0:
        if not _AFTER.match(text, at + len(url)) and not _BEFORE.match(text[at - 1 : at]):
            return True
        at = text.find(url, at + 1)
    return False
