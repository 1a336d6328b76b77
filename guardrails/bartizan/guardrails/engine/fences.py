"""Finds fenced blocks: what stands between lines of backticks or tildes in Markdown."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_FENCE = re.compile(r"^[ ]{0,3}(?:>[ ]?)?(`{3,}|~{3,})[ \t]*([^\s`{]*)[^\n]*$", re.MULTILINE)


class Fence(NamedTuple):
    """A fenced block.

    Attributes:
        label: the first word after the opening fence, lower case: `python`.
        start: offset of the first character inside.
        end: offset one past the last one inside.
        after: offset one past the closing fence.
    """

    label: str
    start: int
    end: int
    after: int


def fences(text: str) -> Iterator[Fence]:
    """Yields the fenced blocks in order. One that is never closed goes to the end of the text."""
    opening: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opening is None:
            opening = line
        elif line[1].startswith(opening[1]) and not line[2]:
            yield _fence(opening, line.start(), line.end(), text)
            opening = None
    if opening is not None:
        yield _fence(opening, len(text), len(text), text)


def _fence(opening: re.Match[str], end: int, after: int, text: str) -> Fence:
    start = min(opening.end() + 1, len(text))
    return Fence(opening[2].lower(), start, max(start, end), after)
