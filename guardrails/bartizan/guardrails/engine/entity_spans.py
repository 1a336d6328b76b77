"""Puts the tags that a model gives to tokens together to names, each with its place."""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BEGINS = frozenset("BSU")
"""Of the schemes of tags there are: begins, single, unit."""

ENDS = frozenset("ESLU")
"""Ends, single, last, unit."""

OUTSIDE = "O"

JOINERS = "\u200d\ufe0e\ufe0f"
"""What belongs to the character before, besides combining marks."""

Probabilities = NDArray[np.float64]


class Tag(NamedTuple):
    """One label of a model: `B-PER` begins a PER."""

    kind: str
    begins: bool
    ends: bool


class Token(NamedTuple):
    """A token at its place, with the likeliest tag and how likely its kind is."""

    start: int
    end: int
    tag: Tag
    score: float


@dataclass(frozen=True, slots=True)
class Entity:
    """One name in a text, of a kind by the model's name for it, without the tag's prefix."""

    kind: str
    start: int
    end: int
    score: float


def tags(labels: Sequence[str]) -> list[Tag]:
    """Returns what the labels of a model mean: `B-PER`, `I-PER`, `O`, or plain `PER`."""
    return [_tag(label) for label in labels]


def kinds(labels: Sequence[str]) -> Mapping[str, None]:
    """Returns the kinds of names that a model knows, without repetitions."""
    return dict.fromkeys(tag.kind for tag in tags(labels) if tag.kind != OUTSIDE)


def likeliest(shares: Probabilities, known: Sequence[Tag]) -> list[tuple[Tag, float]]:
    """Returns a tag for each row of probabilities, and the probability of its kind.

    The labels of a kind are summed up: whether a name begins matters less than that there is one.
    """
    names = list(dict.fromkeys(tag.kind for tag in known))
    is_of = np.array([[tag.kind == name for name in names] for tag in known])
    sums = shares @ is_of
    best = sums.argmax(axis=1)
    chosen = np.where(is_of.T[best], shares, -1.0).argmax(axis=1)
    scores = sums.max(axis=1, initial=0.0).clip(0.0, 1.0)
    return [(known[place], score) for place, score in zip(chosen, scores.tolist(), strict=True)]


def entities(text: str, tokens: Iterable[Token]) -> Iterator[Entity]:
    """Yields the names in a text, in its order.

    A word is what its first token is: models are trained that way, and its other tokens mean
    nothing. The score of a name is that of its surest word.
    """
    open_one: Entity | None = None
    for word in words(text, tokens):
        tag, score = word.tag, word.score
        if open_one is not None and (tag.begins or tag.kind != open_one.kind):
            yield open_one
            open_one = None
        if tag.kind == OUTSIDE:
            continue
        if open_one is None:
            open_one = Entity(tag.kind, word.start, word.end, score)
        else:
            open_one = replace(open_one, end=word.end, score=max(score, open_one.score))
        if tag.ends:
            yield open_one
            open_one = None
    if open_one is not None:
        yield open_one


def words(text: str, tokens: Iterable[Token]) -> Iterator[Token]:
    """Yields the words that tokens are pieces of, each with what its first token is."""
    word: Token | None = None
    for token in tokens:
        start, end = _trimmed(text, token.start, token.end)
        if start == end:
            continue
        if word is not None and _goes_on(text, word.end, start):
            word = word._replace(end=max(end, word.end))
            continue
        if word is not None:
            yield word
        word = token._replace(start=start, end=end)
    if word is not None:
        yield word


def _tag(label: str) -> Tag:
    prefix, dash, kind = label.partition("-")
    if dash and len(prefix) == 1 and prefix in "BIESLUM":
        return Tag(kind, prefix in BEGINS, prefix in ENDS)
    return Tag(label, begins=False, ends=False)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """Returns a span without the spaces around it, and with the marks on its last character."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    while start < end < len(text) and _belongs_to_the_one_before(text[end]):
        end += 1
    return start, end


def _goes_on(text: str, end: int, start: int) -> bool:
    if start != end:
        # Where several tokens stand for one character they overlap.
        return start < end
    return _is_of_a_word(text[end - 1]) and _is_of_a_word(text[start])


def _is_of_a_word(char: str) -> bool:
    return char.isalnum() or _belongs_to_the_one_before(char)


def _belongs_to_the_one_before(char: str) -> bool:
    return char in JOINERS or unicodedata.category(char) in ("Mn", "Mc", "Me")
