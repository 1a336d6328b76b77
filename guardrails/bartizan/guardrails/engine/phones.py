"""Finds telephone numbers with phonenumbers, in a fraction of the time and with the same answer.

Its matcher walks a whole text once per region. Here only the stretches that hold enough digits
are walked, and the next region is left out where the ones before took all there is.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import phonenumbers
from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    PhoneMetadata,
    PhoneNumberMatch,
    PhoneNumberMatcher,
)

from bartizan.guardrails.engine.prefilter import Condition, Expression, condition
from bartizan.guardrails.engine.relax import Widener
from bartizan.guardrails.engine.windows import Windows

Found = tuple[int, int]

LENIENCY = phonenumbers.Leniency.STRICT_GROUPING
"""Digits grouped as in no country are part numbers far more often than telephone numbers."""

PLUS = "+\uff0b"
OPENING = r"(\[" + "\uff08\uff3b"
PUNCTUATION = (
    "-x\u2010-\u2015\u2212\u30fc\uff0d\uff0f \u00a0\u00ad\u200b\u2060\u3000"
    r"()\uff08\uff09\uff3b\uff3d.\[\]/~\u2053\u223c\uff5e"
)
"""What phonenumbers allows between digits: the inside of a class."""

EXTENSION = (
    "[ \u00a0\\t,]*(?:;ext=|e?xt(?:ensi(?:o\u0301?|\u00f3)?)?n?|"
    "\uff45?\uff58\uff54\uff4e?|\u0434\u043e\u0431|anexo|[x\uff58#\uff03~\uff5e]|int|"
    "\uff49\uff4e\uff54)[:.\uff0e]?[ \u00a0\\t,-]*"
)
"""What phonenumbers allows before an extension, and a little more."""

STRETCH = re.compile(rf"\d(?:[{PUNCTUATION}\d]*{EXTENSION})*[{PUNCTUATION}\d]*", re.IGNORECASE)
STRETCH_IN_ASCII = re.compile(
    r"[0-9](?:[-Xx ()\[\]./~0-9]*[ \t,]*(?:;ext=|e?xt(?:ensio?)?n?|anexo|[x#~]|int)"
    r"[:.]?[ \t,-]*)*[-Xx ()\[\]./~0-9]*",
    re.IGNORECASE | re.ASCII,
)
"""The same in a text of ASCII alone, in half the time."""

DIGIT = re.compile(r"\d")
PLUS_SIGN = re.compile(f"[{PLUS}]")

NUMBER_START = re.compile(rf"[\d{PLUS}{OPENING}]")
NUMBER_END = re.compile("[\\d#\uff03]")

MAX_SLASHES = 2
"""With more of them nothing passes LENIENCY: one after the country code, one after the area's."""

LEAD_LENGTH = 10
"""At most twice: an opening bracket or a plus sign, then up to four of PUNCTUATION."""


