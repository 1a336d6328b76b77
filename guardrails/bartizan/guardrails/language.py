"""Languages: texts, and parts of texts, in languages that are not wanted."""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from math import exp

from pydantic import Field, field_validator

from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.guardrails.language_words import (
    ENDINGS,
    LANGUAGES,
    LATIN,
    LETTERS,
    SCRIPTS,
    SHARED,
    WORDS,
)
from bartizan.plugins.config import PluginConfig, nearest
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 2_000
"""A look at this much takes about half a millisecond."""

PIECE_CHARACTERS = 400
"""So much is judged at once, so that a paragraph in another language is noticed."""

FEW_KANA = 0.05
"""The least share of kana in Japanese; a text with less of them is Chinese that quotes."""

WORD_WEIGHT, ENDING_WEIGHT, LETTER_WEIGHT = 1.0, 0.4, 0.6
LEAST_EVIDENCE = 2.0
"""About two words that no other language has."""

SURE_BY = 2.0
"""With so much more evidence than for the next language the score is 0.63, with thrice it 0.95."""

FAMILIAR_SHARE, FOREIGN_SHARE = 0.15, 0.2
"""In ordinary texts every third word is one of the small ones."""

LONGEST_ENDING, SHORTEST_ENDING = 5, 3

_WORD = re.compile(
    f"(?P<{LATIN}>[{SCRIPTS[LATIN]}]+)|[\x00-\x40\x5b-\x60\x7b-\x7f]+|"
    + "|".join(f"(?P<{name}>[{SCRIPTS[name]}]+)" for name in SCRIPTS if name != LATIN)
)
_LATIN_IN_ASCII = re.compile(r"\b[a-z]+\b")
_LINE = re.compile(r"[^\n]+")

Stretch = tuple[int, int]


def _shares(
    tables: Iterable[tuple[str, Iterable[str]]], weight: float
) -> dict[str, dict[str, float]]:
    """Returns what each sign tells: the weight, divided among the languages that have it."""
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for language, signs in tables:
        for sign in dict.fromkeys(signs):
            owners[sign].append(language)
    return {
        sign: dict.fromkeys(languages, weight / len(languages))
        for sign, languages in owners.items()
    }


_BY_WORD = _shares(WORDS.items(), WORD_WEIGHT)
_BY_ENDING = _shares(ENDINGS.items(), ENDING_WEIGHT)
_BY_LETTER = _shares(LETTERS.items(), LETTER_WEIGHT)


class LanguageConfig(PluginConfig):
    """The configuration of the guardrail `language`."""

    allow: tuple[str, ...] = Field(
        (), max_length=100, description="The only languages wanted, by ISO 639-1. Default: all."
    )
    deny: tuple[str, ...] = Field(
        (), max_length=100, description="Languages that are not wanted, by ISO 639-1."
    )
    least_letters: int = Field(
        20, ge=5, le=10_000, description="What has fewer letters is too short to be judged."
    )

    @field_validator("allow", "deny")
    @classmethod
    def _known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        for name in languages:
            if name not in LANGUAGES:
                raise ValueError(f"no language '{name}' can be told{nearest(name, LANGUAGES)}")
        return languages


