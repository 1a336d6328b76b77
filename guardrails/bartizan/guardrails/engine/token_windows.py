"""Texts as transformers read them: tokens in windows that overlap, each with its place."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bartizan.guardrails.engine.looking import heed
from bartizan.plugins.errors import ConfigError

PIECE_CHARACTERS = 16_000
"""Tokenized at once: takes some ten milliseconds."""

SEAM_CHARACTERS = 200
"""A piece ends at a space among so many last characters, if there is one."""

PADDING = ("[PAD]", "<pad>")

_SURROGATE = re.compile("[\ud800-\udfff]")

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A stretch of a text as a model reads it.

    Attributes:
        ids: the numbers of the tokens, with the special ones around them.
        spans: a row for each token but the special ones: where it starts and ends in the text, in
            code points.
        lead: how many special tokens come first.
        own: the rows of `spans` that are nearer to the middle here than in any other window.
    """

    ids: Integers
    spans: Integers
    lead: int
    own: slice

    @property
    def start(self) -> int:
        """Where it starts in the text."""
        return int(self.spans[0, 0])

    @property
    def end(self) -> int:
        """Where it ends in the text."""
        return int(self.spans[:, 1].max())


class Windows(NamedTuple):
    """The windows of one text, and the place up to which they go."""

    windows: list[Window]
    end: int


class Encoder:
    """A tokenizer that forgets nothing of a long text. Serves many threads.

    Attributes:
        max_tokens: how many tokens a window has at most, special ones included.
        padding: the number of the token that fills a row up.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, overlap: int) -> None:
        """Takes a tokenizer of one's own, which is changed: it may neither cut nor pad.

        `overlap`: how many tokens two neighbouring windows share.
        """
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._before, self._after = _special(tokenizer)
        # A text that says [SEP] says five characters: it must not end the text for the model.
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.padding = _padding(tokenizer)
        self._size = max_tokens - len(self._before) - len(self._after)
        self._overlap = overlap
        self._step = self._size - overlap
        if overlap < 0 or self._step < 1:
            raise ConfigError("INVALID_CONFIG", "windows must be longer than what they share")

    @classmethod
    def from_json(cls, document: bytes | str, max_tokens: int, overlap: int) -> "Encoder":
        """Returns the encoder of a `tokenizer.json`. Raises ConfigError if it is none."""
        text = document if isinstance(document, str) else document.decode("utf-8", "replace")
        try:
            tokenizer = Tokenizer.from_str(text)
        except Exception:
            raise ConfigError("BAD_MODEL", "this is no tokenizer.json that can be read") from None
        return cls(tokenizer, max_tokens, overlap)

    def windows(self, text: str, most: int, gone: threading.Event | None = None) -> Windows:
        """Returns the first windows of a text, `most` at most. A blank text has none.

        Once `gone` is set it soon raises NobodyWaits.
        """
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        limit = self._size + (most - 1) * self._step
        for offset, piece in _pieces(text):
            heed(gone)
            encoding = self._tokenizer.encode(piece, add_special_tokens=False)
            ids += encoding.ids
            spans += ((offset + start, offset + end) for start, end in encoding.offsets)
            if len(ids) > limit:
                break
        cut = len(ids) > limit
        end = spans[limit - 1][1] if cut else len(text)
        return Windows(list(self._windows(ids[:limit], spans[:limit])), end)

    def longest(self) -> Window:
        """Returns a window as long as they get, to try a model with."""
        spans = np.zeros((self._size, 2), np.int64)
        return self._window([self.padding] * self._size, spans, slice(0, self._size))

    def _windows(self, ids: list[int], spans: list[tuple[int, int]]) -> Iterator[Window]:
        places = np.array(spans, np.int64).reshape(-1, 2)
        half = self._overlap // 2
        # What the window before has to its end needs none of its own.
        ends = max(len(ids) - self._overlap, 1) if ids else 0
        for first in range(0, ends, self._step):
            last = min(first + self._size, len(ids))
            own_to = self._step + half if last < len(ids) else last - first
            own = slice(half if first else 0, own_to)
            yield self._window(ids[first:last], places[first:last], own)

    def _window(self, ids: list[int], spans: Integers, own: slice) -> Window:
        whole = np.array([*self._before, *ids, *self._after], np.int64)
        return Window(whole, spans, len(self._before), own)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yields the pieces of a text, each with its offset."""
    # The tokenizer takes UTF-8, which has no surrogates. One code point for one.
    text = _SURROGATE.sub("\ufffd", text)
    first = 0
    while first < len(text):
        last = first + PIECE_CHARACTERS
        if last < len(text):
            space = max(text.rfind(one, last - SEAM_CHARACTERS, last) for one in " \n")
            last = space if space > first else last
        yield first, text[first:last]
        first = last


def _special(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """Returns the special tokens before and after a text."""
    encoding: Any = tokenizer.encode("a")
    mask = encoding.special_tokens_mask
    if 0 not in mask:
        return encoding.ids, []
    first, last = mask.index(0), len(mask) - mask[::-1].index(0)
    return encoding.ids[:first], encoding.ids[last:]


def _padding(tokenizer: Tokenizer) -> int:
    known = (tokenizer.token_to_id(name) for name in PADDING)
    return next((number for number in known if number is not None), 0)
