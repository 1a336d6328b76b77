"""Names in texts: capitalised words that follow each other."""

import re
from collections.abc import Iterator, Sequence

from bartizan.guardrails.engine.normalise_english import COMMON_WORDS

MOST_WORDS = 6
_PARTICLES = "of de da di la le van von der den al bin ibn y e und"
_TITLES = "mr mrs ms dr prof st sr jr inc ltd co no vs"
_OPENERS = """
according additionally although ask based because both call contact dear email great he hello hi
however i instead it meanwhile moreover nevertheless otherwise overall please regarding she
similarly since sure thanks therefore they though thus today tomorrow tonight unfortunately unless
unlike until upon visit we whereas whether while yesterday you
"""
PARTICLES = frozenset(_PARTICLES.split())
TITLES = frozenset(_TITLES.split())
OPENERS = COMMON_WORDS.union(_OPENERS.split())
"""Words that begin sentences, and are no part of a name that follows."""

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_PART = re.compile(r"[^\W_]+")
_POSSESSIVE = re.compile(r"['\u2019]s\b", re.IGNORECASE)
_SPACE = re.compile(r"[ \u00a0]{1,2}")
_DOT = re.compile(r"\.[ \u00a0]")
_LABEL = re.compile(r"[*_`]*[ \t]*:|[*_`]+[ \t]*$", re.MULTILINE)
_MARKS = re.compile(r"[ \t#>*_\d.)\u2022-]*")

Span = tuple[int, int]


def names(text: str) -> Iterator[Span]:
    """Yields where names of two words and more stand. Headings, labels and shouting are none."""
    run: list[re.Match[str]] = []
    for word in _WORD.finditer(text):
        if run and not _continues(text, run[-1], word):
            yield from _named(text, run)
            run = []
        if word[0][0].isupper() or (run and word[0] in PARTICLES):
            run.append(word)
        elif run:
            yield from _named(text, run)
            run = []
    yield from _named(text, run)


def words(text: str) -> list[str]:
    """Returns the words of a text as names are compared by them."""
    return _PART.findall(_POSSESSIVE.sub("", text).casefold())


def _continues(text: str, before: re.Match[str], word: re.Match[str]) -> bool:
    between = text[before.end() : word.start()]
    if _SPACE.fullmatch(between):
        return True
    is_short = len(before[0]) == 1 or before[0].lower() in TITLES
    return is_short and _DOT.fullmatch(between) is not None


def _named(text: str, run: Sequence[re.Match[str]]) -> Iterator[Span]:
    while run and (run[0][0].lower() in OPENERS or not run[0][0][0].isupper()):
        run = run[1:]
    while run and not run[-1][0][0].isupper():
        run = run[:-1]
    if not 2 <= len(run) <= MOST_WORDS or all(word[0].isupper() for word in run):
        return
    start, end = run[0].start(), run[-1].end()
    if not _is_heading(text, start, end):
        yield start, end


def _is_heading(text: str, start: int, end: int) -> bool:
    """Returns True if a label or all of a line is capitalised."""
    if _LABEL.match(text, end):
        return True
    line_end = text.find("\n", end)
    rest = text[end : line_end if line_end >= 0 else len(text)]
    before = text[text.rfind("\n", 0, start) + 1 : start]
    return not any(map(str.isalnum, rest[:200])) and _MARKS.fullmatch(before) is not None
