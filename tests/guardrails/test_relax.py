import inspect
import re
import string
from functools import cache

import pytest
import re2
import regex
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from presidio_analyzer import Pattern, PatternRecognizer, predefined_recognizers

from bartizan.guardrails.engine.prefilter import digits_outside_ascii
from bartizan.guardrails.engine.relax import FOLDED, Unknown, Widener


def presidio_patterns() -> dict[str, tuple[str, int]]:
    found = {}
    for _, cls in inspect.getmembers(predefined_recognizers, inspect.isclass):
        if issubclass(cls, PatternRecognizer) and hasattr(cls, "PATTERNS"):
            recognizer = cls()  # type: ignore[call-arg]
            known: list[Pattern] = cls.PATTERNS
            flags = recognizer.global_regex_flags or 0
            found.update({f"{cls.__name__} {one.name}": (one.regex, flags) for one in known})
    return found


PATTERNS = presidio_patterns()


@cache
def readable() -> dict[str, "re.Pattern[str]"]:
    """The patterns that `re` can read as well, so that hypothesis can make texts for them."""
    found = {}
    for name, (pattern, flags) in PATTERNS.items():
        try:
            found[name] = re.compile(pattern, flags & ~re.MULTILINE)
        except re.error:
            continue
    return found


@cache
def wider(pattern: str, flags: int, in_ascii: bool) -> "re2._Regexp":
    digits = None if in_ascii else digits_outside_ascii()
    options = re2.Options()
    options.max_mem = 64 << 20
    return re2.compile(Widener(digits).widen(pattern, flags), options)


def widened_matches(pattern: str, flags: int, text: str) -> bool:
    return wider(pattern, flags, text.isascii()).search(text.encode()) is not None


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_where_a_pattern_of_presidio_matches_the_wider_one_does(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([name for name in readable() if "Url" not in name]))
    pattern, flags = PATTERNS[name]
    text = data.draw(st.from_regex(readable()[name])).replace("\0", "")
    if regex.search(pattern, text, flags=flags):
        assert widened_matches(pattern, flags, text)


CODE = re.compile(r"\{(\w+)\}")

ATOMS = (
    r"a", r"k", r"S", r"\u00e9", r"\u017f", r"\d", r"\w", r"\s", r"\W", r"\S", r"\D", r".",
    r"[a-f]", r"[^a-f]", r"[^\w:]", r"[^\s]", r"[\u00e0-\u00ff]", r"[^\u00e0-\u00ff]", r"(?:a|bc)",
    r"(a)\1", r"\b", r"(?<![A-Z0-9])", r"(?<!a)", r"(?<=a)", r"(?=b)", r"(?!b)", r"^", r"$",
    r"a{2,3}", r"[a-c]{16,20}", r"\d{1,3}", r"b?", r"c*?", r"(?i:q)", r"(?<![^a])",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=5).map("".join),
    st.sampled_from((0, re.IGNORECASE, re.IGNORECASE | re.DOTALL | re.MULTILINE)),
    st.text("aAbBcCkKsSqi1:_ \n\x1c\u0661\u00e9\u00c9\u017f\u212a\u0130\u0131\u2019", max_size=24),
)
@example(r"[^\s]", 0, "\x1c")
@example(r"(?<![A-Z0-9])a", re.IGNORECASE, "ba")
def test_no_pattern_is_narrowed(pattern: str, flags: int, text: str) -> None:
    try:
        needed = widened_matches(pattern, flags, text)
    except Unknown:
        return
    assert needed or not regex.search(pattern, text, flags=flags)


def test_which_characters_equal_an_ascii_letter_when_case_is_ignored() -> None:
    beyond = "".join(map(chr, [*range(0x80, 0xD800), *range(0xE000, 0x110000)]))
    for letter in string.ascii_lowercase:
        for engine in (re, regex):
            equal = set(engine.findall(letter, beyond, engine.IGNORECASE))
            assert equal <= {chr(int(code, 16)) for code in CODE.findall(FOLDED.get(letter, ""))}


def test_what_re2_cannot_hold_is_said() -> None:
    with pytest.raises(Unknown):
        Widener(None).widen(r"(a)?(?(1)b|c)", 0)
    with pytest.raises(Unknown):
        Widener(None).alphabet(r"(?=\d(?:a$))\d+", 0)
