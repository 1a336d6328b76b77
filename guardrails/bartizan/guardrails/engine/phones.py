"""Finds telephone numbers with phonenumbers, in a fraction of the time and with the same answer.

Its matcher walks a whole text once per region. Here only the stretches that hold enough digits
are walked, and the next region is left out where the ones before took all there is.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import phonenumbers
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberMatcher

from bartizan.guardrails.engine.prefilter import Condition, condition

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
DIGIT = re.compile(r"\d")

NUMBER_START = re.compile(rf"[\d{PLUS}{OPENING}]")
NUMBER_END = re.compile("[\\d#\uff03]")

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

    def find(self, text: str, matters: Callable[[str, int, int], bool]) -> list[Found]:
        """Returns where telephone numbers are.

        `matters(text, start, end)` says of a stretch whether what is found there would count.
        """
        found: list[Found] = []
        for low, start, end in self._stretches(text):
            if matters(text, start, end):
                found += self._in_window(text[low : end + 1], low)
        return found

    def condition(self) -> Condition | None:
        """Returns what a text must match to hold a telephone number."""
        between = f"(?:[{PUNCTUATION}]{{0,4}}|{EXTENSION})"
        here = rf"\d(?:{between}\d){{{self._fewest - 1}}}"
        abroad = rf"\d(?:{between}\d){{{FEWEST_DIGITS_ABROAD - 1}}}"
        lead = rf"[{PLUS}][{PUNCTUATION}{OPENING}{PLUS}]{{0,{LEAD_LENGTH}}}"
        return condition([(here, re.IGNORECASE), (lead + abroad, re.IGNORECASE)])

    def _stretches(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Gives where a number may begin, where its first digit is, and where it must end."""
        low = 0
        for match in STRETCH.finditer(text):
            start, end = match.span()
            # One more: the matcher looks at the neighbours of a number.
            low = max(low, start - LEAD_LENGTH - 1)
            plus = any(sign in text[low:start] for sign in PLUS)
            fewest = FEWEST_DIGITS_ABROAD if plus else self._fewest
            if end - start >= fewest and len(DIGIT.findall(match.group())) >= fewest:
                yield low, start, end
            # A sign after the last digit of one number may open the next.
            low = _last_digit(text, end)

    def _in_window(self, window: str, low: int) -> list[Found]:
        found: list[Found] = []
        first = DIGIT.search(window)
        # The order does not change what is found, only how soon all is taken.
        starts_with_zero = first is not None and first.group() == "0"
        for region in self._zero_first if starts_with_zero else self._regions:
            matches = list(PhoneNumberMatcher(window, region, leniency=LENIENCY))
            found += [(low + match.start, low + match.end) for match in matches]
            if any(_takes_all(window, match.start, match.end) for match in matches):
                break
        return found


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


def _last_digit(text: str, end: int) -> int:
    while not text[end - 1].isdecimal():
        end -= 1
    return end


def _takes_all(window: str, start: int, end: int) -> bool:
    """Returns True if no other number of the window can reach beyond this one."""
    before, after = window[:start], window[end:]
    return not (NUMBER_START.search(before) or NUMBER_END.search(after))
