import re
from collections.abc import Sequence

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberMatcher, phonenumbermatcher, phonenumberutil

from bartizan.guardrails.engine import phones
from bartizan.guardrails.engine.phones import LENIENCY, PhoneFinder
from bartizan.guardrails.engine.prefilter import Prefilter, encode

REGIONS = ("US", "GB", "DE", "BR")
FINDER = PhoneFinder(REGIONS)
CONDITION = Prefilter([FINDER.condition])

PIECES = (
    "415-555-0132", "(415) 555-0132", "+1 415 555 0132", "020 7946 0958", "+49 30 3012643",
    "030 3012643", "0800 1111", "011 44 20 7946 0958", "+4912345", "+29012345", " ext. 12", " x12",
    " extn 5", ";ext=7", " #9", "~3", "\u0434\u043e\u0431 5", "anexo 4", "int. 3", "/", " - ",
    "\u2013", "\u00ad", "\u200b", "\u3000", "\uff0d", "\uff0b", "+", "(", ")", "[", "(((", ".",
    ",", ", ", " ", "\n", "x", "xx", "$", "%", "a", "\u00e9", "2024-10-12 08", ":00", "10/12/2024",
    "211-227 (2003)", "12345", "\u0661\u0662\u0663", "\uff14\uff11\uff15", "0", "1", "7",
)  # fmt: skip


def slowly(text: str, regions: Sequence[str]) -> set[tuple[int, int]]:
    """As presidio does it: the whole text, region by region, without what is inside others."""
    found = {
        (match.start, match.end)
        for region in regions
        for match in PhoneNumberMatcher(text, region, leniency=LENIENCY)
    }
    return outermost(found)


def outermost(found: set[tuple[int, int]]) -> set[tuple[int, int]]:
    return {
        (start, end)
        for start, end in found
        if not any(a <= start and end <= b and (a, b) != (start, end) for a, b in found)
    }


def quickly(text: str, encoded: bytes | None) -> set[tuple[int, int]]:
    return outermost(set(FINDER.find(text, lambda *_: True, encoded)))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.text("0123456789 -.()+x", max_size=8), max_size=8))
@example(["415-555-0132", "/", "415-555-0133"])
@example(["0(", "+1 415 555 0132"])
@example(["+1 415 555 0132", "\uff0b", "4915155555"])
def test_the_quick_way_finds_what_the_slow_one_finds(pieces: list[str]) -> None:
    text = "".join(pieces)
    found = slowly(text, REGIONS)
    assert quickly(text, None) == found
    assert quickly(text, encode(text)) == found
    assert CONDITION.candidates([text]) or not found


@pytest.mark.parametrize("region", ["US", "GB", "DE", "FR", "IN", "BR", "IL", "AU", "IT"])
def test_the_example_numbers_of_a_country_are_found(region: str) -> None:
    finder = PhoneFinder([region])
    needed = Prefilter([finder.condition])
    for style in (
        phonenumbers.PhoneNumberFormat.NATIONAL,
        phonenumbers.PhoneNumberFormat.INTERNATIONAL,
        phonenumbers.PhoneNumberFormat.E164,
    ):
        number = phonenumbers.example_number(region)
        assert number is not None
        text = f"n: {phonenumbers.format_number(number, style)}."
        assert finder.find(text, lambda *_: True)
        assert needed.candidates([text])


def test_the_borrowed_tables_are_still_those_of_phonenumbers() -> None:
    characters = "".join(map(chr, range(0xD800)))
    theirs = re.findall(f"[{phonenumberutil._VALID_PUNCTUATION}]", characters)
    assert re.findall(f"[{phones.PUNCTUATION}]", characters) == theirs
    assert set(phonenumberutil._PLUS_CHARS) == set(phones.PLUS)
    assert phonenumbermatcher._LEAD_LIMIT == "{0,2}"
    assert phonenumbermatcher._PUNCTUATION_LIMIT == "{0,4}"