class Language:
    """Finds stretches in languages that are not allowed, or denied.

    Categories: `language.` and the code: `language.de`. What is short, or fits two languages of
    which one is wanted, is not found.
    """

    Config = LanguageConfig

    def __init__(self, config: LanguageConfig) -> None:
        """Makes the guardrail."""
        self._allow, self._deny = frozenset(config.allow), frozenset(config.deny)
        self._least_letters = config.least_letters
        wanted = {name: self._wants(name) for name in WORDS}
        owned = {word: {wanted[name] for name in names} for word, names in _BY_WORD.items()}
        self._familiar = frozenset(word for word, owners in owned.items() if owners == {True})
        self._foreign = frozenset(word for word, owners in owned.items() if owners == {False})
        self._looks = Looks("language", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the unwanted languages of each text, in the order of the texts."""
        return await self._looks.at([text.value for text in texts])

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        if not self._allow and not self._deny:
            return []
        found: list[Finding] = []
        for start, end in _pieces(value):
            heed(gone)
            for one in self._judged(value[start:end], start):
                if found and found[-1].category == one.category:
                    last = found.pop()
                    score = max(last.score, one.score)
                    one = Finding(one.category, score, last.start, one.end, one.code)
                found.append(one)
        return found

    def _judged(self, piece: str, at: int) -> Iterator[Finding]:
        for script, words, (start, end) in _by_script(piece, self._least_letters):
            if self._is_familiar(words):
                continue
            known = evidence(script, words)
            language = max(known, key=lambda name: known[name], default="")
            wanted = [name for name in known if self._wants(name)]
            if not language or known[language] < LEAST_EVIDENCE or language in wanted:
                continue
            # Whether it is Danish or Norwegian does not matter if neither is wanted.
            ahead = known[language] - max((known[name] for name in wanted), default=0.0)
            code = "LANGUAGE_DENIED" if language in self._deny else "LANGUAGE_NOT_ALLOWED"
            score = round(1 - exp(-ahead / SURE_BY), 3)
            yield Finding(f"language.{language}", score, at + start, at + end, code)

    def _is_familiar(self, words: Set[str]) -> bool:
        """Returns True if a language that is wanted explains the words. Cheap."""
        wanted = len(self._familiar & words)
        other = len(self._foreign & words)
        return wanted >= FAMILIAR_SHARE * len(words) and other <= FOREIGN_SHARE * wanted

    def _wants(self, language: str) -> bool:
        return language not in self._deny and (not self._allow or language in self._allow)


def evidence(script: str, words: Set[str]) -> dict[str, float]:
    """Returns how much speaks for each language, given words of one script, in lower case."""
    if script not in SHARED:
        return {script: float(sum(map(len, words)))}
    known: defaultdict[str, float] = defaultdict(float)
    languages = SHARED[script]
    for word in words:
        for signs in _signs(word):
            for language, weight in signs.items():
                if language in languages:
                    known[language] += weight
    return known


def _signs(word: str) -> Iterator[dict[str, float]]:
    if (by_word := _BY_WORD.get(word)) is not None:
        yield by_word
    else:
        for length in range(SHORTEST_ENDING, min(LONGEST_ENDING, len(word) - 1) + 1):
            if (by_ending := _BY_ENDING.get(word[-length:])) is not None:
                yield by_ending
    if not word.isascii():
        for letter in dict.fromkeys(word):
            if (by_letter := _BY_LETTER.get(letter)) is not None:
                yield by_letter


def _pieces(value: str) -> Iterator[Stretch]:
    """Yields stretches of a text: lines, or several short ones together."""
    start = end = 0
    for line in _LINE.finditer(value):
        for at in range(line.start(), line.end(), PIECE_CHARACTERS):
            if end - start >= PIECE_CHARACTERS:
                yield start, end
                start = at
            end = min(at + PIECE_CHARACTERS, line.end())
    if end > start:
        yield start, end


def _by_script(piece: str, least_letters: int) -> Iterator[tuple[str, set[str], Stretch]]:
    """Yields each script with enough letters: its words in lower case, and where they stand."""
    if piece.isascii():
        found = _LATIN_IN_ASCII.findall(piece.lower())
        if sum(map(len, found)) >= least_letters:
            yield LATIN, set(found), (0, len(piece))
        return
    stretches: defaultdict[str, list[Stretch]] = defaultdict(list)
    for match in _WORD.finditer(piece):
        if match.lastgroup is not None:
            stretches[match.lastgroup].append(match.span())
    letters = {name: sum(end - start for start, end in spans) for name, spans in stretches.items()}
    if letters.get("ja", 0) > FEW_KANA * letters.get("zh", 0):
        stretches["ja"] = sorted(stretches["ja"] + stretches.pop("zh", []))
        letters["ja"] += letters.pop("zh", 0)
    for name, spans in stretches.items():
        if letters[name] >= least_letters:
            words = {piece[start:end].lower() for start, end in spans}
            yield name, words, (spans[0][0], spans[-1][1])