class PhoneFinder:
    """Finds the telephone numbers of some regions, and international ones of all regions."""

    def __init__(self, regions: Sequence[str]) -> None:
        """Takes regions as ISO 3166 codes; numbers without a country code are read as theirs."""
        trunk = {region: phonenumbers.ndd_prefix_for_region(region, True) for region in regions}
        self._regions = regions
        self._zero_first = sorted(regions, key=lambda region: trunk[region] != "0")
        self._fewest = fewest_digits(regions)
        self._least = min(self._fewest, FEWEST_DIGITS_ABROAD)
        self.condition = self._condition()
        """What a text must match to hold a telephone number."""
        self._windows = _windows(self.condition)
        self._needed = Expression(self.condition.other) if self.condition else None

    def _condition(self) -> Condition | None:
        between = f"(?:[{PUNCTUATION}]{{0,4}}|{EXTENSION})"
        here = rf"\d(?:{between}\d){{{self._fewest - 1}}}"
        abroad = rf"\d(?:{between}\d){{{FEWEST_DIGITS_ABROAD - 1}}}"
        lead = rf"[{PLUS}][{PUNCTUATION}{OPENING}{PLUS}]{{0,{LEAD_LENGTH}}}"
        return condition([(here, re.IGNORECASE), (lead + abroad, re.IGNORECASE)])

    def find(
        self,
        text: str,
        matters: Callable[[str, int, int, bool], bool],
        encoded: bytes | None = None,
    ) -> list[Found]:
        """Returns where telephone numbers are.

        `matters(text, start, end, whole)` says of a stretch, or of a part of one when not `whole`,
        whether what is found there would count.
        With `encoded`, the text as `prefilter.encode` gives it, less of the text is walked.
        """
        found: list[Found] = []
        for low, start, end in self._stretches(text, encoded):
            if matters(text, start, end, True):
                found += self._in_window(text, low, end, matters)
        return found

    def _stretches(self, text: str, encoded: bytes | None) -> Iterator[tuple[int, int, int]]:
        """Gives where a number may begin, where its first digit is, and where it must end."""
        for match in self._runs_of_digits(text, encoded):
            start, end = match.span()
            if end - start < self._least:
                continue
            low = _after_last_digit(text, start)
            fewest = FEWEST_DIGITS_ABROAD if PLUS_SIGN.search(text, low, start) else self._fewest
            if len(DIGIT.findall(text, start, end)) >= fewest:
                yield low, start, end

    def _runs_of_digits(self, text: str, encoded: bytes | None) -> Iterator[re.Match[str]]:
        if encoded is None:
            yield from STRETCH.finditer(text)
        elif self._windows is not None and len(encoded) == len(text):
            for low, high in self._windows.of(text, encoded):
                yield from STRETCH_IN_ASCII.finditer(text, low, high)
        elif self._needed is None or self._needed.end_of_match(encoded) >= 0:
            yield from STRETCH.finditer(text)

    def _in_window(
        self, text: str, low: int, end: int, matters: Callable[[str, int, int, bool], bool]
    ) -> list[Found]:
        window = text[low : end + 1]
        found: list[Found] = []
        first = DIGIT.search(window)
        # The order does not change what is found, only how soon all is taken.
        starts_with_zero = first is not None and first.group() == "0"
        may_count = cache(lambda start, end: matters(text, low + start, low + end, False))
        for region in self._zero_first if starts_with_zero else self._regions:
            matches = list(_Matcher(window, region, may_count))
            found += [(low + match.start, low + match.end) for match in matches]
            if any(_takes_all(window, match.start, match.end) for match in matches):
                break
        return found


class _Matcher(PhoneNumberMatcher):
    """Passes over candidates that do not matter and those that cannot be numbers."""

    def __init__(self, window: str, region: str, matters: Callable[[int, int], bool]) -> None:
        super().__init__(window, region, leniency=LENIENCY)
        self._matters = matters

    def _extract_match(self, candidate: str, offset: int) -> PhoneNumberMatch | None:
        first = DIGIT.search(candidate)
        start = offset + (first.start() if first else 0)
        if not self._matters(start, offset + len(candidate)):
            return None
        return super()._extract_match(candidate, offset)

    def _parse_and_verify(self, candidate: str, offset: int) -> PhoneNumberMatch | None:
        if candidate.count("/") > MAX_SLASHES:
            return None
        return super()._parse_and_verify(candidate, offset)


def fewest_digits(regions: Sequence[str]) -> int:
    """Returns how many digits a number written without a plus sign has at least."""
    fewest = FEWEST_DIGITS_ABROAD + 1
    for region in regions:
        code = phonenumbers.country_code_for_region(region)
        # A number may turn out to be of a neighbour that shares the country code.
        for sharing in COUNTRY_CODE_TO_REGION_CODE[code]:
            fewest = min(fewest, _shortest(code, sharing))
    return fewest


def _shortest(code: int, region: str) -> int:
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    assert metadata is not None
    assert metadata.general_desc is not None
    return min(metadata.general_desc.possible_length)


FEWEST_DIGITS_ABROAD = min(
    len(str(code)) + _shortest(code, region)
    for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
    for region in regions
)
"""Of a number with its country code."""


def _windows(needed: Condition | None) -> Windows | None:
    if needed is None:
        return None
    return Windows(needed.ascii, Widener(None).alphabet(STRETCH.pattern, STRETCH.flags))


def _after_last_digit(text: str, start: int) -> int:
    """Returns where a number may begin whose first digit is at `start`."""
    # One more: the matcher looks at the neighbours of a number.
    least = max(0, start - LEAD_LENGTH - 1)
    low = start
    # A sign after the last digit of one number may open the next.
    while low > least and not text[low - 1].isdecimal():
        low -= 1
    return low


def _takes_all(window: str, start: int, end: int) -> bool:
    """Returns True if no other number of the window can reach beyond this one."""
    before, after = window[:start], window[end:]
    return not (NUMBER_START.search(before) or NUMBER_END.search(after))
