"""Length: texts that are too long or too short, in characters, lines, words or tokens."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Self

from pydantic import Field, model_validator

from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 4_000
"""A look at this much takes about half a millisecond."""

MOST = 100_000_000

LETTERS_PER_TOKEN = 6
"""Vocabularies hold most words of up to so many letters, and longer ones in pieces."""

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_WORD = re.compile(r"\S+")
_PIECE = re.compile(
    r"[A-Za-z\u00c0-\u024f]+|[0-9]{1,3}|[\u0250-\u1fff]{1,3}|"
    r"[^\W\d_]|[^\sA-Za-z0-9]{1,2}|\n{1,6}|[ \t]{2,6}"
)


class Bounds(PluginConfig):
    """The least and the most there may be of something."""

    min: int | None = Field(None, ge=0, le=MOST, description="The least there may be.")
    max: int | None = Field(None, ge=0, le=MOST, description="The most there may be.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("'min' is more than 'max'")
        return self


class LengthConfig(PluginConfig):
    """The configuration of the guardrail `length`."""

    characters: Bounds | None = Field(None, description="Bounds of the code points.")
    lines: Bounds | None = Field(None, description="Bounds of the lines.")
    words: Bounds | None = Field(None, description="Bounds of the words: what spaces part.")
    tokens: Bounds | None = Field(None, description="Bounds of the tokens, as they are estimated.")


class _Measure(NamedTuple):
    """How something is counted.

    Attributes:
        count: returns how much of it a text has.
        ends: yields where each of it ends, with how many it counts for.
    """

    count: Callable[[str], int]
    ends: Callable[[str], Iterator[tuple[int, int]]]


class Length:
    """Finds texts outside of their bounds.

    Categories: `length.characters`, `length.lines`, `length.words`, `length.tokens`. What is found
    of a text that is too long is all beyond the bound, so that to drop it is to cut the text.
    """

    Config = LengthConfig

    def __init__(self, config: LengthConfig) -> None:
        """Makes the guardrail."""
        bounds = {name: getattr(config, name) for name in _MEASURES}
        self._bounds: dict[str, Bounds] = {name: one for name, one in bounds.items() if one}
        self._looks = Looks("length", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the bounds that each text breaks, in the order of the texts."""
        return await self._looks.at([text.value for text in texts])

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        found: list[Finding] = []
        for name, bounds in self._bounds.items():
            heed(gone)
            if (one := _judged(name, bounds, value)) is not None:
                found.append(one)
        return found


def tokens(text: str) -> int:
    """Returns about how many tokens a model makes of a text."""
    pieces = _PIECE.findall(text)
    return len(pieces) + sum((len(one) - 1) // LETTERS_PER_TOKEN for one in pieces)


def _judged(name: str, bounds: Bounds, value: str) -> Finding | None:
    measure = _MEASURES[name]
    count = measure.count(value)
    if bounds.max is not None and count > bounds.max:
        border = _border(measure, bounds.max, value)
        return Finding(f"length.{name}", 1.0, border, len(value), "TOO_LONG")
    if bounds.min is not None and count < bounds.min:
        return Finding(f"length.{name}", 1.0, 0, len(value), "TOO_SHORT")
    return None


def _border(measure: _Measure, most: int, value: str) -> int:
    """Returns where the last one ends that may be."""
    count = border = 0
    for end, more in measure.ends(value):
        count += more
        if count > most:
            break
        border = end
    return border


def _characters(text: str) -> Iterator[tuple[int, int]]:
    return ((end, 1) for end in range(1, len(text) + 1))


def _line_count(text: str) -> int:
    return text.count("\n") + (not text.endswith("\n") and text != "")


def _lines(text: str) -> Iterator[tuple[int, int]]:
    return ((match.end(), 1) for match in _LINE.finditer(text))


def _word_count(text: str) -> int:
    return len(text.split())


def _words(text: str) -> Iterator[tuple[int, int]]:
    return ((match.end(), 1) for match in _WORD.finditer(text))


def _tokens(text: str) -> Iterator[tuple[int, int]]:
    for match in _PIECE.finditer(text):
        yield match.end(), 1 + (match.end() - match.start() - 1) // LETTERS_PER_TOKEN


_MEASURES = {
    "characters": _Measure(len, _characters),
    "lines": _Measure(_line_count, _lines),
    "words": _Measure(_word_count, _words),
    "tokens": _Measure(tokens, _tokens),
}
