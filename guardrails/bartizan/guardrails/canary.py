"""Canaries: planted tokens that must never be seen outside, however they are disguised."""

import math
import re
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, SecretStr, field_validator, model_validator

from bartizan.guardrails.canary_forms import Form, compact, forms
from bartizan.guardrails.engine.looking import Looks, heed
from bartizan.plugins.config import PluginConfig
from bartizan.plugins.contract import Finding, Text

LOOK_IN_THREAD_CHARACTERS = 4_000
"""A look at this much takes about half a millisecond."""

MAX_TOKENS = 200
LEAST_CHARACTERS, MOST_CHARACTERS = 8, 500
LEAST_DISTINCT = 4

GRAM = 6
"""Every so often so many characters of a text are looked up."""

SCAN_CHARACTERS = 8_192
LEAST_FRAGMENT_SCORE = 0.5

_KEPT = re.compile("[0-9A-Za-z]")


class CanaryConfig(PluginConfig):
    """The configuration of the guardrail `canary`."""

    tokens: tuple[SecretStr, ...] = Field(
        (), max_length=MAX_TOKENS, description="The planted tokens, with 8 letters or digits each."
    )
    tokens_file: Path | None = Field(
        None, description="A file with more of them, one in a line, read when the rule is loaded."
    )
    fragment_characters: int = Field(
        12, ge=8, le=100, description="So many characters of a token in a row are a part of it."
    )

    @field_validator("tokens")
    @classmethod
    def _can_be_found(cls, tokens: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for place, token in enumerate(tokens):
            _check(token.get_secret_value(), f"token {place}")
        return tokens

    @model_validator(mode="before")
    @classmethod
    def _with_file(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("tokens_file"), str | Path):
            return data
        try:
            lines = Path(data["tokens_file"]).read_text("utf-8").splitlines()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not in UTF-8"
            raise ValueError(f"tokens_file cannot be read: {reason}") from None
        more = [line.strip() for line in lines if line.strip()]
        for number, token in enumerate(more, 1):
            _check(token, f"token {number} of tokens_file")
        return {**data, "tokens": [*(data.get("tokens") or ()), *more]}


def _check(token: str, name: str) -> None:
    kept = compact(token)
    if not LEAST_CHARACTERS <= len(kept) <= MOST_CHARACTERS:
        raise ValueError(
            f"{name} must have {LEAST_CHARACTERS} to {MOST_CHARACTERS} letters or digits"
        )
    if len(set(kept)) < LEAST_DISTINCT:
        raise ValueError(f"{name} must have {LEAST_DISTINCT} different letters or digits")
    if any("\ud800" <= char <= "\udfff" for char in token):
        raise ValueError(f"{name} holds a character that cannot be looked for")


class _Run(NamedTuple):
    """A stretch of a compact text that is a stretch of a form."""

    start: int
    end: int
    form: Form


class Canary:
    """Finds planted tokens: as they are, in pieces, spaced out, reversed and encoded.

    Categories: `canary.token` for all of one, `canary.fragment` for a part.
    """

    Config = CanaryConfig

    def __init__(self, config: CanaryConfig) -> None:
        """Makes the guardrail."""
        tokens = dict.fromkeys(token.get_secret_value() for token in config.tokens)
        self._forms = [form for token in tokens for form in forms(token)]
        self._least = [
            min(len(form.needle), math.ceil(config.fragment_characters * form.growth))
            for form in self._forms
        ]
        self._grams: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, form in enumerate(self._forms):
            for at in range(len(form.needle) - GRAM + 1):
                self._grams[form.needle[at : at + GRAM]].append((place, at))
        # What is long enough to count has a gram that begins at a multiple of this.
        self._step = min(self._least, default=GRAM) - GRAM + 1
        self._looks = Looks("canary", self._look, LOOK_IN_THREAD_CHARACTERS)

    async def check(self, texts: Sequence[Text]) -> Sequence[Sequence[Finding]]:
        """Returns the tokens in each text, in the order of the texts."""
        return await self._looks.at([text.value for text in texts])

    async def aclose(self) -> None:
        """Lets the threads go."""
        self._looks.close()

    def _look(self, value: str, gone: threading.Event) -> Sequence[Finding]:
        if not self._grams:
            return []
        runs = _longest(list(self._runs(compact(value), gone)))
        if not runs:
            return []
        places = [match.start() for match in _KEPT.finditer(value)]
        return [_finding(run, places) for run in runs]

    def _runs(self, kept: str, gone: threading.Event) -> Iterator[_Run]:
        at, last, grams = 0, len(kept) - GRAM + 1, self._grams
        while at < last:
            heed(gone)
            if kept[at : at + GRAM] not in grams:
                ahead = range(at + self._step, min(last, at + SCAN_CHARACTERS), self._step)
                met = (here for here in ahead if kept[here : here + GRAM] in grams)
                at = next(met, ahead[-1] + self._step if ahead else at + self._step)
                continue
            found = [
                run
                for place, offset in grams[kept[at : at + GRAM]]
                if (run := self._run(kept, at, place, offset)) is not None
            ]
            yield from found
            # A text of tokens alone is not looked at again for each of their grams.
            at = max([at + self._step, *(run.end - GRAM + 1 for run in found)])

    def _run(self, kept: str, at: int, place: int, offset: int) -> _Run | None:
        needle = self._forms[place].needle
        before = _common(kept[max(0, at - offset) : at][::-1], needle[:offset][::-1])
        after = _common(kept[at : at + len(needle) - offset], needle[offset:])
        if before + after < self._least[place]:
            return None
        return _Run(at - before, at + after, self._forms[place])


def _common(one: str, other: str) -> int:
    """Returns how many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _longest(runs: list[_Run]) -> list[_Run]:
    """Returns the runs without those that overlap a longer one, in order."""
    kept: list[_Run] = []
    for run in sorted(set(runs), key=lambda run: (run.start, -run.end)):
        if kept and run.start < kept[-1].end:
            if run.end - run.start > kept[-1].end - kept[-1].start:
                kept[-1] = run
            continue
        kept.append(run)
    return kept


def _finding(run: _Run, places: Sequence[int]) -> Finding:
    share = (run.end - run.start) / len(run.form.needle)
    category = "canary.token" if share == 1 else "canary.fragment"
    score = round(LEAST_FRAGMENT_SCORE + (1 - LEAST_FRAGMENT_SCORE) * share, 3)
    return Finding(category, score, places[run.start], places[run.end - 1] + 1, run.form.code)
