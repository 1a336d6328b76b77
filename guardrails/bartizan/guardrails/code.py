"""Source code in texts, and in which language it is."""

import re
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic import Field, field_validator

from bartizan.guardrails.code_cues import BY_LABEL, CUES, LANGUAGES, NO_CODE, OTHER
from bartizan.guardrails.engine.expressions import Expressions
from bartizan.guardrails.engine.fences import Fence, fences
from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.plugins.config import PluginConfig, nearest
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 4_000
"""A look at this much takes about half a millisecond."""

BY_LABEL_SCORE = 0.95
"""A fence says in which language it is."""

LEAST_SCORE = 0.5
"""What is less sure is as often prose."""

APART_CHARACTERS = 400
"""Cues that stand further apart belong to different pieces of code."""

_GOES_ON = re.compile(r"[^\n]*(?:\n[ \t})\]][^\n]*)*+")
"""The rest of a line, with the lines after it that are indented or close a bracket."""

MIXTURES = {"css": "html", "javascript": "html", "typescript": "javascript", "c": "cpp"}
"""What is at home in the other: a page with its style is one piece of HTML."""


class CodeConfig(PluginConfig):
    """The configuration of the guardrail `code`."""

    languages: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        max_length=50,
        description="What to look for: `[sql, shell]`; `other` are fences of other languages. "
        "Default: all.",
    )
    fences_alone: bool = Field(
        False, description="Whether code counts only between fences of Markdown."
    )

    @field_validator("languages")
    @classmethod
    def _known(cls, languages: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in languages or ():
            if name not in LANGUAGES:
                raise ValueError(f"no language '{name}' can be told{nearest(name, LANGUAGES)}")
        return languages


class _Hit(NamedTuple):
    start: int
    end: int
    cue: int


class Code:
    """Finds source code by its forms, and fenced blocks by their labels.

    Categories: `code.` and the language: `code.sql`. A finding covers whole lines.
    """

    Config = CodeConfig

    def __init__(self, config: CodeConfig) -> None:
        """Makes the guardrail."""
        self._wanted = frozenset(config.languages or LANGUAGES)
        self._fences_alone = config.fences_alone
        self._cues = Expressions([cue.pattern for cue in CUES])
        self._looks = Looks("code", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the code in each text, in the order of the texts."""
        return await self._looks.at([text.value for text in texts])

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        blocks = list(fences(value)) if "```" in value or "~~~" in value else []
        hits = sorted(_Hit(*span, cue) for cue, span in self._cues.find(value, gone))
        found = [self._fenced(block, hits) for block in blocks]
        if not self._fences_alone:
            outside = _outside(hits, blocks)
            found += [_in_prose(value, group) for group in _groups(outside, gone)]
        chosen = [one for one in found if one and one.category.rpartition(".")[2] in self._wanted]
        return sorted(chosen, key=lambda one: one.start)

    def _fenced(self, block: Fence, hits: Sequence[_Hit]) -> Finding | None:
        if block.start == block.end or block.label in NO_CODE:
            return None
        if block.label:
            language = BY_LABEL.get(block.label, OTHER)
            return _finding(language, BY_LABEL_SCORE, block.start, block.end, "CODE_FENCED")
        inside = [one for one in hits if block.start <= one.start < block.end]
        language, score = _judged(inside)
        if score < LEAST_SCORE:
            return None
        return _finding(language, score, block.start, block.end, "CODE_FENCED")


def _outside(hits: Sequence[_Hit], blocks: Sequence[Fence]) -> list[_Hit]:
    left = iter(blocks)
    block = next(left, None)
    outside = []
    for hit in hits:
        while block is not None and block.after <= hit.start:
            block = next(left, None)
        if block is None or hit.start < block.start:
            outside.append(hit)
    return outside


def _groups(hits: Sequence[_Hit], gone: threading.Event) -> Iterator[list[_Hit]]:
    group: list[_Hit] = []
    end = 0
    for hit in hits:
        if group and hit.start - end > APART_CHARACTERS:
            heed(gone)
            yield group
            group = []
        group.append(hit)
        end = max(end, hit.end)
    if group:
        yield group


def _in_prose(value: str, hits: Sequence[_Hit]) -> Finding | None:
    language, score = _judged(hits)
    if score < LEAST_SCORE:
        return None
    start = value.rfind("\n", 0, hits[0].start) + 1
    rest = _GOES_ON.match(value, max(hit.end - 1 for hit in hits))
    return _finding(language, score, start, rest.end() if rest else len(value), "CODE_BY_FORM")


def _judged(hits: Sequence[_Hit]) -> tuple[str, float]:
    """Returns the most likely language and how sure it is; each cue counts once."""
    doubt: dict[str, float] = {}
    for place in {hit.cue for hit in hits}:
        cue = CUES[place]
        doubt[cue.language] = doubt.get(cue.language, 1.0) * (1 - cue.weight)
    if not doubt:
        return OTHER, 0.0
    best = min(doubt, key=lambda name: doubt[name])
    home = MIXTURES.get(best)
    if home in doubt and 1 - doubt[home] >= LEAST_SCORE:
        best = home
    return best, round(1 - doubt[best], 3)


def _finding(language: str, score: float, start: int, end: int, code: str) -> Finding:
    return Finding(f"code.{language}", score, start, end, code)
