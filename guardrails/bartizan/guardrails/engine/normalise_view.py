"""A text as it reads once its tricks are undone, and where each character of it came from."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

Edit = tuple[int, int, str]
"""From where to where, and what to put there. As long as what it replaces: one for one."""


class Segment(NamedTuple):
    """Something decoded, `places` saying where in the text each of its characters begins.

    Attributes:
        places: in ascending order.
        end: where in the text it ends, beyond all places.
    """

    text: str
    places: Sequence[int]
    end: int


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text.

    Attributes:
        kind: `folded`, or what was decoded: `base64`, `hex`, `rot13`, `reversed`, `hidden`.
        text: the reading.
        origin: where in the original text each character begins, and where the last one ends, in
            code points and in ascending order. Characters that begin at the same place all stand
            for the original up to the next place.
    """

    kind: str
    text: str
    origin: Sequence[int]

    @classmethod
    def of(cls, kind: str, text: str) -> Self:
        """Returns a text as it is."""
        return cls(kind, text, range(len(text) + 1))

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Returns the part of the original text that a part of the view stands for.

        What was taken out behind a character belongs to it. Raises IndexError outside the view.
        """
        origin = self.origin
        if not 0 <= start <= end <= len(self.text):
            raise IndexError("outside the view")
        if start == end:
            return origin[start], origin[start]
        return origin[start], origin[bisect_right(origin, origin[end - 1], end)]

    def lower(self) -> Self:
        """Returns the view in lower case, character for character."""
        lowered = self.text.lower()
        if len(lowered) != len(self.text):
            lowered = "".join(_lowered(char) for char in self.text)
        return replace(self, text=lowered)

    def cut(self, most: int) -> Self:
        """Returns the first characters of the view."""
        if len(self.text) <= most:
            return self
        # What the last one stands for may go on behind it.
        places = [*self.origin[:most], self.span(most - 1, most)[1]]
        return replace(self, text=self.text[:most], origin=places)

    def edited(self, edits: Iterable[Edit]) -> Self:
        """Returns the view with some parts replaced. They are in order and do not overlap."""
        text, origin = self.text, self.origin
        parts: list[str] = []
        places: list[int] = []
        at = 0
        for start, end, new in edits:
            parts += text[at:start], new
            places += origin[at:start]
            places += origin[start:end] if len(new) == end - start else [origin[start]] * len(new)
            at = end
        if not parts:
            return self
        parts.append(text[at:])
        places += origin[at:]
        if len(places) == len(origin) and isinstance(origin, range) and places == list(origin):
            return replace(self, text="".join(parts))
        return replace(self, text="".join(parts), origin=places)

    def decoded(self, kind: str, segments: Iterable[Segment]) -> Self | None:
        """Returns what was decoded of the view, a segment a line; None if there is nothing."""
        found = [segment for segment in segments if segment.text]
        if not found:
            return None
        places: list[int] = []
        for segment in found:
            places += map(self.origin.__getitem__, segment.places)
            places.append(self.origin[segment.end])
        # The last place ends the view; those before it are of the line feeds.
        places[-1] = self.span(found[-1].end - 1, found[-1].end)[1]
        return replace(
            self, kind=kind, text="\n".join(segment.text for segment in found), origin=places
        )


def _lowered(char: str) -> str:
    lowered = char.lower()
    return lowered if len(lowered) == 1 else char
