"""The configuration of the guardrail `patterns`."""

from typing import Self

import re2
from pydantic import Field, field_validator, model_validator

from bartizan.guardrails.engine.expressions import LONGEST_MATCH_BYTES
from bartizan.guardrails.engine.keywords import MAX_CHARACTERS as MAX_CHARACTERS_OF_A_WORD
from bartizan.guardrails.engine.prefilter import options
from bartizan.plugins.config import PluginConfig

MAX_PATTERNS = 5_000
MAX_WORDS = 10_000
MAX_PATTERN_CHARACTERS = 2_000
MAX_CHARACTERS = 250_000
"""Of all words and expressions of a rule: RE2's automata have to find room."""

CATEGORY = r"^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$"


def checked_expression(pattern: str) -> str:
    """Returns an expression if RE2 takes it. Raises ValueError if not; quotes nothing of it."""
    try:
        compiled = re2.compile(pattern, options())
    except (re2.error, UnicodeEncodeError):
        raise ValueError(
            "this is no expression of RE2 (which has no look-around and no back-references)"
        ) from None
    if compiled.search("") is not None:
        raise ValueError("this expression matches where nothing stands")
    return pattern


class Pattern(PluginConfig):
    """Some words, or an expression, to be reported as one thing."""

    id: str = Field(
        pattern="^[a-z][a-z0-9_]{0,62}$",
        description="What it is called: `codename` is reported as `pattern.codename`.",
    )
    words: tuple[str, ...] = Field(
        (), max_length=MAX_WORDS, description="Words and phrases to find, 200 characters at most."
    )
    pattern: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_PATTERN_CHARACTERS,
        description="An expression of RE2 to find. If it has named groups they are what is found; "
        f"a match is {LONGEST_MATCH_BYTES:,} bytes at most.",
    )
    category: str | None = Field(
        None,
        pattern=CATEGORY,
        max_length=200,
        description="What it is reported as. Default: `pattern.` and the id.",
    )
    score: float = Field(1.0, ge=0, le=1, description="How sure a finding is.")
    case_sensitive: bool = Field(False, description="Whether `Acme` differs from `acme`.")
    whole_word: bool | None = Field(
        None,
        description="Whether no word may go on beyond what is found. Default: for `words` alone.",
    )

    @field_validator("words")
    @classmethod
    def _can_be_found(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        for place, word in enumerate(words):
            if not word.strip() or len(word) > MAX_CHARACTERS_OF_A_WORD:
                raise ValueError(
                    f"word {place} must have 1 to {MAX_CHARACTERS_OF_A_WORD} characters"
                )
            if "\0" in word or any("\ud800" <= char <= "\udfff" for char in word):
                raise ValueError(f"word {place} holds a character that cannot be looked for")
        return words

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return pattern and checked_expression(pattern)

    @model_validator(mode="after")
    def _finds_one_thing(self) -> Self:
        if bool(self.words) == (self.pattern is not None):
            raise ValueError(f"'{self.id}' must have either 'words' or 'pattern'")
        return self

    @property
    def reported_as(self) -> str:
        """The category of its findings."""
        return self.category or f"pattern.{self.id}"

    @property
    def whole(self) -> bool:
        """Whether no word may go on beyond what is found."""
        return bool(self.words) if self.whole_word is None else self.whole_word


class PatternsConfig(PluginConfig):
    """The configuration of the guardrail `patterns`."""

    patterns: tuple[Pattern, ...] = Field(
        (), max_length=MAX_PATTERNS, description="What to find: words, or expressions of RE2."
    )

    @field_validator("patterns")
    @classmethod
    def _fit_together(cls, patterns: tuple[Pattern, ...]) -> tuple[Pattern, ...]:
        known: set[str] = set()
        for one in patterns:
            if one.id in known:
                raise ValueError(f"two patterns have the id '{one.id}'")
            known.add(one.id)
        if sum(len(one.words) for one in patterns) > MAX_WORDS:
            raise ValueError(f"more than {MAX_WORDS:,} words in all")
        if sum(map(_characters, patterns)) > MAX_CHARACTERS:
            raise ValueError(f"more than {MAX_CHARACTERS:,} characters in all")
        return patterns


def _characters(one: Pattern) -> int:
    return len(one.pattern or "") + sum(map(len, one.words))
